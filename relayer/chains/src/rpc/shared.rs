//! An endpoint's rate as a budget that several relayers share over Redis.
//!
//! The configured rate and burst of an endpoint are those of all members of a domain together; one's own limits stand beside them.
//! Reads take tokens in leased blocks, broadcasts (and in strong mode all) are decided by the store; while it is away the local share
//! decides. Clause: *Distributed budget* of the limiter page. Errors: those of [`limiter::store`], at set-up only.

use std::time::Duration;

use limiter::CallKind;
use limiter::store::{Budget, Charge, Leased, Pass, SharedBudgets, Status, StoreError, Verdict};
use tokio::sync::Semaphore;

/// The member that this program is. Clones are the same.
#[derive(Debug, Clone)]
pub struct SharedRates {
    budgets: SharedBudgets,
    leased: bool,
}

impl SharedRates {
    /// `leased`: reads take tokens in blocks.
    pub fn new(budgets: SharedBudgets, leased: bool) -> Self {
        Self { budgets, leased }
    }
    /// How the store does.
    pub fn status(&self) -> Status {
        self.budgets.status()
    }

    pub(crate) fn endpoint(&self, label: &str, settings: &limiter::Settings) -> Result<EndpointBudget, StoreError> {
        let good = |c: char| if c.is_ascii_alphanumeric() || "_-.:/".contains(c) { c } else { '~' };
        let key: String = label.chars().map(good).collect();
        let (rate, burst, second) = (settings.rate_per_second, settings.burst, Duration::from_secs(1));
        let (budget, leased) = if self.leased {
            let budget = Budget::leased(&key, rate, second, burst)?;
            let leased = self.budgets.leased(&[&budget]);
            (budget, Some(leased))
        } else {
            (Budget::strong(&key, rate, second, burst)?, None)
        };
        let lines = [Semaphore::new(1), Semaphore::new(1)];
        Ok(EndpointBudget { budgets: self.budgets.clone(), budget, leased, lines })
    }
}

/// One endpoint's budget, and who waits for it: reads and broadcasts in a line each.
pub(crate) struct EndpointBudget {
    budgets: SharedBudgets,
    budget: Budget,
    leased: Option<Leased>,
    lines: [Semaphore; 2],
}

/// Tokens taken; given back when dropped before the request left.
pub(crate) struct SharedPass<'a>(&'a SharedBudgets, Option<Pass>);

impl SharedPass<'_> {
    pub(crate) fn sent(&mut self) {
        if let Some(pass) = self.1.take() {
            pass.sent();
        }
    }
}

impl Drop for SharedPass<'_> {
    fn drop(&mut self) {
        if let Some(pass) = self.1.take() {
            self.0.refund(pass);
        }
    }
}

/// Not now.
pub(crate) enum Refused {
    After(Duration),
    Never,
}

impl EndpointBudget {
    /// Most tokens that one request can get.
    pub(crate) fn burst(&self) -> u64 {
        self.budget.room()
    }
    pub(crate) fn line(&self, kind: CallKind) -> &Semaphore {
        let [reads, broadcasts] = &self.lines;
        if kind == CallKind::Read { reads } else { broadcasts }
    }

    /// All tokens or none.
    pub(crate) async fn take(&self, kind: CallKind, n: u64) -> Result<SharedPass<'_>, Refused> {
        let verdict = match &self.leased {
            Some(leased) if kind == CallKind::Read => leased.acquire(n).await,
            _ => self.budgets.acquire(&[Charge { budget: &self.budget, n }]).await,
        };
        match verdict {
            Verdict::Now(pass) => Ok(SharedPass(&self.budgets, Some(pass))),
            Verdict::Wait(refusal) => Err(Refused::After(refusal.after)),
            Verdict::Never(_) => Err(Refused::Never),
        }
    }
}
