//! An HTTP endpoint that serves the rules, asked every few seconds with its ETag.

use std::time::Duration;

use reqwest::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use reqwest::{Client, Response, StatusCode};
use tokio::time::{sleep, timeout};
use url::Url;

use super::{Out, Pause, SourceError, why};
use crate::rules::limits::{HTTP_POLL, HTTP_TIMEOUT, TEXT_BYTES};

/// See the module. The client brings TLS and proxies as its owner wants them.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    url: Url,
    poll: Duration,
}

impl Http {
    /// The rules at `url`.
    pub fn new(client: Client, url: Url) -> Self {
        Self { client, url, poll: HTTP_POLL }
    }
    /// Asked this often.
    #[must_use]
    pub fn every(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    pub(super) async fn run(self, out: &Out) {
        let mut tag: Option<HeaderValue> = None;
        let mut pause = Pause::new();
        loop {
            let asked = timeout(HTTP_TIMEOUT, self.ask(tag.clone())).await;
            match asked.unwrap_or_else(|_| {
                Err(SourceError::Away { what: "the rules endpoint", why: "no answer in time".into() })
            }) {
                Ok(answer) => {
                    pause.reset();
                    if let Some((new, text)) = answer {
                        out.take(&text);
                        tag = new; // a refused text is not fetched again either
                    }
                    sleep(self.poll).await;
                }
                Err(error) => {
                    out.trouble(&error);
                    pause.wait().await;
                }
            }
        }
    }

    async fn ask(&self, tag: Option<HeaderValue>) -> Result<Option<(Option<HeaderValue>, Vec<u8>)>, SourceError> {
        let mut request = self.client.get(self.url.clone());
        if let Some(tag) = tag {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let response = request.send().await.map_err(away)?;
        match response.status() {
            StatusCode::NOT_MODIFIED => Ok(None),
            StatusCode::OK => {
                let tag = response.headers().get(ETAG).cloned();
                Ok(Some((tag, body(response, TEXT_BYTES).await?)))
            }
            other => Err(SourceError::Status(other.as_u16())),
        }
    }
}

/// A body, counted while it streams in, after decompression.
pub(super) async fn body(mut response: Response, cap: usize) -> Result<Vec<u8>, SourceError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(away)? {
        if chunk.len() > cap.saturating_sub(body.len()) {
            return Err(SourceError::TooLarge(cap));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn away(error: reqwest::Error) -> SourceError {
    SourceError::Away { what: "the rules endpoint", why: why(error) }
}
