//! From the written form to a set that can be used.

use std::collections::{HashMap, HashSet};

use serde::de::DeserializeOwned;

use super::error::{RulesError, plain};
use super::form::{Form, On, Strategy, Trip};
use super::limits::{
    HOT_OVERRIDES, HOT_VALUES, ID_CHARS, INTERVAL_MS, PATTERN_CHARS, PROBES, RULES, STAT_BUCKETS, TEXT_BYTES,
    THRESHOLD, WEIGHT_MILLI,
};
use super::plan::Plan;
use crate::store::hlc::Stamp;
use crate::store::limits::CLOCK_AHEAD_MS;

/// A set in which every rule was checked. There is no other way to make one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RuleSet(Form);

impl RuleSet {
    /// Reads and checks TOML.
    pub fn from_toml(text: &str) -> Result<Self, RulesError> {
        if text.len() > TEXT_BYTES {
            return Err(RulesError::TooLarge { max: TEXT_BYTES });
        }
        let syntax = |error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1);
            RulesError::Syntax { format: "TOML", why: plain(&format!("line {line}: {}", error.message())) }
        };
        match toml::from_str(text) {
            Ok(form) => Self::check(form),
            // Slower, but says which rule.
            Err(error) => {
                let value: toml::Value = toml::from_str(text).map_err(syntax)?;
                let value = serde_json::to_value(value);
                Err(value.ok().and_then(|value| explain(&value)).unwrap_or_else(|| syntax(error)))
            }
        }
    }

    /// Reads and checks JSON.
    pub fn from_json(text: &[u8]) -> Result<Self, RulesError> {
        if text.len() > TEXT_BYTES {
            return Err(RulesError::TooLarge { max: TEXT_BYTES });
        }
        let syntax = |error: serde_json::Error| RulesError::Syntax { format: "JSON", why: plain(&error.to_string()) };
        match serde_json::from_slice(text) {
            Ok(form) => Self::check(form),
            Err(error) => {
                let value = serde_json::from_slice(text).map_err(syntax)?;
                Err(explain(&value).unwrap_or_else(|| syntax(error)))
            }
        }
    }

    /// JSON if it begins like it, else TOML: sources take either.
    pub fn from_text(text: &[u8]) -> Result<Self, RulesError> {
        if text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') {
            return Self::from_json(text);
        }
        let why = |error: std::str::Utf8Error| RulesError::Syntax { format: "TOML", why: error.to_string() };
        Self::from_toml(std::str::from_utf8(text).map_err(why)?)
    }

    /// Checks a form made here.
    pub fn check(form: Form) -> Result<Self, RulesError> {
        check(&form)?;
        Ok(Self(form))
    }

    /// The rules.
    pub fn rules(&self) -> &Form {
        &self.0
    }
    /// When it was written, if it says.
    pub fn version(&self) -> Option<&Stamp> {
        self.0.version.as_ref()
    }
    /// Whether its version can be of now: one from further ahead than [`CLOCK_AHEAD_MS`] would keep every later set out.
    pub fn believable(&self, wall_ms: u64) -> Result<(), RulesError> {
        let Some(ahead) = self.version().map(|stamp| stamp.ms.saturating_sub(wall_ms)) else { return Ok(()) };
        if ahead <= CLOCK_AHEAD_MS {
            return Ok(());
        }
        let why = format!("lies {ahead} ms ahead of this machine's clock, must be at most {CLOCK_AHEAD_MS}");
        Check("(the set)").fail("version.ms", why)
    }
    /// Whether it can be kept by a relayer that shares nothing: a shared quota would be admitted once in each process.
    pub fn alone(&self) -> Result<(), RulesError> {
        match self.0.quota.iter().find(|rule| rule.shared != super::form::Shared::Local) {
            None => Ok(()),
            Some(rule) => {
                let why = "must be local: this relayer shares nothing, it has no [limits.redis]";
                Check(&rule.id).fail("shared", why.into())
            }
        }
    }
    /// How many rules.
    pub fn len(&self) -> usize {
        count(&self.0)
    }
    /// No rule at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl On {
    /// Does it apply to a call of these names?
    pub fn matches(&self, chain: &str, channel: &str, method: &str, endpoint: &str) -> bool {
        let one = |pattern: &Option<String>, name: &str| match pattern.as_deref() {
            None => true,
            Some(pattern) => match pattern.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => pattern == name,
            },
        };
        one(&self.chain, chain)
            && one(&self.channel, channel)
            && one(&self.method, method)
            && one(&self.endpoint, endpoint)
    }
}

/// A weight in thousandths, exactly as written (2.5 is 2,500); `None` beyond three decimals or outside [0.1, 5].
pub(super) fn weight_milli(weight: f64) -> Option<u64> {
    let text = weight.to_string(); // the shortest text that reads back as this number
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let thousandths: u64 = match fraction.len() {
        0..=3 => format!("{whole}{fraction:0<3}").parse().ok()?,
        _ => return None,
    };
    (WEIGHT_MILLI.0..=WEIGHT_MILLI.1).contains(&thousandths).then_some(thousandths)
}

impl super::form::Weight {
    /// The weight in thousandths; a checked rule always has one.
    pub fn milli(&self) -> u64 {
        weight_milli(self.weight).unwrap_or(1_000)
    }
}

/// Names rule and field of the first rule that does not fit its form.
fn explain(value: &serde_json::Value) -> Option<RulesError> {
    let set = value.as_object()?;
    for (kind, rules) in set {
        let known = match kind.as_str() {
            "flow" => of::<super::form::Flow>(kind, rules),
            "hot" => of::<super::form::Hot>(kind, rules),
            "isolation" => of::<super::form::Isolation>(kind, rules),
            "system" => of::<super::form::System>(kind, rules),
            "breaker" => of::<super::form::Breaker>(kind, rules),
            "quota" => of::<super::form::Quota>(kind, rules),
            "weight" => of::<super::form::Weight>(kind, rules),
            "version" => one::<Option<Stamp>>("version".into(), rules),
            other => Some(RulesError::Field {
                rule: "(the set)".into(),
                field: plain(other),
                why: "is unknown: flow, hot, isolation, system, breaker, quota, weight or version".into(),
            }),
        };
        if known.is_some() {
            return known;
        }
    }
    None
}

fn of<T: DeserializeOwned>(kind: &str, rules: &serde_json::Value) -> Option<RulesError> {
    let Some(list) = rules.as_array() else {
        let (rule, field) = ("(the set)".into(), kind.to_owned());
        return Some(RulesError::Field { rule, field, why: "is not a list of rules".into() });
    };
    list.iter().enumerate().find_map(|(place, rule)| {
        let id = rule.get("id").and_then(|id| id.as_str());
        let name = id.map_or_else(|| format!("{kind}[{place}]"), |id| id.chars().take(ID_CHARS).collect());
        one::<T>(name, rule)
    })
}

fn one<T: DeserializeOwned>(rule: String, value: &serde_json::Value) -> Option<RulesError> {
    let error = serde_path_to_error::deserialize::<_, T>(value).err()?;
    let (path, why) = (error.path().to_string(), error.inner().to_string());
    // An unknown or missing field is named in the reason, not in the path.
    let named = why.split('`').nth(1).filter(|_| why.starts_with("unknown field") || why.starts_with("missing field"));
    let field = match (path.as_str(), named) {
        ("." | "?", Some(named)) => named.to_owned(),
        (path, Some(named)) if !path.ends_with(named) => format!("{path}.{named}"),
        (path, _) => path.to_owned(),
    };
    Some(RulesError::Field { rule: plain(&rule), field: plain(&field), why: plain(&why) })
}

/// One rule under check.
struct Check<'a>(&'a str);

impl Check<'_> {
    fn fail(&self, field: &str, why: String) -> Result<(), RulesError> {
        // Both may quote what stands in the set: keys of overrides, names of other rules.
        let rule = self.0.chars().take(ID_CHARS).collect();
        Err(RulesError::Field { rule, field: plain(field), why: plain(&why) })
    }
    fn within(&self, field: &str, value: i64, min: u64, max: u64) -> Result<(), RulesError> {
        match u64::try_from(value) {
            Ok(n) if (min..=max).contains(&n) => Ok(()),
            _ => self.fail(field, format!("is {value}, must lie in {min}..={max}")),
        }
    }
    fn pattern(&self, field: &str, pattern: Option<&String>) -> Result<(), RulesError> {
        let Some(pattern) = pattern else { return Ok(()) };
        let inner = pattern.strip_suffix('*').unwrap_or(pattern);
        if pattern.is_empty()
            || pattern.len() > PATTERN_CHARS
            || inner.contains('*')
            || pattern.chars().any(char::is_control)
        {
            return self.fail(field, format!("must have 1..={PATTERN_CHARS} characters, a `*` only at its end"));
        }
        Ok(())
    }
    fn on(&self, on: &On) -> Result<(), RulesError> {
        self.pattern("on.chain", on.chain.as_ref())?;
        self.pattern("on.channel", on.channel.as_ref())?;
        self.pattern("on.method", on.method.as_ref())?;
        self.pattern("on.endpoint", on.endpoint.as_ref())
    }
}

fn check(form: &Form) -> Result<(), RulesError> {
    let count = count(form);
    if count > RULES {
        return Err(RulesError::TooMany { count, max: RULES });
    }
    let mut ids = HashSet::with_capacity(count);
    let mut common = |kind: &str, place: usize, id: &str, stage: i64| -> Result<(), RulesError> {
        let here = format!("{kind}[{place}]");
        if id.is_empty() || id.len() > ID_CHARS || id.chars().any(char::is_control) {
            return Check(&here).fail("id", format!("must have 1..={ID_CHARS} characters"));
        }
        if !ids.insert(id.to_owned()) {
            return Check(id).fail("id", format!("stands twice, the second time at {here}"));
        }
        if ![5, 30, 100].contains(&stage) {
            return Check(id).fail("stage", format!("is {stage}, must be 5, 30 or 100"));
        }
        Ok(())
    };
    for (place, rule) in form.flow.iter().enumerate() {
        common("flow", place, &rule.id, rule.stage)?;
        flow(rule)?;
    }
    associations(form)?;
    for (place, rule) in form.hot.iter().enumerate() {
        common("hot", place, &rule.id, rule.stage)?;
        let check = Check(&rule.id);
        check.on(&rule.on)?;
        check.within("threshold", rule.threshold, 0, THRESHOLD)?;
        check.within("interval_ms", rule.interval_ms, 1, INTERVAL_MS)?;
        check.within("burst", rule.burst, 0, THRESHOLD)?;
        check.within("capacity", rule.capacity, 1, HOT_VALUES)?;
        if rule.overrides.len() > HOT_OVERRIDES {
            check
                .fail("overrides", format!("has {} values, at most {HOT_OVERRIDES} are kept", rule.overrides.len()))?;
        }
        for (value, threshold) in &rule.overrides {
            check.within(&format!("overrides.{value}"), *threshold, 0, THRESHOLD)?;
        }
    }
    for (place, rule) in form.isolation.iter().enumerate() {
        common("isolation", place, &rule.id, rule.stage)?;
        Check(&rule.id).on(&rule.on)?;
        Check(&rule.id).within("in_flight", rule.in_flight, 1, u64::from(u32::MAX))?;
    }
    for (place, rule) in form.system.iter().enumerate() {
        common("system", place, &rule.id, rule.stage)?;
        Check(&rule.id).within("threshold", rule.threshold, 0, THRESHOLD)?;
    }
    for (place, rule) in form.breaker.iter().enumerate() {
        common("breaker", place, &rule.id, rule.stage)?;
        let check = Check(&rule.id);
        check.on(&rule.on)?;
        let most = if rule.strategy == Trip::ErrorCount { THRESHOLD } else { 1_000 };
        check.within("threshold", rule.threshold, 0, most)?;
        let slow = rule.strategy == Trip::SlowCallRatio;
        check.within("max_rt_ms", rule.max_rt_ms, u64::from(slow), INTERVAL_MS)?;
        check.within("min_requests", rule.min_requests, 0, THRESHOLD)?;
        check.within("open_ms", rule.open_ms, 1, INTERVAL_MS)?;
        check.within("interval_ms", rule.interval_ms, 1, INTERVAL_MS)?;
        check.within("buckets", rule.buckets, 0, STAT_BUCKETS)?;
        check.within("probes", rule.probes, 0, PROBES)?;
    }
    for (place, rule) in form.quota.iter().enumerate() {
        common("quota", place, &rule.id, rule.stage)?;
        let check = Check(&rule.id);
        check.on(&rule.on)?;
        check.within("base", rule.base, 1, THRESHOLD)?;
        check.within("interval_ms", rule.interval_ms, 1, INTERVAL_MS)?;
        rule.burst.map_or(Ok(()), |burst| check.within("burst", burst, 1, THRESHOLD))?;
        shared(&check, rule, form)?;
    }
    for (place, rule) in form.weight.iter().enumerate() {
        common("weight", place, &rule.id, rule.stage)?;
        let check = Check(&rule.id);
        check.pattern("chain", rule.chain.as_ref())?;
        check.pattern("channel", rule.channel.as_ref())?;
        check.pattern("method", rule.method.as_ref())?;
        let named = [&rule.chain, &rule.channel, &rule.method].into_iter().flatten().count();
        if named != 1 {
            check.fail("chain", format!("{named} of chain, channel and method are given, must be one"))?;
        }
        if weight_milli(rule.weight).is_none() {
            check.fail("weight", format!("is {}, must lie in [0.1, 5] with at most three decimals", rule.weight))?;
        }
    }
    Ok(())
}

/// A quota of all members: the store must be able to keep it, and to take something for every call.
fn shared(check: &Check<'_>, rule: &super::form::Quota, form: &Form) -> Result<(), RulesError> {
    let Some(plan) = Plan::made(rule) else { return Ok(()) };
    if rule.shadow {
        return check
            .fail("shared", "must be local in shadow mode: nothing is taken from a shared quota to look at".into());
    }
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => {
            let why =
                format!("can't be kept exactly in the store ({error}): round the base, or lower interval_ms or burst");
            return check.fail("shared", why);
        }
    };
    // In billionths; what a method's weight is learned to be is cut to the burst.
    let least = |of: fn(&super::form::Weight) -> bool| {
        let weights = form.weight.iter().filter(|weight| of(weight) && !weight.shadow);
        u128::from(weights.map(super::form::Weight::milli).fold(1_000, u64::min))
    };
    let product = [least(|w| w.chain.is_some()), least(|w| w.channel.is_some()), least(|w| w.method.is_some())];
    let product: u128 = product.into_iter().product();
    if plan.calls_at_once().saturating_mul(product) < 1_000_000_000 {
        // Half of a leased burst may be in blocks that others hold.
        let needed = 1_000_000_000u128.div_ceil(product.max(1)).saturating_mul(if plan.leased { 2 } else { 1 });
        let burst = rule.burst.unwrap_or(rule.base);
        let why =
            format!("is {burst}, must be {needed} in this shared quota: with the least weights a call costs as much");
        return check.fail("burst", why);
    }
    Ok(())
}

fn count(form: &Form) -> usize {
    let rest = [
        form.hot.len(),
        form.isolation.len(),
        form.system.len(),
        form.breaker.len(),
        form.quota.len(),
        form.weight.len(),
    ];
    rest.iter().fold(form.flow.len(), |sum, n| sum.saturating_add(*n))
}

fn flow(rule: &super::form::Flow) -> Result<(), RulesError> {
    let check = Check(&rule.id);
    check.on(&rule.on)?;
    check.within("threshold", rule.threshold, 0, THRESHOLD)?;
    check.within("interval_ms", rule.interval_ms, 1, INTERVAL_MS)?;
    rule.burst.map_or(Ok(()), |burst| check.within("burst", burst, 1, THRESHOLD))?;
    check.within("max_queueing_ms", rule.max_queueing_ms, 0, INTERVAL_MS)?;
    match rule.strategy {
        Strategy::Direct => {}
        Strategy::WarmUp => {
            check.within("warm_up_period_ms", rule.warm_up_period_ms, 1, INTERVAL_MS)?;
            check.within("cold_factor", rule.cold_factor, 2, 100)?;
        }
        Strategy::MemoryAdaptive => {
            check.within("high_memory_threshold", rule.high_memory_threshold, 1, THRESHOLD)?;
            check.within("low_memory_threshold", rule.low_memory_threshold, 1, THRESHOLD)?;
            if rule.low_memory_threshold <= rule.high_memory_threshold {
                check.fail("low_memory_threshold", "must be above high_memory_threshold".into())?;
            }
            check.within("low_water_mib", rule.low_water_mib, 1, THRESHOLD)?;
            if rule.high_water_mib <= rule.low_water_mib {
                check.fail("high_water_mib", "must be above low_water_mib".into())?;
            }
        }
    }
    Ok(())
}

/// Every association leads to a flow rule, and none back to where it began.
fn associations(form: &Form) -> Result<(), RulesError> {
    let to: HashMap<&str, Option<&str>> =
        form.flow.iter().map(|rule| (rule.id.as_str(), rule.associated.as_deref())).collect();
    let mut ends: HashSet<&str> = HashSet::with_capacity(to.len());
    for rule in form.flow.iter().filter(|rule| rule.associated.is_some()) {
        let mut seen = vec![rule.id.as_str()];
        let mut at = rule.id.as_str();
        let mut on_path = HashSet::from([at]);
        while let Some(next) = to.get(at).copied().flatten() {
            if !to.contains_key(next) {
                return Check(at).fail("associated", format!("names `{next}`, which is no flow rule of this set"));
            }
            if ends.contains(next) {
                break;
            }
            seen.push(next);
            if !on_path.insert(next) {
                let circle: Vec<_> = seen.iter().take(10).copied().collect();
                return Check(at).fail("associated", format!("is circular: {}", circle.join(" -> ")));
            }
            at = next;
        }
        ends.extend(seen);
    }
    Ok(())
}
