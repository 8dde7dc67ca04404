//! A connection that is no call, opened when its endpoint's limits let a read leave: a node counts a WebSocket's handshake, too.
//!
//! Only what the handshake shows of the endpoint as such is told to its limiter: a throttle, or that nobody answers. A node that
//! does not offer WebSockets is no worse for calls.

use std::time::Duration;

use limiter::{CallKind, Outcome};
use tokio::time::Instant;

use super::classify;
use super::client::RpcClient;
use super::endpoint_url::EndpointUrl;
use super::error::{RpcErrorKind, Unavailable};
use super::limited;
use super::limits::CALL_DEADLINE;

impl RpcClient {
    /// Runs `connect` when the endpoint at `url` may be called, or at once when none of ours is there. Errors: those of `connect`,
    /// and what held it back for longer than a call would wait.
    pub(crate) async fn dial<T>(
        &self,
        url: &EndpointUrl,
        connect: impl Future<Output = Result<T, RpcErrorKind>>,
    ) -> Result<T, RpcErrorKind> {
        let Some(endpoint) = self.stack().endpoints.at(url) else { return connect.await };
        let outcome = |result: &Result<T, RpcErrorKind>, _| match result {
            Err(RpcErrorKind::Unavailable { why: Unavailable::Status(_), .. }) => Outcome::Answered,
            result => classify::outcome(result),
        };
        let (call, mut waited) = (limited::call(CallKind::Read, 1, None), Duration::ZERO);
        let patience = Instant::now() + CALL_DEADLINE;
        endpoint.limited.run_by(None, call, patience, &mut waited, connect, outcome).await
    }
}
