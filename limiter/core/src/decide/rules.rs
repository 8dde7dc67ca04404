//! What a chain is made of, and how its rules change while calls are out.
//!
//! Ids are numbers that this chain gave out; one of another chain changes nothing. A rule that is replaced keeps what was taken. Paths come and go
//! with their keys ([`crate::intern`]). Bound: [`RESOURCES`] of each kind.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::level::Level as Quota;
use super::out::Calls;
use super::{Associated, Chain, ChannelId, Endpoint, EndpointId, EndpointRule, Lease, LevelRule, Path, PathId, RuleId};
use crate::Time;
use crate::breaker::Breaker;
use crate::cell::{Cell, Speed};
use crate::concurrency::Concurrency;
use crate::hot::HotParams;
use crate::limits::RESOURCES;
use crate::system::{Settings as SystemSettings, System};
use crate::throttle::Throttle;
use crate::window::{KEPT, Ring};

/// The channel of a path that nobody has: no channel's number.
const FORGOTTEN: u16 = u16::MAX;

impl Chain {
    /// A chain with this limit over all its endpoints.
    pub fn new(rule: LevelRule) -> Self {
        Self {
            quota: Quota::new(rule),
            endpoints: Vec::new(),
            channels: Vec::new(),
            paths: Vec::new(),
            free_paths: Vec::new(),
            meters: Vec::new(),
            hot: None,
            system: None,
            lease: None,
            ring: Ring::new(KEPT),
            in_flight: 0,
            out: Calls::new(),
        }
    }

    /// Another endpoint; `None` past [`RESOURCES`].
    pub fn add_endpoint(&mut self, rule: EndpointRule) -> Option<EndpointId> {
        let id = next(self.endpoints.len())?;
        self.out.reserve(rule.in_flight);
        self.endpoints.push(Endpoint {
            quota: Quota::new(rule.rate),
            breaker: Breaker::new(rule.breaker),
            breaker_rule: rule.breaker_rule,
            cap: Concurrency::new(rule.in_flight),
            max_in_flight: rule.in_flight.max(1),
            in_flight_rule: rule.in_flight_rule,
            held_until: Time::ZERO,
            ejected_until: Time::ZERO,
        });
        Some(EndpointId(id))
    }
    /// Another channel.
    pub fn add_channel(&mut self, rule: LevelRule) -> Option<ChannelId> {
        let id = next(self.channels.len())?;
        self.channels.push(Quota::new(rule));
        Some(ChannelId(id))
    }
    /// A method on a channel, perhaps with even spacing.
    pub fn add_path(
        &mut self,
        channel: ChannelId,
        rule: LevelRule,
        throttle: Option<(RuleId, Throttle)>,
    ) -> Option<PathId> {
        let (quota, throttle) = (Quota::new(rule), throttle.map(Box::new));
        let path = Path { channel: channel.0, metered: None, yields_to: None, throttle, quota };
        if let Some(at) = self.free_paths.pop() {
            *self.paths.get_mut(usize::from(at))? = path;
            return Some(PathId(u32::from(at)));
        }
        let id = next(self.paths.len())?;
        if self.paths.len() == self.paths.capacity() {
            // By an eighth: doubled, half of what many keys take would lie idle.
            self.paths.reserve_exact((self.paths.len() >> 3).saturating_add(16));
        }
        self.paths.push(path);
        Some(PathId(u32::from(id)))
    }
    /// Forgets a path whose key expired; [`Self::add_path`] gives its number to another. `false`, and nothing is forgotten, while it owes
    /// tokens, has a call out, or an association.
    pub fn forget_path(&mut self, now: Time, id: PathId) -> bool {
        let Ok(at) = u16::try_from(id.0) else { return false };
        let out = self.out.any_on(id.0);
        let Some(path) = self.path_mut(id).filter(|path| path.channel != FORGOTTEN) else { return false };
        let owes = path.quota.cell.drained(now) > 0
            || path.throttle.as_deref().is_some_and(|(_, throttle)| throttle.queued(now) > Duration::ZERO);
        if out || owes || path.metered.is_some() || path.yields_to.is_some() {
            return false;
        }
        path.channel = FORGOTTEN;
        self.free_paths.push(at);
        true
    }
    /// `path` yields to another one. `None`: an unknown path, one that yields to itself or in a circle.
    pub fn associate(&mut self, path: PathId, to: Associated) -> Option<()> {
        let meter = next(self.meters.len())?;
        if path == to.to
            || self.path(to.to)?.yields_to.is_some_and(|m| self.path(path).and_then(|p| p.metered) == Some(m))
        {
            return None;
        }
        self.path(path)?;
        self.path_mut(to.to)?.metered = Some(meter);
        self.path_mut(path)?.yields_to = Some(meter);
        self.meters.push((to.rule, Cell::new(to.speed)));
        Some(())
    }
    /// Limits per value.
    pub fn set_hot(&mut self, rule: RuleId, hot: HotParams) {
        self.hot = Some((rule, hot));
    }
    /// Limits of this machine.
    pub fn set_system(&mut self, rule: RuleId, settings: SystemSettings) {
        self.system = Some((rule, System::new(settings)));
    }
    /// This chain draws from a global level, and may hold so many of its tokens.
    pub fn set_lease(&mut self, cap: u32) {
        self.lease = Some(Lease { held: 0, cap });
    }

    /// Another rate for an endpoint (its health, a breaker that recovers) from now on.
    pub fn retune_endpoint(&mut self, now: Time, id: EndpointId, speed: Speed) {
        if let Some(endpoint) = self.endpoints.get_mut(usize::from(id.0)) {
            endpoint.quota.cell.retune(now, speed);
        }
    }
    /// The chain's rule is another one; what was taken stays taken.
    pub fn replace_chain(&mut self, now: Time, rule: LevelRule) {
        self.quota.replace(now, rule);
    }
    /// A channel's rule is another one.
    pub fn replace_channel(&mut self, now: Time, id: ChannelId, rule: LevelRule) {
        if let Some(quota) = self.channels.get_mut(usize::from(id.0)) {
            quota.replace(now, rule);
        }
    }
    /// A method's rule is another one.
    pub fn replace_path(&mut self, now: Time, id: PathId, rule: LevelRule) {
        if let Some(path) = self.path_mut(id) {
            path.quota.replace(now, rule);
        }
    }
    /// A node asked for quiet until then; an earlier instant than the one in force changes nothing.
    pub fn hold_off(&mut self, id: EndpointId, until: Time) {
        if let Some(endpoint) = self.endpoints.get_mut(usize::from(id.0)) {
            endpoint.held_until = endpoint.held_until.max(until);
        }
    }
    /// An endpoint is out until then.
    pub fn eject(&mut self, id: EndpointId, until: Time) {
        if let Some(endpoint) = self.endpoints.get_mut(usize::from(id.0)) {
            endpoint.ejected_until = until;
        }
    }
    /// Opens an endpoint's breaker by hand; levels that warm up are cold again.
    pub fn force_open(&mut self, id: EndpointId, until: Time) {
        if let Some(endpoint) = self.endpoints.get_mut(usize::from(id.0)) {
            endpoint.breaker.force_open(until);
            endpoint.quota.cool();
        }
    }
}

fn next(len: usize) -> Option<u16> {
    u16::try_from(len).ok().filter(|id| *id < RESOURCES)
}
