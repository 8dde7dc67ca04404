//! An application that keeps bytes: what blocks and mempool are tested with.
//!
//! A transaction is `key=value`; one without `=` fails CheckTx, one whose value is `late` fails in its block, and a key that is taken
//! can't be written again.

use crate::devnet::embedded::store::Store;
use crate::devnet::embedded::{BlockContext, Event, Executed, QueryAnswer, TxResult};

/// See the module.
#[derive(Default)]
pub(crate) struct Blank {
    state: Store,
    check: Store,
}

fn write(store: &mut Store, tx: &[u8], in_block: bool) -> TxResult {
    let refused =
        |code, log: &str| TxResult { code, codespace: "blank".into(), log: log.into(), ..TxResult::default() };
    let text = String::from_utf8_lossy(tx);
    let Some((key, value)) = text.split_once('=') else { return refused(1, "no key") };
    if store.get("blank", key.as_bytes()).is_some() {
        return refused(2, "taken");
    }
    if in_block && value == "late" {
        return refused(3, "late");
    }
    store.set("blank", key.into(), value.into());
    let attributes = vec![("key".into(), key.into()), ("value".into(), value.into())];
    TxResult {
        gas_wanted: 10,
        gas_used: 5,
        events: vec![Event { kind: "write".into(), attributes }],
        ..TxResult::default()
    }
}

impl super::Application for Blank {
    fn check(&mut self, tx: &[u8]) -> TxResult {
        write(&mut self.check, tx, false)
    }

    fn execute(&mut self, _: &BlockContext, txs: &[Vec<u8>]) -> Executed {
        let results = txs.iter().map(|tx| write(&mut self.state, tx, true)).collect();
        let app_hash = self.state.commit();
        self.check = self.state.clone();
        Executed { results, events: Vec::new(), app_hash }
    }

    fn query(&self, path: &str, data: &[u8], height: u64, _: bool) -> QueryAnswer {
        let (value, proof) = self.state.prove(path, data);
        QueryAnswer { key: data.to_vec(), value: value.unwrap_or_default(), height, proof, ..QueryAnswer::default() }
    }
}
