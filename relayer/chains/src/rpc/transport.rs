//! One HTTP POST: bytes out, status, Retry-After and bounded bytes in.
//!
//! Bodies are counted while they stream in *after* decompression, so neither a large answer nor a gzip bomb is buffered past the
//! cap. Redirects are not followed and no proxy of the environment is used: what is configured is what is called.

use std::error::Error;
use std::time::Duration;

use relayer_core::error::Detail;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, redirect};
use time::{OffsetDateTime, PrimitiveDateTime, format_description};

use super::endpoint_url::EndpointUrl;
use super::error::{RpcErrorKind, SetupError, Unavailable};
use super::limits::{CONNECT_TIMEOUT, ERROR_BODY_BYTES, IDLE_CONNECTIONS, RESERVED_BYTES};
use super::tls;

/// What came back.
pub(crate) struct HttpReply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// Empty beside an error status when it was larger than [`ERROR_BODY_BYTES`].
    pub(crate) body: Vec<u8>,
}

/// The connections to one node.
pub(crate) struct Transport {
    http: Client,
    url: EndpointUrl,
    body_bytes: usize,
}

impl Transport {
    pub(crate) fn new(url: EndpointUrl, body_bytes: usize) -> Result<Self, SetupError> {
        if !url.is_http() {
            return Err(SetupError::NotHttp(url.label()));
        }
        let http = Client::builder()
            .tls_backend_preconfigured(tls::client_config()?)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .gzip(true)
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build()
            .map_err(|error| SetupError::Tls(root_cause(&error)))?;
        Ok(Self { http, url, body_bytes })
    }

    pub(crate) fn url(&self) -> &EndpointUrl {
        &self.url
    }

    /// Posts `body`; `traceparent` goes along as the W3C header.
    pub(crate) async fn post(&self, body: Vec<u8>, traceparent: Option<&str>) -> Result<HttpReply, RpcErrorKind> {
        let mut request = self.http.post(self.url.secret().clone()).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(parent) = traceparent.and_then(|parent| HeaderValue::from_str(parent).ok()) {
            request = request.header("traceparent", parent);
        }
        let response = request.send().await.map_err(|error| fault(&error))?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let body = if response.status().is_success() {
            read(response, self.body_bytes).await?
        } else {
            // The status says enough; the body may hold a JSON-RPC error.
            read(response, ERROR_BODY_BYTES).await.unwrap_or_default()
        };
        Ok(HttpReply { status, retry_after, body })
    }
}

async fn read(mut response: Response, cap: usize) -> Result<Vec<u8>, RpcErrorKind> {
    let announced = response.content_length().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    if announced > cap {
        return Err(RpcErrorKind::TooLarge { limit: cap });
    }
    let mut body = Vec::with_capacity(announced.min(RESERVED_BYTES));
    while let Some(chunk) = response.chunk().await.map_err(|error| fault(&error))? {
        if chunk.len() > cap.saturating_sub(body.len()) {
            return Err(RpcErrorKind::TooLarge { limit: cap });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn fault(error: &reqwest::Error) -> RpcErrorKind {
    let cause = root_cause(error);
    let why =
        if error.is_connect() || error.is_builder() { Unavailable::Connect(cause) } else { Unavailable::Broken(cause) };
    RpcErrorKind::Unavailable { why, retry_after: None }
}

/// The innermost cause; the outer ones print the URL with what is secret in it.
fn root_cause(error: &reqwest::Error) -> Detail {
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(Error::source) {
        cause = Some(inner);
    }
    Detail::new(cause.map_or_else(|| "refused by the HTTP client".to_owned(), ToString::to_string))
}

/// Retry-After in seconds, or as an HTTP date measured against the node's own `Date` where it gives one.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = http_date(text)?;
    let now = headers.get(DATE).and_then(|date| http_date(date.to_str().ok()?)).unwrap_or_else(OffsetDateTime::now_utc);
    Some((until - now).try_into().unwrap_or(Duration::ZERO))
}

fn http_date(text: &str) -> Option<OffsetDateTime> {
    const IMF: &str = "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT";
    let format = format_description::parse_borrowed::<2>(IMF).ok()?;
    Some(PrimitiveDateTime::parse(text, &format).ok()?.assume_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(retry: &str, date: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        headers
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date_by_the_nodes_clock() {
        assert_eq!(retry_after(&headers("7", None)), Some(Duration::from_secs(7)));
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(retry_after(&headers("Sun, 06 Nov 1994 08:50:07 GMT", date)), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(&headers("Sun, 06 Nov 1994 08:49:00 GMT", date)), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers("-1", None)), None);
        assert_eq!(retry_after(&headers("soon", None)), None);
    }
}
