//! Client updates that one transaction can't hold.
//!
//! A header of a chain that shows its finality for some blocks only carries all headers in between, and one for each change of
//! authorities: a client that nobody updated for hours needs more than a transaction may have. The first ones go ahead, alone.

use relayer_core::message::Message;

/// Of a transaction's bytes, what its messages may take: signatures, fees and names take the rest.
const SHARE: (usize, usize) = (9, 10);

/// The transactions that have to be in blocks before the last one, and the updates that go with `messages`. Each holds an update at least,
/// however large that is.
pub fn ahead(updates: Vec<Message>, messages: &[Message], max_tx_bytes: usize) -> (Vec<Vec<Message>>, Vec<Message>) {
    let most = max_tx_bytes / SHARE.1 * SHARE.0;
    let mut groups: Vec<Vec<Message>> = Vec::new();
    let mut taken = 0_usize;
    for update in updates {
        let bytes = update.bytes();
        match groups.last_mut().filter(|_| taken.saturating_add(bytes) <= most) {
            Some(group) => group.push(update),
            None => {
                groups.push(vec![update]);
                taken = 0;
            }
        }
        taken = taken.saturating_add(bytes);
    }
    let with: usize = messages.iter().map(Message::bytes).sum();
    let fits = messages.is_empty() || taken.saturating_add(with) <= most;
    let last = if fits { groups.pop().unwrap_or_default() } else { Vec::new() };
    (groups, last)
}

#[cfg(test)]
mod tests {
    use ibc_proto::google::protobuf::Any;
    use relayer_core::id::ClientId;

    use super::*;

    fn update(bytes: usize) -> Message {
        let client = ClientId::new("08-wasm-0").unwrap();
        Message::UpdateClient { client, message: Any { type_url: String::new(), value: vec![0; bytes] } }
    }

    fn sizes(updates: &[usize], messages: &[usize]) -> (Vec<usize>, usize) {
        let all = |sizes: &[usize]| sizes.iter().copied().map(update).collect::<Vec<_>>();
        let (ahead, last) = super::ahead(all(updates), &all(messages), 100_000);
        (ahead.iter().map(Vec::len).collect(), last.len())
    }

    #[test]
    fn what_fits_into_one_transaction_stays_together() {
        assert_eq!(sizes(&[], &[5_000]), (vec![], 0));
        assert_eq!(sizes(&[30_000], &[50_000]), (vec![], 1));
        assert_eq!(sizes(&[30_000, 30_000], &[]), (vec![], 2));
    }

    #[test]
    fn what_does_not_goes_ahead_in_order_and_as_full_as_may_be() {
        assert_eq!(sizes(&[40_000; 5], &[]), (vec![2, 2], 1));
        assert_eq!(sizes(&[40_000; 5], &[60_000]), (vec![2, 2, 1], 0));
        assert_eq!(sizes(&[300_000, 10_000], &[1_000]), (vec![1], 1));
    }
}
