//! The first state: who makes and finalizes blocks, who has how much, who is root.

use sc_chain_spec::{ChainSpec, ChainType, GenericChainSpec, NoExtension};
use sp_core::storage::{Storage, well_known_keys};
use sp_runtime::BuildStorage;
use test_runtime::{AuraConfig, Balance, BalancesConfig, CHAIN_ID, GrandpaConfig, RuntimeGenesisConfig, SudoConfig};

use crate::args::Args;
use crate::error::NodeError;
use crate::keys;

/// What each account has at first, in the smallest unit of the native token. Below 2^63, so that a transfer of all of it has room in ICS-20's
/// text and in any 64-bit reader of it.
const ENDOWMENT: Balance = 1 << 60;

/// The chain of these arguments. The same arguments, `index` and ports aside, give the same genesis block.
pub(crate) fn chain_spec(args: &Args) -> Result<Box<dyn ChainSpec>, NodeError> {
    let runtime =
        std::fs::read(&args.runtime).map_err(|source| NodeError::Runtime { path: args.runtime.clone(), source })?;
    let storage = storage(args, runtime)?;
    let mut spec = GenericChainSpec::<NoExtension>::builder(&[], None)
        .with_name(CHAIN_ID)
        .with_id(CHAIN_ID)
        .with_chain_type(ChainType::Development)
        .build();
    spec.set_storage(storage);
    Ok(Box::new(spec))
}

/// The state, made by the same pallets natively: asking the wasm for it would compile all of it once more.
fn storage(args: &Args, runtime: Vec<u8>) -> Result<Storage, NodeError> {
    let validators: Vec<String> = (0..args.peers.len()).map(keys::seed).collect();
    let authors = validators.iter().map(|seed| keys::sr25519(seed)).collect::<Result<Vec<_>, _>>()?;
    let voters = validators.iter().map(|seed| keys::ed25519(seed)).collect::<Result<Vec<_>, _>>()?;
    let accounts = keys::ACCOUNTS.iter().map(|seed| keys::sr25519(seed)).collect::<Result<Vec<_>, _>>()?;
    let genesis = RuntimeGenesisConfig {
        aura: AuraConfig { authorities: authors.into_iter().map(Into::into).collect() },
        grandpa: GrandpaConfig {
            authorities: voters.into_iter().map(Into::into).zip(weights(args)?).collect(),
            ..Default::default()
        },
        balances: BalancesConfig {
            balances: accounts.iter().map(|account| ((*account).into(), ENDOWMENT)).collect(),
            ..Default::default()
        },
        sudo: SudoConfig { key: accounts.first().map(|account| (*account).into()) },
        ..Default::default()
    };
    let mut storage = genesis.build_storage().map_err(NodeError::Settings)?;
    storage.top.insert(well_known_keys::CODE.to_vec(), runtime);
    Ok(storage)
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
