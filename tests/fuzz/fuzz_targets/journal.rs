//! Rows of a journal that something else wrote: what is read is written and read again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relayer::journal::fuzz;
use relayer_core::id::ChainId;
use relayer_fuzz::Input;
use rusqlite::types::Value;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let input = &mut input;
    let number = |input: &mut Input<'_>| Value::Integer(input.signed());
    let text = |input: &mut Input<'_>| Value::Text(input.text().to_owned());
    let chain = ChainId::new("sim-a-1").expect("an id");
    let attempt = [
        Value::Blob(input.bytes(32).to_vec()),
        Value::Text(chain.to_string()),
        text(input),
        text(input),
        number(input),
        number(input),
        number(input),
        text(input),
        text(input),
        number(input),
    ];
    let packet = [
        Value::Text(fuzz::PATH.into()),
        Value::Integer(i64::from(input.byte())),
        text(input),
        text(input),
        number(input),
        Value::Blob(input.bytes(16).to_vec()),
        text(input),
        Value::Integer(0),
        number(input),
        number(input),
        Value::Null,
        text(input),
    ];
    let Some(db) = fuzz::journal(&attempt, &packet) else { return };
    if let Some([first, again]) = fuzz::attempts(&db, &chain) {
        assert_eq!(first, again);
        assert_eq!(first.len(), 1);
    }
    for packet in fuzz::packets(&db).unwrap_or_default() {
        let json = serde_json::to_string(&packet).expect("a packet as JSON");
        assert_eq!(serde_json::from_str::<relayer::journal::JournalPacket>(&json).ok(), Some(packet));
    }
});
