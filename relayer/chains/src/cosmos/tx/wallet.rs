//! One wallet on one Cosmos chain: asks what it has, prepares, broadcasts and looks up transactions.
//!
//! Sequences come from the lane as arguments; only the account number is kept. Simulation and the account sequence: the SDK (0.53)
//! simulates on CheckTx state, which holds the sequences of what the node's mempool has accepted, and compares the sequence as for a
//! real transaction. A transaction that is prepared while its predecessors are not yet broadcast is therefore "ahead" of the node; since
//! gas does not depend on the number, it is simulated again with the one that the node expects. A node that expects a *later* one than we
//! have means that somebody else signs with our key: that is [`TxFailure::SequenceMismatch`].

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ibc_proto::cosmos::tx::v1beta1::{SimulateRequest, SimulateResponse};
use ibc_proto::google::protobuf::Any;
use prost::Message as _;
use relayer_core::chain::{Draft, Outcome, Signed};
use relayer_core::error::{ChainError, ChainErrorKind, TxFailure};
use relayer_core::fact::TxReport;
use relayer_core::id::{AccountSequence, ChainId, Gas, Height, TxHash};
use tokio::time::Instant;

use super::fee::{self, PriceSource};
use super::gas::{GasModel, Shape, scaled};
use super::key::{Key, KeyError};
use super::limits::{HEAD_AGE, MEMO_BYTES, RECENT_SHAPES, SIMULATIONS_AHEAD};
use super::{account, broadcast, failure, sign};
use crate::cosmos::node::{AbciQuery, Node, base64, chain_error};
use crate::cosmos::wire::{AbciQueryAnswer, Status};
use crate::ibc::message;
use crate::rpc::limits::REQUEST_BYTES;
use crate::rpc::{Answer, RpcClient};

/// How a wallet pays.
#[derive(Debug, Clone)]
pub struct WalletSettings {
    /// Bech32 prefix of accounts, like `cosmos`.
    pub account_prefix: String,
    /// Price of gas.
    pub price: PriceSource,
    /// Thousandths by which estimated or simulated gas is multiplied.
    pub gas_multiplier: u32,
    /// Most gas of one transaction.
    pub max_gas: u64,
    /// Gas of a message of which nothing is known yet.
    pub gas_per_message: u64,
    /// Most that one transaction pays, in coins of the price's denomination.
    pub max_fee: Option<u128>,
    /// The account that pays the fees in our place.
    pub fee_granter: Option<String>,
    /// What every memo starts with.
    pub memo_prefix: String,
    /// Blocks after which a transaction can't be included any more.
    pub timeout_blocks: u64,
    /// Largest transaction, bytes.
    pub max_tx_bytes: usize,
}

impl WalletSettings {
    /// The usual ones with this prefix and price.
    pub fn new(account_prefix: impl Into<String>, price: PriceSource) -> Self {
        Self {
            account_prefix: account_prefix.into(),
            price,
            gas_multiplier: 1_200,
            max_gas: 10_000_000,
            gas_per_message: 100_000,
            max_fee: None,
            fee_granter: None,
            memo_prefix: String::new(),
            timeout_blocks: 60,
            max_tx_bytes: 1_000_000,
        }
    }
}

/// The paying half of a chain.
#[derive(Debug)]
pub struct Wallet {
    node: Node,
    key: Key,
    address: String,
    settings: WalletSettings,
    known: Mutex<Known>,
}

/// What the wallet has learned.
#[derive(Debug)]
struct Known {
    gas: GasModel,
    account_number: Option<u64>,
    head: Option<(u64, Instant)>,
    /// Shapes of what was signed last, for refusals that come before a block.
    recent: VecDeque<(TxHash, Shape)>,
}

impl Wallet {
    /// Largest transaction it signs, bytes.
    pub fn max_tx_bytes(&self) -> usize {
        self.settings.max_tx_bytes
    }

    /// Nothing is called yet.
    pub fn new(rpc: RpcClient, chain: ChainId, key: Key, mut settings: WalletSettings) -> Result<Self, KeyError> {
        let address = key.address(&settings.account_prefix)?;
        let cut = settings
            .memo_prefix
            .char_indices()
            .map(|(at, c)| at + c.len_utf8())
            .take_while(|end| *end <= MEMO_BYTES)
            .last();
        settings.memo_prefix.truncate(cut.unwrap_or(0));
        settings.gas_multiplier = settings.gas_multiplier.max(1_000);
        let known = Known {
            gas: GasModel::new(settings.gas_per_message),
            account_number: None,
            head: None,
            recent: VecDeque::new(),
        };
        Ok(Self { node: Node::new(rpc, chain), key, address, settings, known: Mutex::new(known) })
    }

    /// The address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Tells the wallet the newest height, so that it need not ask when it dates a transaction.
    pub fn saw_head(&self, height: Height) {
        self.known().head = Some((height.number, Instant::now()));
    }

    /// The next account sequence, from committed state.
    pub async fn account_sequence(&self) -> Result<AccountSequence, ChainError> {
        let account = account::query(&self.node, &self.address).await?;
        self.known().account_number = Some(account.number);
        Ok(account.sequence)
    }

    /// The balance of the fee denomination.
    pub async fn balance(&self) -> Result<(u128, String), ChainError> {
        account::balance(&self.node, &self.address, self.settings.price.denom()).await
    }

    /// Gas (learned, or simulated), fee and signature.
    pub async fn prepare(&self, draft: &Draft, sequence: AccountSequence) -> Result<Signed, TxFailure> {
        let (encoded, shape) = self.encode(draft);
        let account_number = self.account_number().await?;
        let timeout_height = self.head().await?.saturating_add(self.settings.timeout_blocks);
        let body = sign::body(encoded, &self.settings.memo_prefix, timeout_height);
        if body.len() > self.settings.max_tx_bytes {
            return Err(TxFailure::TooLarge);
        }
        let gas = self.gas(draft, &shape, &body, sequence).await?;
        let amount = self.fee(gas, draft.messages.len())?;
        let auth_info = sign::auth_info(&self.key, sequence, self.fee_of(amount, gas));
        let (bytes, hash) = sign::signed(&self.key, self.node.chain(), account_number, body, auth_info);
        if bytes.len() > self.settings.max_tx_bytes {
            return Err(TxFailure::TooLarge);
        }
        let mut known = self.known();
        known.recent.push_back((hash, shape));
        while known.recent.len() > RECENT_SHAPES {
            known.recent.pop_front();
        }
        Ok(Signed {
            hash,
            bytes: bytes.into(),
            account_sequence: sequence,
            gas: Gas(gas),
            fee: (amount, self.settings.price.denom().to_owned()),
            timeout_height: self.node.height(timeout_height),
        })
    }

    /// The gas limit.
    async fn gas(
        &self,
        draft: &Draft,
        shape: &Shape,
        body: &[u8],
        sequence: AccountSequence,
    ) -> Result<u64, TxFailure> {
        let estimate = self.known().gas.estimate(shape);
        let most = self.settings.max_gas;
        let needed = if estimate.known && !draft.simulate {
            estimate.gas
        } else {
            let simulated = self.simulate(estimate.gas, body, sequence).await?;
            self.known().gas.simulated(shape, simulated);
            // A node that says too little would let every try run out of gas.
            if estimate.floor { simulated.max(estimate.gas.min(most)) } else { simulated }
        };
        if needed > most {
            return Err(TxFailure::TooLarge);
        }
        Ok(scaled(needed, self.settings.gas_multiplier).min(most))
    }

    fn fee(&self, gas: u64, messages: usize) -> Result<u128, TxFailure> {
        fee::fee(self.settings.price.price(), gas, self.settings.max_fee).map_err(|_| match messages {
            0..=2 => {
                let what = ChainErrorKind::Setup("the fee is above `gas.max_fee`; raise it or lower `gas.price`");
                self.node.error(what, format!("{gas} gas")).into()
            }
            // Fewer messages cost less.
            _ => TxFailure::TooLarge,
        })
    }

    pub(super) fn fee_of(&self, amount: u128, gas: u64) -> sign::Fee<'_> {
        let granter = self.settings.fee_granter.as_deref().unwrap_or_default();
        sign::Fee { amount, denom: self.settings.price.denom(), gas, granter }
    }

    /// Asks the node what the transaction would use.
    async fn simulate(&self, guess: u64, body: &[u8], sequence: AccountSequence) -> Result<u64, TxFailure> {
        // Taking a fee costs gas, so one is offered; an empty wallet shows here and not in a block.
        let guess = scaled(guess, self.settings.gas_multiplier).min(self.settings.max_gas);
        let fee = self.settings.price.price().fee(guess).unwrap_or_default();
        let fee = self.settings.max_fee.map_or(fee, |most| fee.min(most));
        let mut answer = self.simulate_as(fee, body, sequence).await;
        for _ in 0..SIMULATIONS_AHEAD {
            match answer {
                Err(TxFailure::SequenceMismatch { expected: Some(expected) }) if expected < sequence => {
                    answer = self.simulate_as(fee, body, expected).await;
                }
                _ => break,
            }
        }
        answer
    }

    #[allow(deprecated, reason = "the field `tx` of the request is left empty")]
    async fn simulate_as(&self, fee: u128, body: &[u8], sequence: AccountSequence) -> Result<u64, TxFailure> {
        let auth_info = sign::auth_info(&self.key, sequence, self.fee_of(fee, 0));
        let tx_bytes = sign::for_simulation(body.to_vec(), auth_info);
        let request = SimulateRequest { tx: None, tx_bytes }.encode_to_vec();
        let query = AbciQuery::new("/cosmos.tx.v1beta1.Service/Simulate", &request, 0, false);
        if query.data.len() >= REQUEST_BYTES {
            return Err(TxFailure::TooLarge);
        }
        let answer = self.node.rpc().call("abci_query", query).await;
        simulated(&self.node, &answer.map_err(|e| chain_error(self.node.chain(), e))?)
    }

    /// Hands transactions to the node, in order. A transaction that it already has counts as accepted.
    pub async fn submit(&self, signed: &[Signed]) -> Vec<Result<(), TxFailure>> {
        let results = broadcast::submit(&self.node, signed).await;
        for (tx, result) in signed.iter().zip(&results) {
            if let Err(failure) = result {
                self.refused(tx, failure);
            }
        }
        results
    }

    fn refused(&self, tx: &Signed, failure: &TxFailure) {
        let mut known = self.known();
        match failure {
            TxFailure::OutOfGas { wanted, used } => {
                let shape = known.recent.iter().find(|(hash, _)| *hash == tx.hash).map(|(_, shape)| shape.clone());
                if let Some(shape) = shape {
                    known.gas.out_of_gas(&shape, tx.gas.0.max(*wanted), *used);
                }
            }
            // The chain may have started anew.
            TxFailure::Chain(ChainError { kind: ChainErrorKind::Setup(_), .. }) => known.account_number = None,
            TxFailure::Expired => known.head = None,
            _ => {}
        }
    }

    /// What became of a transaction, if the node keeps an index.
    pub async fn outcome(&self, hash: TxHash) -> Result<Outcome, ChainError> {
        broadcast::outcome(&self.node, hash).await
    }

    /// Tells the gas model what a transaction used.
    pub fn learn(&self, draft: &Draft, report: &TxReport) {
        let (_, shape) = self.encode(draft);
        let mut known = self.known();
        match &report.failure {
            None => known.gas.included(&shape, report.gas_used),
            Some(TxFailure::OutOfGas { .. }) => known.gas.out_of_gas(&shape, report.gas_wanted, report.gas_used),
            // It stopped on the way: its gas says nothing about the whole.
            Some(_) => {}
        }
        known.recent.retain(|(hash, _)| *hash != report.hash);
    }

    /// A recent height of the chain.
    async fn head(&self) -> Result<u64, ChainError> {
        let known = self.known().head;
        if let Some((height, seen)) = known
            && seen.elapsed() < HEAD_AGE
        {
            return Ok(height);
        }
        let status = self.node.call::<Status>("status", serde_json::json!({})).await?;
        self.node.check_status(&status)?;
        let height = status.value.sync_info.latest_block_height.0;
        self.known().head = Some((height, Instant::now()));
        Ok(height)
    }

    async fn account_number(&self) -> Result<u64, TxFailure> {
        let known = self.known().account_number;
        match known {
            Some(number) => Ok(number),
            None => {
                let account = account::query(&self.node, &self.address).await.map_err(failure::no_account)?;
                self.known().account_number = Some(account.number);
                Ok(account.number)
            }
        }
    }

    fn encode(&self, draft: &Draft) -> (Vec<Any>, Shape) {
        let encoded: Vec<Any> = draft.messages.iter().map(|m| message::message(m, &self.address)).collect();
        let shape = Shape::of(&draft.messages, &encoded);
        (encoded, shape)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Its figures are whole after any panic: each is set in one step.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The gas that an answered simulation used.
pub(super) fn simulated(node: &Node, answer: &Answer) -> Result<u64, TxFailure> {
    let malformed = |what| node.malformed(&answer.endpoint, what);
    let decoded: AbciQueryAnswer<'_> =
        serde_json::from_str(answer.result.get()).map_err(|_| malformed("abci_query"))?;
    let response = decoded.response;
    if response.code.0 != 0 {
        let code = u32::try_from(response.code.0).unwrap_or(u32::MAX);
        return Err(failure::simulation(node.chain(), code, "simulation", &response.log.0));
    }
    let value = base64(&response.value.0).ok_or_else(|| malformed("base64 of a simulation"))?;
    let simulated = SimulateResponse::decode(value.as_slice()).map_err(|_| malformed("protobuf of a simulation"))?;
    match simulated.gas_info {
        Some(info) if info.gas_used > 0 => Ok(info.gas_used),
        _ => Err(malformed("a simulation without gas").into()),
    }
}
