//! Recovery: a frozen or expired client takes over the states of an active one that follows the same chain.

use crate::ContractError;
use crate::client::{Status, status};
use crate::store::Place;
use cosmwasm_std::{Env, Storage};
use light_clients::grandpa::{ClientParameters, ClientState};

/// Copies the substitute's latest state; all but heights and freezing has to be the same.
pub(crate) fn recover(storage: &mut dyn Storage, env: &Env) -> Result<(), ContractError> {
    let (subject, substitute) = (Place::Subject.client(storage)?, Place::Substitute.client(storage)?);
    let latest = substitute.latest_height();
    let state = Place::Substitute.consensus(storage, latest)?;
    let active = status(&substitute, Some(&state), env) == Status::Active;
    if !active || fixed(&subject) != fixed(&substitute) {
        return Err(ContractError::Substitute);
    }
    Place::Subject.set_consensus(storage, latest, &state);
    Place::Subject.set_client(storage, &substitute);
    Ok(())
}

fn fixed(client: &ClientState) -> ClientParameters {
    ClientParameters { frozen_height: None, latest_height: Default::default(), ..client.parameters().clone() }
}
