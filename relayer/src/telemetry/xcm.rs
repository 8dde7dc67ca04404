//! The metrics of XCM messages, in packets and beside them.

use prometheus::{Error, IntCounterVec};
use relayer_core::fact::XcmPlace;
use relayer_xcm::VersionedXcm;

use super::maker::Maker;
use super::metrics::{Label, Metrics};

#[derive(Debug)]
pub(super) struct XcmMetrics {
    instructions: IntCounterVec,
    undecodable: IntCounterVec,
}

impl XcmMetrics {
    pub(super) fn new(m: &Maker) -> Result<Self, Error> {
        Ok(Self {
            instructions: m.counters(
                "relay_xcm_instructions_total",
                "Instructions of XCM messages met on a chain, those of nested programs with them, by place: memo, transaction, event.",
                &["chain", "place", "version", "instruction"],
            )?,
            undecodable: m.counters(
                "relay_xcm_undecodable_total",
                "XCM messages met on a chain that can't be decoded.",
                &["chain", "place", "reason"],
            )?,
        })
    }
}

impl Metrics {
    /// This was met on `chain`. Labels are the format's own names: a bounded set.
    pub fn xcm(&self, chain: &str, place: XcmPlace, found: &Result<VersionedXcm, relayer_xcm::Error>) {
        let (chain, place) = (self.of(Label::Chain, chain), place.label());
        match found {
            Ok(message) => {
                for instruction in message.xcm.instructions_deep() {
                    let labels = [chain, place, message.version.label(), instruction.name().as_str()];
                    self.xcm.instructions.with_label_values(&labels).inc();
                }
            }
            Err(error) => self.xcm.undecodable.with_label_values(&[chain, place, error.problem.label()]).inc(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_counted_with_those_of_nested_programs_and_refusals_by_reason() {
        let metrics = Metrics::new().unwrap();
        // SetAppendix [ClearOrigin, ClearOrigin]; an unknown version; an unknown instruction
        for bytes in [&[5, 4, 22, 8, 10, 10][..], &[9], &[4, 4, 99]] {
            metrics.xcm("sim-a-1", XcmPlace::Event, &VersionedXcm::decode(bytes));
        }
        let text = metrics.encode();
        for line in [
            r#"relay_xcm_instructions_total{chain="sim-a-1",instruction="ClearOrigin",place="event",version="v5"} 2"#,
            r#"relay_xcm_instructions_total{chain="sim-a-1",instruction="SetAppendix",place="event",version="v5"} 1"#,
            r#"relay_xcm_undecodable_total{chain="sim-a-1",place="event",reason="unknown_version"} 1"#,
            r#"relay_xcm_undecodable_total{chain="sim-a-1",place="event",reason="unknown_variant"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
