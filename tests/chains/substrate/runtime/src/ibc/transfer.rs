//! ICS-20: the native token by the balances pallet, vouchers of others' tokens in a map of their own.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;
use core::marker::PhantomData;

use frame_support::traits::fungible::Mutate;
use frame_support::traits::tokens::Preservation;
use ibc_app_transfer::context::{TokenTransferExecutionContext, TokenTransferValidationContext};
use ibc_app_transfer::module as ics20;
use ibc_app_transfer::types::error::TokenTransferError;
use ibc_app_transfer::types::{Memo, PORT_ID_STR, PrefixedCoin, VERSION};
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
use sp_runtime::AccountId32;

use super::context::invalid;
use super::{Config, NATIVE, Vouchers, address};

/// The transfer application.
pub struct Transfer<T>(PhantomData<T>);

impl<T> Default for Transfer<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> fmt::Debug for Transfer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("transfer")
    }
}

/// Who holds what was sent over a channel.
fn escrow(port: &PortId, channel: &ChannelId) -> AccountId32 {
    AccountId32::new(sp_io::hashing::blake2_256(format!("escrow/{port}/{channel}").as_bytes()))
}

impl<T: Config> Transfer<T> {
    /// Moves coins; from nobody is minting, to nobody burning.
    fn move_coins(coin: &PrefixedCoin, from: Option<&AccountId32>, to: Option<&AccountId32>) -> Result<(), HostError> {
        let amount: u128 = coin.amount.to_string().parse().map_err(invalid)?;
        let denom = coin.denom.to_string().into_bytes();
        if denom == NATIVE {
            let (Some(from), Some(to)) = (from, to) else {
                return Err(HostError::invalid_state("the native token is neither minted nor burnt"));
            };
            T::Currency::transfer(from, to, amount, Preservation::Expendable).map_err(invalid)?;
            return Ok(());
        }
        if let Some(from) = from {
            let left = Vouchers::<T>::get(&denom, from).checked_sub(amount);
            let left = left.ok_or_else(|| HostError::invalid_state("not so many vouchers"))?;
            Vouchers::<T>::insert(&denom, from, left);
        }
        if let Some(to) = to {
            let sum = Vouchers::<T>::get(&denom, to).checked_add(amount);
            let sum = sum.ok_or_else(|| HostError::invalid_state("too many vouchers"))?;
            Vouchers::<T>::insert(&denom, to, sum);
        }
        Ok(())
    }

    /// Whether the account has the coins.
    fn has(coin: &PrefixedCoin, account: &AccountId32) -> Result<(), HostError> {
        use frame_support::traits::fungible::Inspect;
        let amount: u128 = coin.amount.to_string().parse().map_err(invalid)?;
        let denom = coin.denom.to_string().into_bytes();
        let held = match denom == NATIVE {
            true => T::Currency::balance(account),
            false => Vouchers::<T>::get(&denom, account),
        };
        if held >= amount { Ok(()) } else { Err(HostError::invalid_state("insufficient funds")) }
    }
}

impl<T: Config> TokenTransferValidationContext for Transfer<T> {
    type AccountId = AccountId32;

    fn sender_account(&self, sender: &Signer) -> Result<AccountId32, HostError> {
        address(sender.as_ref())
    }
    fn receiver_account(&self, receiver: &Signer) -> Result<AccountId32, HostError> {
        address(receiver.as_ref())
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
        from: &AccountId32,
        _: &PortId,
        _: &ChannelId,
        coin: &PrefixedCoin,
        _: &Memo,
    ) -> Result<(), HostError> {
        Self::has(coin, from)
    }
    fn unescrow_coins_validate(
        &self,
        _: &AccountId32,
        port: &PortId,
        channel: &ChannelId,
        coin: &PrefixedCoin,
    ) -> Result<(), HostError> {
        Self::has(coin, &escrow(port, channel))
    }
    fn mint_coins_validate(&self, _: &AccountId32, _: &PrefixedCoin) -> Result<(), HostError> {
        Ok(())
    }
    fn burn_coins_validate(&self, from: &AccountId32, coin: &PrefixedCoin, _: &Memo) -> Result<(), HostError> {
        Self::has(coin, from)
    }
}

impl<T: Config> TokenTransferExecutionContext for Transfer<T> {
    fn escrow_coins_execute(
        &mut self,
        from: &AccountId32,
        port: &PortId,
        channel: &ChannelId,
        coin: &PrefixedCoin,
        _: &Memo,
    ) -> Result<(), HostError> {
        Self::move_coins(coin, Some(from), Some(&escrow(port, channel)))
    }
    fn unescrow_coins_execute(
        &mut self,
        to: &AccountId32,
        port: &PortId,
        channel: &ChannelId,
        coin: &PrefixedCoin,
    ) -> Result<(), HostError> {
        Self::move_coins(coin, Some(&escrow(port, channel)), Some(to))
    }
    fn mint_coins_execute(&mut self, to: &AccountId32, coin: &PrefixedCoin) -> Result<(), HostError> {
        Self::move_coins(coin, None, Some(to))
    }
    fn burn_coins_execute(&mut self, from: &AccountId32, coin: &PrefixedCoin, _: &Memo) -> Result<(), HostError> {
        Self::move_coins(coin, Some(from), None)
    }
}

fn of_application(error: TokenTransferError) -> ChannelError {
    ChannelError::AppSpecific { description: error.to_string() }
}

impl<T: Config> Module for Transfer<T> {
    fn on_chan_open_init_validate(
        &self,
        order: Order,
        hops: &[ConnectionId],
        port: &PortId,
        channel: &ChannelId,
        counterparty: &Counterparty,
        version: &Version,
    ) -> Result<Version, ChannelError> {
        ics20::on_chan_open_init_validate(self, order, hops, port, channel, counterparty, version)
            .map_err(of_application)?;
        Ok(Version::new(String::from(VERSION)))
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
        ics20::on_chan_open_init_execute(self, order, hops, port, channel, counterparty, version)
            .map_err(of_application)
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
        ics20::on_chan_open_try_validate(self, order, hops, port, channel, counterparty, version)
            .map_err(of_application)?;
        Ok(Version::new(String::from(VERSION)))
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
        ics20::on_chan_open_try_execute(self, order, hops, port, channel, counterparty, version).map_err(of_application)
    }
    fn on_recv_packet_execute(&mut self, packet: &Packet, _: &Signer) -> (ModuleExtras, Option<Acknowledgement>) {
        let (extras, acknowledgement) = ics20::on_recv_packet_execute(self, packet);
        (extras, Some(acknowledgement))
    }
    fn on_acknowledgement_packet_validate(
        &self,
        packet: &Packet,
        acknowledgement: &Acknowledgement,
        relayer: &Signer,
    ) -> Result<(), ChannelError> {
        ics20::on_acknowledgement_packet_validate(self, packet, acknowledgement, relayer).map_err(of_application)
    }
    fn on_acknowledgement_packet_execute(
        &mut self,
        packet: &Packet,
        acknowledgement: &Acknowledgement,
        relayer: &Signer,
    ) -> (ModuleExtras, Result<(), ChannelError>) {
        let (extras, done) = ics20::on_acknowledgement_packet_execute(self, packet, acknowledgement, relayer);
        (extras, done.map_err(of_application))
    }
    fn on_timeout_packet_validate(&self, packet: &Packet, relayer: &Signer) -> Result<(), ChannelError> {
        ics20::on_timeout_packet_validate(self, packet, relayer).map_err(of_application)
    }
    fn on_timeout_packet_execute(
        &mut self,
        packet: &Packet,
        relayer: &Signer,
    ) -> (ModuleExtras, Result<(), ChannelError>) {
        let (extras, done) = ics20::on_timeout_packet_execute(self, packet, relayer);
        (extras, done.map_err(of_application))
    }
}

/// The applications by port: this one.
pub struct Applications<T>(pub(super) Transfer<T>);

impl<T: Config> Router for Applications<T> {
    fn get_route(&self, module: &ModuleId) -> Option<&dyn Module> {
        (module.to_string() == PORT_ID_STR).then_some(&self.0 as &dyn Module)
    }
    fn get_route_mut(&mut self, module: &ModuleId) -> Option<&mut dyn Module> {
        (module.to_string() == PORT_ID_STR).then_some(&mut self.0 as &mut dyn Module)
    }
    fn lookup_module(&self, port: &PortId) -> Option<ModuleId> {
        (port.as_str() == PORT_ID_STR).then(|| ModuleId::new(PORT_ID_STR.to_string()))
    }
}
