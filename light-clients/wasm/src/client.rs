//! What the contract does: decode, ask the light client, encode.

use crate::ContractError;
use crate::msg::{
    Empty, InstantiateMsg, Membership, MigrateMsg, MisbehaviourResult, QueryMsg, StatusResult, SudoMsg,
    TimestampResult, UpdateResult,
};
use crate::recover::recover;
use crate::store::{KNOWN_VERSION, Place};
use cosmwasm_std::{Api, Binary, Deps, DepsMut, Env, Response, Storage, to_json_binary};
use light_clients::commitment::trie::{TrieProof, decode_nodes};
use light_clients::grandpa::{
    ClientMessage, ClientParameters, ClientState, ConsensusState, Header, new_state, verify_header_with,
    verify_misbehaviour_with, verify_storage,
};
use light_clients::{Height, MerklePath, Timestamp};

/// The height ibc-go gives frozen clients.
const FROZEN: Height = Height::new(0, 1);

/// Whether a client can be used, in ibc-go's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It can.
    Active,
    /// Misbehaviour was shown.
    Frozen,
    /// Its latest state is older than the trusting period, or gone.
    Expired,
}

/// Creates a client that is active at its latest height.
pub fn instantiate(deps: DepsMut<'_>, msg: InstantiateMsg) -> Result<Response, ContractError> {
    let client = ClientState::from_data(&msg.client_state, &msg.checksum)?;
    client.ensure_active()?;
    let height = client.latest_height();
    let consensus = ConsensusState::from_data(&msg.consensus_state, height)?;
    Place::Own.set_client(deps.storage, &client);
    Place::Own.set_consensus(deps.storage, height, &consensus);
    Place::Own.set_version(deps.storage);
    Ok(Response::new())
}

/// What changes or proves states.
pub fn sudo(deps: DepsMut<'_>, env: Env, msg: SudoMsg) -> Result<Response, ContractError> {
    let answer = match msg {
        SudoMsg::UpdateState(msg) => to_json_binary(&update(deps.storage, &env, &msg.client_message)?),
        SudoMsg::UpdateStateOnMisbehaviour(_) => {
            let client = Place::Own.client(deps.storage)?;
            let frozen = ClientParameters { frozen_height: Some(FROZEN), ..client.parameters().clone() };
            Place::Own.set_client(deps.storage, &ClientState::new(frozen)?);
            to_json_binary(&Empty {})
        }
        SudoMsg::VerifyMembership(membership) => {
            let value = membership.value.clone().unwrap_or_default();
            verify(deps.storage, &membership, Some(&value))?;
            to_json_binary(&Empty {})
        }
        SudoMsg::VerifyNonMembership(membership) => {
            verify(deps.storage, &membership, None)?;
            to_json_binary(&Empty {})
        }
        SudoMsg::VerifyUpgradeAndUpdateState(_) => return Err(ContractError::Upgrade),
        SudoMsg::MigrateClientStore(_) => {
            recover(deps.storage, &env)?;
            to_json_binary(&Empty {})
        }
    };
    Ok(Response::new().set_data(answer?))
}

/// Questions.
pub fn query(deps: Deps<'_>, env: Env, msg: QueryMsg) -> Result<Binary, ContractError> {
    let client = Place::Own.client(deps.storage)?;
    let answer = match msg {
        QueryMsg::Status(_) => {
            let latest = Place::Own.find(deps.storage, client.latest_height())?;
            let status = format!("{:?}", status(&client, latest.as_ref(), &env));
            to_json_binary(&StatusResult { status })
        }
        QueryMsg::TimestampAtHeight { height } => {
            let state = Place::Own.consensus(deps.storage, height.into())?;
            to_json_binary(&TimestampResult { timestamp: state.timestamp().as_nanos() })
        }
        QueryMsg::VerifyClientMessage(msg) => {
            verify_message(deps, &env, &client, &msg.client_message)?;
            to_json_binary(&Empty {})
        }
        QueryMsg::CheckForMisbehaviour(msg) => {
            let found_misbehaviour = match ClientMessage::from_data(&msg.client_message)? {
                ClientMessage::Misbehaviour(_) => true,
                ClientMessage::Header(header) => {
                    let stored = Place::Own.find(deps.storage, header.height())?;
                    let proven = proven(deps.storage, &env, &client, &header)?;
                    stored.is_some_and(|stored| stored != proven)
                }
            };
            to_json_binary(&MisbehaviourResult { found_misbehaviour })
        }
    };
    Ok(answer?)
}

/// Takes over from other code, in two stages: first everything it will need is read and written back in memory, and only
/// if that gives the same is anything changed. An error leaves the old code in place.
pub fn migrate(deps: DepsMut<'_>, _msg: MigrateMsg) -> Result<Response, ContractError> {
    let found = Place::Own.version(deps.storage);
    if found != KNOWN_VERSION {
        return Err(ContractError::Version { found, known: KNOWN_VERSION });
    }
    let client = Place::Own.client(deps.storage)?;
    let height = client.latest_height();
    let state = Place::Own.consensus(deps.storage, height)?;
    let same =
        ClientState::decode(&client.encode())? == client && ConsensusState::decode(&state.encode(), height)? == state;
    if !same {
        return Err(ContractError::Store);
    }
    Place::Own.set_version(deps.storage);
    Ok(Response::new())
}

/// Whether a client with this latest state can be used now.
pub fn status(client: &ClientState, latest: Option<&ConsensusState>, env: &Env) -> Status {
    if client.ensure_active().is_err() {
        return Status::Frozen;
    }
    match latest {
        Some(state) if !client.is_expired(state.timestamp(), now(env)) => Status::Active,
        _ => Status::Expired,
    }
}

fn verify_message(deps: Deps<'_>, env: &Env, client: &ClientState, message: &[u8]) -> Result<(), ContractError> {
    let signed = |key: &[u8; 32], message: &[u8], signature: &[u8; 64]| host(deps.api, key, message, signature);
    let trusted = |header: &Header| Place::Own.consensus(deps.storage, header.trusted_height());
    match ClientMessage::from_data(message)? {
        ClientMessage::Header(header) => {
            verify_header_with(client, &trusted(&header)?, &header, now(env), &signed)?;
        }
        ClientMessage::Misbehaviour(misbehaviour) => {
            let (first, second) = misbehaviour.headers();
            let (first, second) = (trusted(first)?, trusted(second)?);
            verify_misbehaviour_with(client, &first, &second, &misbehaviour, now(env), &signed)?;
        }
    }
    Ok(())
}

/// Stores what a header proves; misbehaviour proves no state. ibc-go has asked to verify the message before, but not always
/// what it is: when a transaction enters the mempool, misbehaviour comes here, too, and an error would keep it out.
fn update(storage: &mut dyn Storage, env: &Env, message: &[u8]) -> Result<UpdateResult, ContractError> {
    let client = Place::Own.client(storage)?;
    let ClientMessage::Header(header) = ClientMessage::from_data(message)? else {
        return Ok(UpdateResult { heights: Vec::new() });
    };
    let (height, state) = (header.height(), proven(storage, env, &client, &header)?);
    if Place::Own.find(storage, height)?.is_none() {
        Place::Own.set_consensus(storage, height, &state);
    }
    if height > client.latest_height() {
        let parameters = ClientParameters { latest_height: height, ..client.parameters().clone() };
        Place::Own.set_client(storage, &ClientState::new(parameters)?);
    }
    Ok(UpdateResult { heights: vec![height.into()] })
}

/// The state a verified header proves.
fn proven(
    storage: &dyn Storage,
    env: &Env,
    client: &ClientState,
    header: &Header,
) -> Result<ConsensusState, ContractError> {
    let trusted = Place::Own.consensus(storage, header.trusted_height())?;
    Ok(new_state(client, &trusted, header, now(env))?)
}

fn verify(storage: &dyn Storage, membership: &Membership, value: Option<&[u8]>) -> Result<(), ContractError> {
    if (membership.delay_time_period, membership.delay_block_period) != (0, 0) {
        return Err(ContractError::Delay);
    }
    let client = Place::Own.client(storage)?;
    client.ensure_active()?;
    let state = Place::Own.consensus(storage, membership.height.into())?;
    let nodes = decode_nodes(&membership.proof)?;
    let path = MerklePath::from_keys(membership.merkle_path.key_path.iter().map(|key| key.to_vec()).collect());
    Ok(verify_storage(&client, state.root(), &TrieProof::new(&nodes)?, &path, value)?)
}

fn now(env: &Env) -> Timestamp {
    Timestamp::from_nanos(env.block.time.nanos())
}

/// The host's ed25519, which is ZIP-215, too; what it can't read is no signature.
fn host(api: &dyn Api, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    api.ed25519_verify(message, signature, key).unwrap_or(false)
}
