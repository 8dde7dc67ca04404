//! Who counts: our script's buckets, or redis-cell's (`CL.THROTTLE`), one of them for all budgets of a domain.
//!
//! The two count apart, so members that use both would admit twice the rate. The engine is therefore a key of the store which every
//! script reads before it decides, in the same atomic call: nobody decides by another engine than that key says, whatever it believed.
//! Whoever writes the key moves the epoch, so that all buckets count as empty then: what the other engine gave is paid for.
//!
//! redis-cell is chosen by the first member of an empty group (no member for [`super::limits::MEMBER_LIFETIME`]) that may use it and
//! finds it loaded. Whoever can't use it, or may not, moves the group to the script, which every Redis runs; so does a failing command.
//! Nobody moves a group back while it has members, so it can't swing to and fro.
//!
//! `CL.THROTTLE` is called from a script, never bare: several levels are all or nothing, a lost or wiped bucket counts as empty since the
//! epoch (redis-cell alone would take it for full), and its value is written again with a longer life. redis-cell 0.2 replicates nothing
//! to replicas or the append-only file, and its keys may end up to a millisecond before the bucket is full.
//! One unit of its rate is a microsecond; what a decision costs is rounded up to whole ones, so at `n` decisions a second up to `n / 10^6`
//! of the rate is lost. Nothing is given back to it: an unsent call's tokens and the rest of a lease stay spent.

use redis::{Cmd, Value};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Engine {
    /// Our script.
    #[default]
    Script,
    /// redis-cell.
    Cell,
}

impl Engine {
    /// As the store keeps it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Cell => "cell",
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::Script => Self::Cell,
            Self::Cell => Self::Script,
        }
    }
}

/// Asks whether the module is loaded.
pub(super) fn probe() -> Cmd {
    let mut cmd = redis::cmd("COMMAND");
    cmd.arg("INFO").arg("CL.THROTTLE");
    cmd
}

/// A server that knows the command lists its details; one that doesn't, nil.
pub(super) fn loaded(reply: &Value) -> bool {
    matches!(reply, Value::Array(items) if matches!(items.first(), Some(Value::Array(info)) if !info.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_the_module_is_told_by_nil() {
        assert!(!loaded(&Value::Array(vec![Value::Nil])));
        assert!(!loaded(&Value::Nil));
        assert!(loaded(&Value::Array(vec![Value::Array(vec![Value::Int(1), Value::Int(2)])])));
    }
}
