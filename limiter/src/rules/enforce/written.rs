//! A rule of any kind, as it is written.

use limiter_core::weight::Weight;

use super::Path;
use crate::rules::check::RuleSet;
use crate::rules::form::{self, Class, Form, On};

/// The kinds of rules that have a controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Flow,
    Hot,
    Isolation,
    System,
    Breaker,
    Quota,
}

impl Kind {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::Hot => "hot",
            Self::Isolation => "isolation",
            Self::System => "system",
            Self::Breaker => "breaker",
            Self::Quota => "quota",
        }
    }
}

/// A rule, borrowed from its set.
#[derive(Debug, Clone, Copy)]
pub(super) enum Written<'a> {
    Flow(&'a form::Flow),
    Hot(&'a form::Hot),
    Isolation(&'a form::Isolation),
    System(&'a form::System),
    Breaker(&'a form::Breaker),
    Quota(&'a form::Quota),
}

/// A rule that a controller keeps, to see whether it changed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kept {
    Flow(form::Flow),
    Hot(form::Hot),
    Isolation(form::Isolation),
    System(form::System),
    Breaker(form::Breaker),
    Quota(form::Quota),
}

macro_rules! of_each {
    ($self:expr, $rule:ident => $value:expr) => {
        match $self {
            Written::Flow($rule) => $value,
            Written::Hot($rule) => $value,
            Written::Isolation($rule) => $value,
            Written::System($rule) => $value,
            Written::Breaker($rule) => $value,
            Written::Quota($rule) => $value,
        }
    };
}

impl<'a> Written<'a> {
    pub(super) fn id(self) -> &'a str {
        of_each!(self, rule => &rule.id)
    }
    pub(super) fn shadow(self) -> bool {
        of_each!(self, rule => rule.shadow)
    }
    pub(super) fn stage(self) -> i64 {
        of_each!(self, rule => rule.stage)
    }
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Flow(_) => Kind::Flow,
            Self::Hot(_) => Kind::Hot,
            Self::Isolation(_) => Kind::Isolation,
            Self::System(_) => Kind::System,
            Self::Breaker(_) => Kind::Breaker,
            Self::Quota(_) => Kind::Quota,
        }
    }
    pub(super) fn keep(self) -> Kept {
        match self {
            Self::Flow(rule) => Kept::Flow(rule.clone()),
            Self::Hot(rule) => Kept::Hot(rule.clone()),
            Self::Isolation(rule) => Kept::Isolation(rule.clone()),
            Self::System(rule) => Kept::System(rule.clone()),
            Self::Breaker(rule) => Kept::Breaker(rule.clone()),
            Self::Quota(rule) => Kept::Quota(rule.clone()),
        }
    }

    /// Does it apply to the calls of this name?
    pub(super) fn names(self, path: &Path) -> bool {
        let on = |on: &On| on.matches(&path.chain, &path.channel, &path.method, &path.endpoint);
        match self {
            Self::Flow(rule) => on(&rule.on),
            Self::Hot(rule) => on(&rule.on),
            Self::Isolation(rule) => on(&rule.on),
            Self::System(_) => true,
            Self::Breaker(rule) => {
                on(&rule.on) && rule.class != if path.broadcast { Class::Read } else { Class::Broadcast }
            }
            Self::Quota(rule) => on(&rule.on),
        }
    }
}

/// All rules of a set that decide; weights only multiply.
pub(super) fn each(form: &Form) -> impl Iterator<Item = Written<'_>> {
    let system = form.system.iter().map(Written::System);
    let flow = form.flow.iter().map(Written::Flow);
    let quota = form.quota.iter().map(Written::Quota);
    let isolation = form.isolation.iter().map(Written::Isolation);
    let hot = form.hot.iter().map(Written::Hot);
    // In the order in which a decision asks.
    system.chain(flow).chain(quota).chain(isolation).chain(hot).chain(form.breaker.iter().map(Written::Breaker))
}

/// The weights of chain, channel and method; of several rules for one name the first, and of a method that none names what was learned.
pub(super) fn weights(set: &RuleSet, path: &Path, learned: Weight) -> [Weight; 3] {
    let of = |name: &str, pattern: fn(&form::Weight) -> Option<&String>, unnamed: Weight| {
        let fits = |rule: &&form::Weight| {
            pattern(rule).is_some_and(|pattern| match pattern.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => pattern == name,
            })
        };
        let found = set.rules().weight.iter().find(|rule| fits(rule) && !rule.shadow);
        found.map_or(unnamed, |rule| Weight::clamped(u32::try_from(rule.milli()).unwrap_or(1_000)))
    };
    [
        of(&path.chain, |rule| rule.chain.as_ref(), Weight::default()),
        of(&path.channel, |rule| rule.channel.as_ref(), Weight::default()),
        of(&path.method, |rule| rule.method.as_ref(), learned),
    ]
}
