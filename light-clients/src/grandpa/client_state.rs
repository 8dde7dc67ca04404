//! Client state: how a chain that GRANDPA finalizes is verified.

use super::schema;
use crate::limits::{MAX_CHILD_TRIE_BYTES, MAX_CLIENT_STATE_BYTES};
use crate::wire::{decode, decode_any, encode_any};
use crate::{Height, Parameter, Part, Reason, Timestamp};
use alloc::{string::String, vec::Vec};
use core::time::Duration;
use ibc_proto::google::protobuf::Any;
use ibc_proto::ibc::lightclients::wasm::v1::ClientState as WasmClientState;
use prost::Message;

/// What a client state is made of; [`ClientState::new`] checks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientParameters {
    /// The chain's name: 1 to 50 letters, digits, `-`, `_`, `.`.
    pub chain_id: String,
    /// How long a verified block is trusted, in whole seconds.
    pub trusting_period: Duration,
    /// How far a block's time may be ahead of ours, in whole seconds.
    pub max_clock_drift: Duration,
    /// Set once the client was frozen.
    pub frozen_height: Option<Height>,
    /// Highest verified height. Its revision is the client's.
    pub latest_height: Height,
    /// Child trie under which the chain keeps its IBC state; empty: the main trie.
    pub child_trie: Vec<u8>,
    /// SHA-256 of the contract's code.
    pub checksum: [u8; 32],
}

/// A client state that keeps the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientState(ClientParameters);

impl ClientState {
    /// Checks the parameters.
    pub fn new(parameters: ClientParameters) -> Result<Self, Reason> {
        let refuse = |parameter| Err(Reason::Parameter { parameter });
        let p = &parameters;
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if p.chain_id.is_empty() || p.chain_id.len() > 50 || !p.chain_id.bytes().all(in_name) {
            return refuse(Parameter::ChainId);
        }
        for (period, parameter) in
            [(p.trusting_period, Parameter::TrustingPeriod), (p.max_clock_drift, Parameter::MaxClockDrift)]
        {
            // Half of what 64 bits of nanoseconds hold, so that no sum with a time of these centuries overflows.
            if period.is_zero() || period.subsec_nanos() != 0 || period.as_nanos() > u128::from(u64::MAX / 2) {
                return refuse(parameter);
            }
        }
        if p.latest_height.number == 0 || u32::try_from(p.latest_height.number).is_err() {
            return refuse(Parameter::LatestHeight);
        }
        if p.child_trie.len() > MAX_CHILD_TRIE_BYTES {
            return refuse(Parameter::ChildTrie);
        }
        Ok(Self(parameters))
    }

    /// Decodes and checks the `ibc.lightclients.wasm.v1.ClientState`.
    pub fn decode(any: &Any) -> Result<Self, Reason> {
        let wrapper: WasmClientState = decode_any(any, Part::ClientState, MAX_CLIENT_STATE_BYTES)?;
        let state = Self::from_data(&wrapper.data, &wrapper.checksum)?;
        if wrapper.latest_height.map(Height::from) != Some(state.latest_height()) {
            return Err(Reason::Parameter { parameter: Parameter::LatestHeight });
        }
        Ok(state)
    }

    /// Decodes and checks what the wrapper holds.
    pub fn from_data(data: &[u8], checksum: &[u8]) -> Result<Self, Reason> {
        let raw: schema::ClientState = decode(data, Part::ClientState, MAX_CLIENT_STATE_BYTES)?;
        Self::new(ClientParameters {
            chain_id: raw.chain_id,
            trusting_period: Duration::from_secs(raw.trusting_period_seconds),
            max_clock_drift: Duration::from_secs(raw.max_clock_drift_seconds),
            frozen_height: raw.frozen_height.map(Height::from).filter(|height| !height.is_zero()),
            latest_height: raw.latest_height.map(Height::from).unwrap_or_default(),
            child_trie: raw.child_trie,
            checksum: checksum.try_into().map_err(|_| Reason::Parameter { parameter: Parameter::Checksum })?,
        })
    }

    /// The `ibc.lightclients.wasm.v1.ClientState`.
    pub fn encode(&self) -> Any {
        let p = &self.0;
        let raw = schema::ClientState {
            chain_id: p.chain_id.clone(),
            trusting_period_seconds: p.trusting_period.as_secs(),
            max_clock_drift_seconds: p.max_clock_drift.as_secs(),
            frozen_height: p.frozen_height.map(Into::into),
            child_trie: p.child_trie.clone(),
            latest_height: Some(p.latest_height.into()),
        };
        encode_any(&WasmClientState {
            data: raw.encode_to_vec(),
            checksum: p.checksum.into(),
            latest_height: Some(p.latest_height.into()),
        })
    }

    /// Its parameters.
    pub fn parameters(&self) -> &ClientParameters {
        &self.0
    }

    /// Highest verified height.
    pub fn latest_height(&self) -> Height {
        self.0.latest_height
    }

    /// Whether trust in a block of this time has ended.
    pub fn is_expired(&self, trusted: Timestamp, now: Timestamp) -> bool {
        // Bounded by `new` to half of what 64 bits hold.
        let period = u64::try_from(self.0.trusting_period.as_nanos()).unwrap_or(u64::MAX);
        trusted.as_nanos().saturating_add(period) <= now.as_nanos()
    }

    /// Refuses a frozen client.
    pub fn ensure_active(&self) -> Result<(), Reason> {
        match self.0.frozen_height {
            Some(height) => Err(Reason::ClientFrozen { height }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> ClientParameters {
        ClientParameters {
            chain_id: "substrate-dev".into(),
            trusting_period: Duration::from_secs(86_400),
            max_clock_drift: Duration::from_secs(30),
            frozen_height: Some(Height::new(0, 1)),
            latest_height: Height::new(0, 7),
            child_trie: b"ibc".into(),
            checksum: [5; 32],
        }
    }

    #[test]
    fn decode_gives_back_what_encode_wrote() {
        let state = ClientState::new(parameters()).unwrap();
        assert_eq!(ClientState::decode(&state.encode()).unwrap(), state);
        assert_eq!(state.ensure_active(), Err(Reason::ClientFrozen { height: Height::new(0, 1) }));
    }

    #[test]
    fn each_rule_refuses_its_parameter() {
        type Break = fn(&mut ClientParameters);
        let rules: [(Parameter, Break); 10] = [
            (Parameter::ChainId, |p| p.chain_id.clear()),
            (Parameter::ChainId, |p| p.chain_id = "x".repeat(51)),
            (Parameter::ChainId, |p| p.chain_id = "a b".into()),
            (Parameter::TrustingPeriod, |p| p.trusting_period = Duration::ZERO),
            (Parameter::TrustingPeriod, |p| p.trusting_period = Duration::from_secs(u64::MAX)),
            (Parameter::MaxClockDrift, |p| p.max_clock_drift = Duration::ZERO),
            (Parameter::MaxClockDrift, |p| p.max_clock_drift = Duration::from_millis(1_500)),
            (Parameter::LatestHeight, |p| p.latest_height.number = 0),
            (Parameter::LatestHeight, |p| p.latest_height.number = 1 << 32),
            (Parameter::ChildTrie, |p| p.child_trie = [0; MAX_CHILD_TRIE_BYTES + 1].into()),
        ];
        assert!(ClientState::new(parameters()).is_ok());
        for (parameter, spoil) in rules {
            let mut spoiled = parameters();
            spoil(&mut spoiled);
            assert_eq!(ClientState::new(spoiled), Err(Reason::Parameter { parameter }));
        }
        let encoded = ClientState::new(parameters()).unwrap().encode().value;
        let spoiled = |spoil: fn(&mut WasmClientState)| {
            let mut wrapper = WasmClientState::decode(encoded.as_slice()).unwrap();
            spoil(&mut wrapper);
            ClientState::decode(&encode_any(&wrapper)).unwrap_err()
        };
        let checksum = spoiled(|wrapper| wrapper.checksum.truncate(31));
        assert_eq!(checksum, Reason::Parameter { parameter: Parameter::Checksum });
        let height = spoiled(|wrapper| wrapper.latest_height = Some(Height::new(0, 8).into()));
        assert_eq!(height, Reason::Parameter { parameter: Parameter::LatestHeight });
    }
}
