//! The metrics of XCM messages in packets.

use prometheus::{Error, IntCounterVec};
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
                "Instructions of XCM messages in packets sent on a chain, those of nested programs with them.",
                &["chain", "version", "instruction"],
            )?,
            undecodable: m.counters(
                "relay_xcm_undecodable_total",
                "XCM messages in packets sent on a chain that can't be decoded.",
                &["chain", "reason"],
            )?,
        })
    }
}

impl Metrics {
    /// A packet sent on `chain` carries this. Labels are the format's own names: a bounded set.
    pub fn xcm(&self, chain: &str, found: &Result<VersionedXcm, relayer_xcm::Error>) {
        let chain = self.of(Label::Chain, chain);
        match found {
            Ok(message) => {
                for instruction in message.xcm.instructions_deep() {
                    let labels = [chain, message.version.label(), instruction.name().as_str()];
                    self.xcm.instructions.with_label_values(&labels).inc();
                }
            }
            Err(error) => self.xcm.undecodable.with_label_values(&[chain, error.problem.label()]).inc(),
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
            metrics.xcm("sim-a-1", &VersionedXcm::decode(bytes));
        }
        let text = metrics.encode();
        for line in [
            r#"relay_xcm_instructions_total{chain="sim-a-1",instruction="ClearOrigin",version="v5"} 2"#,
            r#"relay_xcm_instructions_total{chain="sim-a-1",instruction="SetAppendix",version="v5"} 1"#,
            r#"relay_xcm_undecodable_total{chain="sim-a-1",reason="unknown_version"} 1"#,
            r#"relay_xcm_undecodable_total{chain="sim-a-1",reason="unknown_variant"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
