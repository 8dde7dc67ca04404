//! Faults of transport and of single calls.

use std::time::Duration;

use super::{Call, When};

/// What goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The request is answered with an HTTP status; see [`Fault::status`].
    Status {
        /// For instance 429 or 503.
        code: u16,
        /// The `Retry-After` header, s.
        retry_after_seconds: Option<u64>,
    },
    /// The request is passed on after a while.
    Delay(Duration),
    /// The request is never answered.
    Hang,
    /// The true answer breaks off after so many bytes.
    CutBody(usize),
    /// The answer is no JSON.
    Garbage,
    /// The answer is a JSON text of this many bytes.
    Oversized(usize),
    /// The true answer comes one byte at a time, with this pause between.
    Trickle(Duration),
    /// The call is answered with an error object; other calls of the batch are passed on.
    RpcError {
        /// For instance -32603.
        code: i64,
        /// Its `message`.
        message: String,
        /// Its `data`, where CometBFT puts the reason.
        data: String,
    },
    /// A broadcast is answered as accepted and not passed on.
    DropBroadcast,
}

impl Fault {
    /// An HTTP status.
    #[must_use]
    pub fn status(code: u16) -> Self {
        Self::Status { code, retry_after_seconds: None }
    }

    /// With a `Retry-After` header, if it is a status.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        match self {
            Self::Status { code, .. } => Self::Status { code, retry_after_seconds: Some(seconds) },
            other => other,
        }
    }

    /// An error object as CometBFT sends for a failed call.
    #[must_use]
    pub fn rpc_error(code: i64, message: &str, data: &str) -> Self {
        Self::RpcError { code, message: message.to_owned(), data: data.to_owned() }
    }

    /// Whether it concerns one call rather than the request it came in.
    fn of_call(&self, call: &Call) -> bool {
        match self {
            Self::RpcError { .. } => true,
            Self::DropBroadcast => call.is_broadcast(),
            _ => false,
        }
    }

    fn of_request(&self) -> bool {
        !matches!(self, Self::RpcError { .. } | Self::DropBroadcast)
    }
}

/// Names a fault that was switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(u64);

#[derive(Debug)]
struct Rule {
    id: FaultId,
    when: When,
    fault: Fault,
    times: Option<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Vec<Rule>,
    next: u64,
    injected: u64,
}

impl Faults {
    pub(super) fn add(&mut self, when: When, fault: Fault, times: Option<u32>) -> FaultId {
        let id = FaultId(self.next);
        self.next += 1;
        self.rules.push(Rule { id, when, fault, times });
        id
    }

    pub(super) fn remove(&mut self, id: FaultId) {
        self.rules.retain(|rule| rule.id != id);
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(super) fn injected(&self) -> u64 {
        self.injected
    }

    /// The fault of a whole request: the oldest one that matches any of its calls.
    pub(super) fn for_request(&mut self, calls: &[Call]) -> Option<Fault> {
        self.take(|rule| rule.fault.of_request() && calls.iter().any(|call| rule.when.matches(call)))
    }

    /// The fault of one call.
    pub(super) fn for_call(&mut self, call: &Call) -> Option<Fault> {
        self.take(|rule| rule.fault.of_call(call) && rule.when.matches(call))
    }

    fn take(&mut self, matches: impl Fn(&Rule) -> bool) -> Option<Fault> {
        let index = self.rules.iter().position(matches)?;
        let rule = self.rules.get_mut(index)?;
        let fault = rule.fault.clone();
        if let Some(times) = rule.times.as_mut() {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.rules.remove(index);
            }
        }
        self.injected += 1;
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(method: &str) -> Call {
        Call::from_json(&json!({ "id": 1, "method": method, "params": {} })).unwrap()
    }

    #[test]
    fn a_fault_with_a_count_ends_after_it() {
        let mut faults = Faults::default();
        faults.add(When::method("status"), Fault::Garbage, Some(2));
        assert!(faults.for_request(&[call("block")]).is_none());
        assert!(faults.for_request(&[call("status")]).is_some());
        assert!(faults.for_request(&[call("block"), call("status")]).is_some());
        assert!(faults.for_request(&[call("status")]).is_none());
        assert_eq!(faults.injected(), 2);
    }

    #[test]
    fn only_broadcasts_are_dropped() {
        let mut faults = Faults::default();
        let id = faults.add(When::any(), Fault::DropBroadcast, None);
        assert!(faults.for_call(&call("status")).is_none());
        assert!(faults.for_call(&call("broadcast_tx_sync")).is_some());
        assert!(faults.for_request(&[call("broadcast_tx_sync")]).is_none());
        faults.remove(id);
        assert!(faults.for_call(&call("broadcast_tx_sync")).is_none());
    }
}
