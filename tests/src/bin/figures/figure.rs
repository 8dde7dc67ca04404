//! One figure, its goal, and whether it is met.

use std::fmt;

use serde::Serialize;

/// Of this share of the cores and above a run is bound by the machine.
const BUSY: f64 = 0.90;
/// Up to this share of what both use, the machine's owner is the chains.
const OUR_SHARE: f64 = 0.15;

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(limit) => write!(f, "<= {limit}"),
            Self::AtLeast(limit) => write!(f, ">= {limit}"),
        }
    }
}

impl Serialize for Goal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Processor time in a span of time, s.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spent {
    pub(crate) seconds: f64,
    pub(crate) cores: f64,
    pub(crate) relayer_cpu_s: f64,
    pub(crate) chains_cpu_s: f64,
    /// Everybody's on this machine: who else works on it takes from both.
    pub(crate) machine_cpu_s: f64,
}

impl Spent {
    /// Whether nothing but the chains could be faster.
    pub(crate) fn bound_by_chains(&self) -> bool {
        let both = self.relayer_cpu_s + self.chains_cpu_s;
        both > 0.0 && both >= BUSY * self.cores * self.seconds && self.relayer_cpu_s <= OUR_SHARE * both
    }

    fn share(&self, part: f64) -> f64 {
        let all = self.cores * self.seconds;
        if all > 0.0 { 100.0 * part / all } else { 0.0 }
    }
}

/// A line of the output. Absent keys don't apply.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    figure: String,
    value: f64,
    unit: &'static str,
    goal: Option<Goal>,
    met: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_interval_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chains_cpu_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relayer_cpu_s: Option<f64>,
    /// Shares of all cores, %.
    #[serde(skip_serializing_if = "Option::is_none")]
    chains_share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relayer_share: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine_share: Option<f64>,
}

impl Figure {
    pub(crate) fn new(figure: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            figure: figure.into(),
            value: rounded(value),
            unit,
            goal: None,
            met: None,
            bound: None,
            run: None,
            block_interval_ms: None,
            chains_cpu_s: None,
            relayer_cpu_s: None,
            chains_share: None,
            relayer_share: None,
            machine_share: None,
        }
    }

    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self.met = Some(goal.met(self.value));
        self
    }

    /// The number of a repeated run, from 1.
    pub(crate) fn run(mut self, run: u32) -> Self {
        self.run = Some(run);
        self
    }

    pub(crate) fn block_interval_ms(mut self, ms: f64) -> Self {
        self.block_interval_ms = Some(rounded(ms));
        self
    }

    /// Who used the processors meanwhile.
    pub(crate) fn spent(mut self, spent: &Spent) -> Self {
        self.chains_cpu_s = Some(rounded(spent.chains_cpu_s));
        self.relayer_cpu_s = Some(rounded(spent.relayer_cpu_s));
        self.chains_share = Some(rounded(spent.share(spent.chains_cpu_s)));
        self.relayer_share = Some(rounded(spent.share(spent.relayer_cpu_s)));
        self.machine_share = Some(rounded(spent.share(spent.machine_cpu_s)));
        self
    }

    /// For a figure that a faster machine makes better: where the chains are the bound, its goal counts as met.
    pub(crate) fn unless_bound(mut self, spent: &Spent) -> Self {
        if spent.bound_by_chains() {
            self.bound = Some("chains");
            self.met = self.met.map(|_| true);
        }
        self.spent(spent)
    }

    pub(crate) fn print(&self) {
        // A struct of numbers and words.
        if let Ok(line) = serde_json::to_string(self) {
            println!("{line}");
        }
    }
}

/// The middle one, or the mean of the middle two; none of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some((sorted.get(middle.checked_sub(1)?)? + upper) / 2.0) }
}

/// Three digits after the point are what can be told.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(relayer_cpu_s: f64, chains_cpu_s: f64) -> Spent {
        Spent { seconds: 10.0, cores: 2.0, relayer_cpu_s, chains_cpu_s, machine_cpu_s: 20.0 }
    }

    fn line(figure: &Figure) -> serde_json::Value {
        serde_json::to_value(figure).unwrap()
    }

    #[test]
    fn a_goal_is_met_at_its_limit_and_missed_beyond() {
        let met = |value, goal| Figure::new("x", value, "s").goal(goal).met;
        assert_eq!([10.0, 10.001].map(|v| met(v, Goal::AtMost(10.0))), [Some(true), Some(false)]);
        assert_eq!([170.0, 169.999].map(|v| met(v, Goal::AtLeast(170.0))), [Some(true), Some(false)]);
        assert_eq!(Figure::new("x", 1.0, "s").met, None);
    }

    #[test]
    fn the_chains_are_the_bound_only_with_busy_cores_and_a_small_share_of_ours() {
        // 18 of 20 s are 90 %; 15 % of them are 2.7 s.
        assert!(spent(2.6, 15.4).bound_by_chains() && spent(0.5, 19.0).bound_by_chains());
        assert!(!spent(2.7, 15.2).bound_by_chains(), "less than 90 % of the cores");
        assert!(!spent(2.8, 15.2).bound_by_chains(), "more than 15 % of it ours");
        assert!(!Spent::default().bound_by_chains(), "nothing at all");
    }

    #[test]
    fn where_the_chains_are_the_bound_a_goal_counts_as_met_and_says_so() {
        let rate = || Figure::new("rate", 100.0, "packets/s").goal(Goal::AtLeast(170.0));
        let bound = line(&rate().unless_bound(&spent(1.0, 18.0)));
        assert_eq!((&bound["met"], &bound["bound"]), (&true.into(), &"chains".into()));
        let slow = line(&rate().unless_bound(&spent(5.0, 5.0)));
        assert_eq!((&slow["met"], slow.get("bound")), (&false.into(), None));
        let without_goal = line(&Figure::new("rate", 100.0, "packets/s").unless_bound(&spent(1.0, 18.0)));
        assert!(without_goal["met"].is_null());
    }

    #[test]
    fn a_line_has_the_five_keys_and_what_applies() {
        let text = serde_json::to_string(&Figure::new("a", 1.23456, "ms").goal(Goal::AtMost(40.0))).unwrap();
        assert_eq!(text, r#"{"figure":"a","value":1.235,"unit":"ms","goal":"<= 40","met":true}"#);
        let text = serde_json::to_string(&Figure::new("a", 2.0, "ms")).unwrap();
        assert_eq!(text, r#"{"figure":"a","value":2.0,"unit":"ms","goal":null,"met":null}"#);
        let more = line(&Figure::new("a", 2.0, "ms").run(3).block_interval_ms(540.0).spent(&spent(1.0, 4.0)));
        assert_eq!(
            (&more["run"], &more["block_interval_ms"], &more["chains_share"]),
            (&3.into(), &540.0.into(), &20.0.into())
        );
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!([median(&[]), median(&[3.0]), median(&[9.0, 1.0, 4.0, 2.0])], [None, Some(3.0), Some(3.0)]);
    }
}
