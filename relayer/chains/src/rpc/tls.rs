//! TLS for HTTP and WebSocket: rustls over ring, certificate authorities from Mozilla's list.
//!
//! The provider and the roots are named here, not taken from the process or the machine: a container without CA files can still
//! be set up (most nodes of tests speak plain HTTP), and no other crate can change what we trust.

use std::sync::Arc;

use relayer_core::error::Detail;
use rustls::{ClientConfig, RootCertStore};

use super::error::SetupError;

/// TLS 1.2 and 1.3, no client certificate.
pub(crate) fn client_config() -> Result<ClientConfig, SetupError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| SetupError::Tls(Detail::new(error.to_string())))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
