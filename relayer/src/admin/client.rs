//! The other side: `relayer status`, `relayer limits` and `relayer health` ask a running relayer.

use std::net::SocketAddr;

use relayer_core::error::Detail;
use reqwest::header::AUTHORIZATION;
use reqwest::{Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::limit::Limits;
use super::snapshot::{Health, Snapshot};
use crate::limits;

/// Why a running relayer did not tell.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AdminError {
    /// Nobody listens.
    #[error("no relayer answers at {address}: start it with `relayer start`, or correct `admin` in [global]")]
    Absent {
        /// Where it was sought.
        address: SocketAddr,
    },
    /// It wants a token.
    #[error("the relayer at {address} wants its token: set the variable that `admin_token_env` names")]
    Token {
        /// Where.
        address: SocketAddr,
    },
    /// It did not answer in time, or not as a relayer does.
    #[error("{address} does not answer as a relayer ({detail}): correct `admin` in [global], or restart the relayer")]
    Answer {
        /// Where.
        address: SocketAddr,
        /// What came.
        detail: Detail,
    },
}

/// Asks one relayer.
#[derive(Debug, Clone)]
pub struct AdminClient {
    address: SocketAddr,
    token: Option<SecretString>,
    http: reqwest::Client,
}

impl AdminClient {
    /// For the relayer whose admin port is `address`.
    pub fn new(address: SocketAddr, token: Option<SecretString>) -> Result<Self, AdminError> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let http = reqwest::Client::builder()
            .timeout(limits::ADMIN_ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|e| AdminError::Answer { address, detail: Detail::new(e.to_string()) })?;
        Ok(Self { address, token, http })
    }

    /// `/health`, ready or not.
    pub async fn health(&self) -> Result<Health, AdminError> {
        let response = self.get("/health").await?;
        match response.status() {
            StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE => self.json(response).await,
            other => Err(self.answer(other.to_string())),
        }
    }

    /// `/status`.
    pub async fn status(&self) -> Result<Snapshot, AdminError> {
        let response = self.ok("/status").await?;
        self.json(response).await
    }

    /// `/limits`.
    pub async fn limits(&self) -> Result<Limits, AdminError> {
        let response = self.ok("/limits").await?;
        self.json(response).await
    }

    /// `/metrics`, the Prometheus text.
    pub async fn metrics(&self) -> Result<String, AdminError> {
        let response = self.ok("/metrics").await?;
        String::from_utf8(self.bytes(response).await?).map_err(|_| self.answer("not UTF-8"))
    }

    fn answer(&self, detail: impl AsRef<str>) -> AdminError {
        AdminError::Answer { address: self.address, detail: Detail::new(detail) }
    }

    async fn ok(&self, path: &str) -> Result<Response, AdminError> {
        let response = self.get(path).await?;
        if response.status() == StatusCode::OK { Ok(response) } else { Err(self.answer(response.status().to_string())) }
    }

    async fn get(&self, path: &str) -> Result<Response, AdminError> {
        let mut request = self.http.get(format!("http://{}{path}", self.address));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        let response = request.send().await.map_err(|e| self.error(&e))?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Err(AdminError::Token { address: self.address });
        }
        Ok(response)
    }

    fn error(&self, e: &reqwest::Error) -> AdminError {
        if e.is_connect() { AdminError::Absent { address: self.address } } else { self.answer(e.to_string()) }
    }

    async fn bytes(&self, mut response: Response) -> Result<Vec<u8>, AdminError> {
        let mut all = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.error(&e))? {
            if all.len().saturating_add(chunk.len()) > limits::ADMIN_ANSWER_BYTES {
                return Err(self.answer("the answer is too large"));
            }
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }

    async fn json<T: DeserializeOwned>(&self, response: Response) -> Result<T, AdminError> {
        serde_json::from_slice(&self.bytes(response).await?).map_err(|e| self.answer(e.to_string()))
    }
}
