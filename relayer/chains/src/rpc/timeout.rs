//! A limit on one request from connect to the last byte: a body that trickles (slowloris) ends here, too.

use std::time::Duration;

use super::error::RpcErrorKind;

/// `request`, dropped when `after` has passed.
pub(crate) async fn timeout<T>(
    after: Duration,
    request: impl Future<Output = Result<T, RpcErrorKind>>,
) -> Result<T, RpcErrorKind> {
    tokio::time::timeout(after, request).await.unwrap_or(Err(RpcErrorKind::Timeout { after }))
}
