//! redis-cell's one command, `CL.THROTTLE`, where the module is loaded.
//!
//! It decides one key at a time, in whole seconds for the way back, and can't give tokens back; so it serves decisions of one
//! level that nobody refunds, and only when the settings ask for it. Shape of a reply: limited 0|1, limit, remaining,
//! retry_after_s (-1: not limited), reset_s. `COMMAND INFO CL.THROTTLE` tells whether it is there.

use std::time::Duration;

use redis::{Cmd, Value};

use super::budget::Budget;
use super::error::StoreError;

/// What redis-cell says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Throttle {
    Now,
    Wait(Duration),
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

/// The command for `n` of this budget; `None` when its whole seconds can't express the period.
pub(super) fn command(domain: &str, budget: &Budget, n: u64) -> Option<Cmd> {
    if !budget.period_us.is_multiple_of(1_000_000) {
        return None;
    }
    let mut cmd = redis::cmd("CL.THROTTLE");
    // Its "max burst" is what may come on top of the first.
    cmd.arg(format!("{{{domain}}}:cell:{}", budget.key)).arg(budget.room.saturating_sub(1)).arg(budget.tokens);
    cmd.arg(budget.period_us / 1_000_000).arg(n);
    Some(cmd)
}

/// Reads a reply.
pub(super) fn parse(reply: &Value) -> Result<Throttle, StoreError> {
    let Value::Array(items) = reply else { return Err(StoreError::Garbage { what: "no list to CL.THROTTLE" }) };
    match items.as_slice() {
        [Value::Int(0), Value::Int(_), Value::Int(_), Value::Int(_), Value::Int(_)] => Ok(Throttle::Now),
        [Value::Int(1), Value::Int(_), Value::Int(_), Value::Int(retry_s), Value::Int(_)] => {
            // Whole seconds, rounded down: at least one millisecond, so that nobody spins.
            let wait = Duration::from_secs(u64::try_from(*retry_s).unwrap_or(0));
            Ok(Throttle::Wait(wait.max(super::limits::SHORTEST_WAIT)))
        }
        _ => Err(StoreError::Garbage { what: "a list that is not five numbers to CL.THROTTLE" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(numbers: &[i64]) -> Value {
        Value::Array(numbers.iter().map(|n| Value::Int(*n)).collect())
    }

    #[test]
    fn replies_of_the_module_are_read() {
        assert_eq!(parse(&reply(&[0, 15, 14, -1, 2])), Ok(Throttle::Now));
        assert_eq!(parse(&reply(&[1, 15, 0, 2, 60])), Ok(Throttle::Wait(Duration::from_secs(2))));
        assert_eq!(parse(&reply(&[1, 15, 0, 0, 60])), Ok(Throttle::Wait(Duration::from_millis(1))));
    }

    #[test]
    fn other_replies_are_garbage_not_permission() {
        for bad in [Value::Nil, Value::Int(0), reply(&[]), reply(&[0]), reply(&[2, 1, 1, 1, 1]), reply(&[0; 6])] {
            assert!(matches!(parse(&bad), Err(StoreError::Garbage { .. })), "{bad:?}");
        }
    }

    #[test]
    fn a_server_without_the_module_is_told_by_nil() {
        assert!(!loaded(&Value::Array(vec![Value::Nil])));
        assert!(loaded(&Value::Array(vec![reply(&[1, 2])])));
    }

    #[test]
    fn a_budget_becomes_the_module_s_five_arguments() {
        let Ok(budget) = Budget::strong("hub", 30, Duration::from_secs(60), 16) else { panic!("refused") };
        let packed =
            command("rpc", &budget, 2).map(|cmd| String::from_utf8_lossy(&cmd.get_packed_command()).into_owned());
        assert!(
            packed.is_some_and(|p| p.contains("{rpc}:cell:hub\r\n$2\r\n15\r\n$2\r\n30\r\n$2\r\n60\r\n$1\r\n2\r\n"))
        );
    }
}
