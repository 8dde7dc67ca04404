//! The GRANDPA light client as a contract of ibc-go's 08-wasm module.
//!
//! ibc-go keeps a client's states in its own store and asks a contract what to think of a message. This contract decodes,
//! asks [`light_clients::grandpa`], which the relayer asks before it pays, and encodes what that says. Only signatures are
//! verified by the host, by the same ZIP-215 rule, for a fraction of the gas.
//!
//! **Spec**: ibc-go's `08-wasm` contract interface (v10); ICS-02, ICS-10.
//!
//! **Shapes.** [`msg`] is ibc-go's JSON. States lie where ibc-go looks for them: `clientState` and
//! `consensusStates/{height}`, each an `Any` of `ibc.lightclients.wasm.v1`.
//!
//! **Bounds.** Those of `light_clients::limits`; JSON is bounded by the chain's own limit of a transaction.
//!
//! **Errors.** [`ContractError`]; what is refused names the reason.

pub mod client;
mod error;
pub mod msg;
mod recover;
mod store;

pub use error::ContractError;

/// The functions the host calls.
#[allow(unsafe_code, missing_docs)]
mod entry {
    use crate::msg::{InstantiateMsg, MigrateMsg, QueryMsg, SudoMsg};
    use crate::{ContractError, client};
    use cosmwasm_std::{Binary, Deps, DepsMut, Env, MessageInfo, Response, entry_point};

    #[entry_point]
    pub fn instantiate(
        deps: DepsMut<'_>,
        _env: Env,
        _info: MessageInfo,
        msg: InstantiateMsg,
    ) -> Result<Response, ContractError> {
        client::instantiate(deps, msg)
    }

    #[entry_point]
    pub fn sudo(deps: DepsMut<'_>, env: Env, msg: SudoMsg) -> Result<Response, ContractError> {
        client::sudo(deps, env, msg)
    }

    #[entry_point]
    pub fn query(deps: Deps<'_>, env: Env, msg: QueryMsg) -> Result<Binary, ContractError> {
        client::query(deps, env, msg)
    }

    #[entry_point]
    pub fn migrate(deps: DepsMut<'_>, _env: Env, msg: MigrateMsg) -> Result<Response, ContractError> {
        client::migrate(deps, msg)
    }
}

pub use entry::{instantiate, migrate, query, sudo};
