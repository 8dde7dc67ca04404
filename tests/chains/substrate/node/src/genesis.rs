//! The first state: who makes and finalizes blocks, who has how much, who is root.

use sc_chain_spec::{ChainSpec, ChainType, GenericChainSpec, NoExtension};
use serde_json::json;
use test_runtime::CHAIN_ID;

use crate::args::Args;
use crate::error::NodeError;
use crate::keys;

/// What each account has at first, in the smallest unit of the native token. Below 2^63, so that a transfer of all of it has room in ICS-20's
/// text and in any 64-bit reader of it.
const ENDOWMENT: u64 = 1 << 60;

/// The chain of these arguments. The same arguments, `index` and ports aside, give the same genesis block.
pub(crate) fn chain_spec(args: &Args) -> Result<Box<dyn ChainSpec>, NodeError> {
    let runtime =
        std::fs::read(&args.runtime).map_err(|source| NodeError::Runtime { path: args.runtime.clone(), source })?;
    let validators: Vec<String> = (0..args.peers.len()).map(keys::seed).collect();
    let authors = validators.iter().map(|seed| keys::sr25519_address(seed)).collect::<Result<Vec<_>, _>>()?;
    let voters = validators.iter().map(|seed| keys::ed25519_address(seed)).collect::<Result<Vec<_>, _>>()?;
    let voters: Vec<_> = voters.into_iter().zip(weights(args)?).collect();
    let accounts = keys::ACCOUNTS.iter().map(|seed| keys::sr25519_address(seed)).collect::<Result<Vec<_>, _>>()?;
    let patch = json!({
        "aura": { "authorities": authors },
        "grandpa": { "authorities": voters },
        "balances": { "balances": accounts.iter().map(|account| (account, ENDOWMENT)).collect::<Vec<_>>() },
        "sudo": { "key": accounts.first() },
    });
    let spec = GenericChainSpec::<NoExtension>::builder(&runtime, None)
        .with_name(CHAIN_ID)
        .with_id(CHAIN_ID)
        .with_chain_type(ChainType::Development)
        .with_genesis_config_patch(patch)
        .build();
    Ok(Box::new(spec))
}

fn weights(args: &Args) -> Result<Vec<u64>, NodeError> {
    let validators = args.peers.len();
    if args.weights.is_empty() {
        return Ok(vec![1; validators]);
    }
    if args.weights.len() != validators || args.weights.contains(&0) {
        return Err(NodeError::Settings(format!(
            "--weights: {validators} positive numbers are needed, one a validator"
        )));
    }
    Ok(args.weights.clone())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn args(more: &[&str]) -> Args {
        let usual = ["test-node", "--runtime", "none", "--data", "none", "--rpc-port", "1", "--peers", "2,3,4"];
        Args::try_parse_from(usual.iter().chain(more)).unwrap()
    }

    #[test]
    fn a_validator_weighs_one_unless_told_otherwise() {
        assert_eq!(weights(&args(&[])).unwrap(), [1, 1, 1]);
        assert_eq!(weights(&args(&["--weights", "5,1,2"])).unwrap(), [5, 1, 2]);
    }

    #[test]
    fn weights_that_are_no_weights_of_the_validators_are_refused() {
        for wrong in ["1,1", "1,1,1,1", "1,0,1"] {
            assert!(matches!(weights(&args(&["--weights", wrong])), Err(NodeError::Settings(_))), "{wrong}");
        }
    }

    #[test]
    fn a_chain_without_its_rules_is_refused() {
        assert!(matches!(chain_spec(&args(&[])), Err(NodeError::Runtime { .. })));
    }
}
