//! XCM messages: whatever the bytes are, they are one message or refused at an offset within them; a memo that carries them is judged
//! as they are; and a message put into another is met there as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use relayer_xcm::limits::{INSTRUCTIONS, MESSAGE_BYTES, NESTING, SUMMARY_BYTES};
use relayer_xcm::{Instruction, VersionedXcm, Xcm, in_memo};

/// Within the message: its version byte, one instruction, that it is SetAppendix.
const FRONT: [u8; 2] = [4, 22];

fuzz_target!(|data: &[u8]| {
    let read = VersionedXcm::decode(data);
    let memo = format!(r#"{{"n":1,"xcm":"0x{}"}}"#, hex::encode(data));
    assert_eq!(in_memo(&memo), Some(read.clone()));
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(Err(error)) = in_memo(text)
    {
        assert!(error.offset <= MESSAGE_BYTES);
    }
    let message = match read {
        Ok(message) => message,
        Err(error) => return assert!(error.offset <= data.len(), "{error}"),
    };
    let count = message.xcm.instructions_deep().count();
    assert!(count <= INSTRUCTIONS && depth(&message.xcm) <= NESTING);
    let line = message.summary();
    assert!(line.len() <= SUMMARY_BYTES && !line.contains('\n'), "{line}");
    assert!(VersionedXcm::decode(&[data, &[0]].concat()).is_err());
    let (Some(version), Some(program)) = (data.get(..1), data.get(1..)) else { return };
    assert!(VersionedXcm::decode(&data[..data.len() - 1]).is_err());

    let wrapped = VersionedXcm::decode(&[version, &FRONT, program].concat());
    let fits = count < INSTRUCTIONS && depth(&message.xcm) < NESTING && data.len() + FRONT.len() <= MESSAGE_BYTES;
    assert_eq!(wrapped.is_ok(), fits, "{wrapped:?}");
    if let Ok(wrapped) = wrapped {
        assert_eq!(wrapped.xcm.instructions(), [Instruction::SetAppendix(message.xcm)]);
    }
});

/// Programs in one another, this one being the first.
fn depth(xcm: &Xcm) -> usize {
    1 + xcm.instructions().iter().filter_map(Instruction::nested).map(depth).max().unwrap_or_default()
}
