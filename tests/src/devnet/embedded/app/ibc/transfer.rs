//! Fungible tokens (ICS-20): escrow on the way out, vouchers with `ibc/<hash>` denominations on the way in.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use ibc_app_transfer::context::{TokenTransferExecutionContext, TokenTransferValidationContext};
use ibc_app_transfer::module as ics20;
use ibc_app_transfer::types::error::TokenTransferError;
use ibc_app_transfer::types::msgs::transfer::MsgTransfer;
use ibc_app_transfer::types::{Memo, PrefixedCoin, PrefixedDenom, VERSION};
use ibc_core::channel::types::Version;
use ibc_core::channel::types::acknowledgement::Acknowledgement;
use ibc_core::channel::types::channel::{Counterparty, Order};
use ibc_core::channel::types::error::ChannelError;
use ibc_core::channel::types::packet::Packet;
use ibc_core::host::types::error::HostError;
use ibc_core::host::types::identifiers::{ChannelId, ConnectionId, PortId};
use ibc_core::primitives::Signer;
use ibc_core::router::module::Module;
use ibc_core::router::router::Router;
use ibc_core::router::types::module::{ModuleExtras, ModuleId};
use ibc_proto::ibc::applications::transfer::v1::MsgTransfer as RawMsgTransfer;
use prost::Message as _;
use sha2::{Digest, Sha256};

use super::{Context, DENOMS, Host, TRANSFER, Work};
use crate::devnet::embedded::app::failure::Failure;
use crate::devnet::embedded::app::state::{self, Address};

/// The module of the port `transfer`.
pub(super) struct Transfer<'a> {
    pub(super) host: &'a Host,
    pub(super) work: Rc<RefCell<Work>>,
}

impl fmt::Debug for Transfer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("transfer")
    }
}

/// Sends a packet, as MsgTransfer asks.
pub(super) fn send(context: &mut Context<'_>, module: &mut Transfer<'_>, bytes: &[u8]) -> Result<(), Failure> {
    let mut raw = RawMsgTransfer::decode(bytes).map_err(|e| Failure::undecodable("MsgTransfer", e))?;
    if let Some(token) = &mut raw.token
        && let Some(hash) = token.denom.strip_prefix("ibc/")
    {
        let work = context.work.borrow();
        let path = work.store.get(TRANSFER, &[DENOMS, hash.as_bytes()].concat());
        let path = path.and_then(|path| String::from_utf8(path.to_vec()).ok());
        token.denom = path.ok_or_else(|| Failure::invalid_request(format!("{hash}: denomination not found")))?;
    }
    let message = MsgTransfer::try_from(raw).map_err(Failure::invalid_request)?;
    // Of the bank's errors a sender's lack of coins is the one that users see.
    let denom = bank_denom(&message.packet_data.token.denom);
    let sender = module.account(&message.packet_data.sender).map_err(Failure::invalid_address)?;
    let wanted = units(&message.packet_data.token).map_err(Failure::invalid_request)?;
    let has = state::balance(&context.work.borrow().store, &sender, &denom);
    if has < wanted {
        let why = format!("spendable balance {has}{denom} is smaller than {wanted}{denom}");
        return Err(Failure::insufficient_funds(why));
    }
    ibc_app_transfer::handler::send_transfer(context, module, message).map_err(|e| Failure {
        codespace: "transfer",
        code: 1,
        log: e.to_string(),
    })
}

fn units(coin: &PrefixedCoin) -> Result<u128, HostError> {
    coin.amount.to_string().parse().map_err(HostError::invalid_state)
}

fn hash(denom: &PrefixedDenom) -> String {
    hex::encode_upper(Sha256::digest(denom.to_string()))
}

fn bank_denom(denom: &PrefixedDenom) -> String {
    match denom.trace_path.is_empty() {
        true => denom.base_denom.to_string(),
        false => format!("ibc/{}", hash(denom)),
    }
}

impl Transfer<'_> {
    fn account(&self, signer: &Signer) -> Result<Address, HostError> {
        state::address(&self.host.account_prefix, signer.as_ref()).map_err(|e| HostError::invalid_state(e.log))
    }

    fn has(&self, address: &[u8], coin: &PrefixedCoin) -> Result<(), HostError> {
        let denom = bank_denom(&coin.denom);
        let has = state::balance(&self.work.borrow().store, address, &denom);
        match has >= units(coin)? {
            true => Ok(()),
            false => Err(HostError::invalid_state(format!("{has}{denom} is smaller than {coin}: insufficient funds"))),
        }
    }

    fn transfer(&self, from: &[u8], to: &[u8], coin: &PrefixedCoin) -> Result<(), HostError> {
        let (denom, amount) = (bank_denom(&coin.denom), units(coin)?);
        let store = &mut self.work.borrow_mut().store;
        state::transfer(store, &self.host.account_prefix, (from, to), amount, &denom)
            .map_err(|e| HostError::invalid_state(e.log))
    }
}

impl TokenTransferValidationContext for Transfer<'_> {
    type AccountId = Address;

    fn sender_account(&self, sender: &Signer) -> Result<Address, HostError> {
        self.account(sender)
    }
    fn receiver_account(&self, receiver: &Signer) -> Result<Address, HostError> {
        self.account(receiver)
    }
    fn get_port(&self) -> Result<PortId, HostError> {
        Ok(PortId::transfer())
    }
    fn can_send_coins(&self) -> Result<(), HostError> {
        Ok(())
    }
    fn can_receive_coins(&self) -> Result<(), HostError> {
        Ok(())
    }
    fn escrow_coins_validate(
        &self,
        from: &Address,
        _: &PortId,
        _: &ChannelId,
        coin: &PrefixedCoin,
        _: &Memo,
    ) -> Result<(), HostError> {
        self.has(from, coin)
    }
    fn unescrow_coins_validate(
        &self,
        _: &Address,
        port: &PortId,
        channel: &ChannelId,
        coin: &PrefixedCoin,
    ) -> Result<(), HostError> {
        self.has(&state::escrow_address(port.as_str(), channel.as_str()), coin)
    }
    fn mint_coins_validate(&self, _: &Address, coin: &PrefixedCoin) -> Result<(), HostError> {
        units(coin).map(drop)
    }
    fn burn_coins_validate(&self, from: &Address, coin: &PrefixedCoin, _: &Memo) -> Result<(), HostError> {
        self.has(from, coin)
    }
    fn denom_hash_string(&self, denom: &PrefixedDenom) -> Option<String> {
        Some(hash(denom))
    }
}

impl TokenTransferExecutionContext for Transfer<'_> {
    fn escrow_coins_execute(
        &mut self,
        from: &Address,
        port: &PortId,
        channel: &ChannelId,
        coin: &PrefixedCoin,
        _: &Memo,
    ) -> Result<(), HostError> {
        self.transfer(from, &state::escrow_address(port.as_str(), channel.as_str()), coin)
    }
    fn unescrow_coins_execute(
        &mut self,
        to: &Address,
        port: &PortId,
        channel: &ChannelId,
        coin: &PrefixedCoin,
    ) -> Result<(), HostError> {
        self.transfer(&state::escrow_address(port.as_str(), channel.as_str()), to, coin)
    }
    fn mint_coins_execute(&mut self, to: &Address, coin: &PrefixedCoin) -> Result<(), HostError> {
        let amount = units(coin)?;
        let key = [DENOMS, hash(&coin.denom).as_bytes()].concat();
        let store = &mut self.work.borrow_mut().store;
        if store.get(TRANSFER, &key).is_none() {
            store.set(TRANSFER, key, coin.denom.to_string().into_bytes());
        }
        state::mint(store, &self.host.account_prefix, to, amount, &bank_denom(&coin.denom))
            .map_err(|e| HostError::invalid_state(e.log))
    }
    fn burn_coins_execute(&mut self, from: &Address, coin: &PrefixedCoin, _: &Memo) -> Result<(), HostError> {
        let amount = units(coin)?;
        let store = &mut self.work.borrow_mut().store;
        state::burn(store, from, amount, &bank_denom(&coin.denom)).map_err(|e| HostError::invalid_state(e.log))
    }
}

fn app(error: TokenTransferError) -> ChannelError {
    ChannelError::AppSpecific { description: error.to_string() }
}

impl Module for Transfer<'_> {
    fn on_chan_open_init_validate(
        &self,
        order: Order,
        hops: &[ConnectionId],
        port: &PortId,
        channel: &ChannelId,
        counterparty: &Counterparty,
        version: &Version,
    ) -> Result<Version, ChannelError> {
        ics20::on_chan_open_init_validate(self, order, hops, port, channel, counterparty, version).map_err(app)?;
        Ok(Version::new(VERSION.to_owned()))
    }
    fn on_chan_open_init_execute(
        &mut self,
        order: Order,
        hops: &[ConnectionId],
        port: &PortId,
        channel: &ChannelId,
        counterparty: &Counterparty,
        version: &Version,
    ) -> Result<(ModuleExtras, Version), ChannelError> {
        ics20::on_chan_open_init_execute(self, order, hops, port, channel, counterparty, version).map_err(app)
    }
    fn on_chan_open_try_validate(
        &self,
        order: Order,
        hops: &[ConnectionId],
        port: &PortId,
        channel: &ChannelId,
        counterparty: &Counterparty,
        version: &Version,
    ) -> Result<Version, ChannelError> {
        ics20::on_chan_open_try_validate(self, order, hops, port, channel, counterparty, version).map_err(app)?;
        Ok(Version::new(VERSION.to_owned()))
    }
    fn on_chan_open_try_execute(
        &mut self,
        order: Order,
        hops: &[ConnectionId],
        port: &PortId,
        channel: &ChannelId,
        counterparty: &Counterparty,
        version: &Version,
    ) -> Result<(ModuleExtras, Version), ChannelError> {
        ics20::on_chan_open_try_execute(self, order, hops, port, channel, counterparty, version).map_err(app)
    }
    fn on_chan_open_ack_validate(&self, port: &PortId, channel: &ChannelId, v: &Version) -> Result<(), ChannelError> {
        ics20::on_chan_open_ack_validate(self, port, channel, v).map_err(app)
    }
    /// ICS-20: a user must not close a channel.
    fn on_chan_close_init_validate(&self, port: &PortId, channel: &ChannelId) -> Result<(), ChannelError> {
        ics20::on_chan_close_init_validate(self, port, channel).map_err(app)
    }
    fn on_recv_packet_execute(&mut self, packet: &Packet, _: &Signer) -> (ModuleExtras, Option<Acknowledgement>) {
        let (extras, ack) = ics20::on_recv_packet_execute(self, packet);
        (extras, Some(ack))
    }
    fn on_acknowledgement_packet_validate(
        &self,
        packet: &Packet,
        ack: &Acknowledgement,
        relayer: &Signer,
    ) -> Result<(), ChannelError> {
        ics20::on_acknowledgement_packet_validate(self, packet, ack, relayer).map_err(app)
    }
    fn on_acknowledgement_packet_execute(
        &mut self,
        packet: &Packet,
        ack: &Acknowledgement,
        relayer: &Signer,
    ) -> (ModuleExtras, Result<(), ChannelError>) {
        let (extras, done) = ics20::on_acknowledgement_packet_execute(self, packet, ack, relayer);
        (extras, done.map_err(app))
    }
    fn on_timeout_packet_validate(&self, packet: &Packet, relayer: &Signer) -> Result<(), ChannelError> {
        ics20::on_timeout_packet_validate(self, packet, relayer).map_err(app)
    }
    fn on_timeout_packet_execute(
        &mut self,
        packet: &Packet,
        relayer: &Signer,
    ) -> (ModuleExtras, Result<(), ChannelError>) {
        let (extras, done) = ics20::on_timeout_packet_execute(self, packet, relayer);
        (extras, done.map_err(app))
    }
}

/// The one port there is.
pub(super) struct Routes<'a>(pub(super) Transfer<'a>);

impl Router for Routes<'_> {
    fn get_route(&self, _: &ModuleId) -> Option<&dyn Module> {
        Some(&self.0)
    }
    fn get_route_mut(&mut self, _: &ModuleId) -> Option<&mut dyn Module> {
        Some(&mut self.0)
    }
    fn lookup_module(&self, port: &PortId) -> Option<ModuleId> {
        (port.as_str() == "transfer").then(|| ModuleId::new("transfer".to_owned()))
    }
}
