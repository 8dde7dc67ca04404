//! An endpoint's rate as a budget that several relayers share over Redis.
//!
//! The configured rate and burst of an endpoint are those of all members of a domain together; one's own limits stand beside them.
//! Reads take tokens in leased blocks, broadcasts (and in strong mode all) are decided by the store; while it is away the local share
//! decides. Clause: *Distributed budget* of the limiter page. Errors: those of [`limiter::store`], at set-up only.

use std::time::Duration;

use limiter::CallKind;
use limiter::rules::enforce::SharedCharge;
use limiter::store::{Budget, Charge, Leased, Pass, SharedBudgets, Status, StoreError, Verdict};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::endpoint_url::EndpointUrl;
use super::limits::{KEY_HASH, KEY_PART};

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

    pub(crate) fn endpoint(
        &self,
        chain: &str,
        url: &EndpointUrl,
        settings: &limiter::Settings,
    ) -> Result<EndpointBudget, StoreError> {
        let key = key(chain, url);
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

/// The same for all who call this address for this chain, whatever else they call: chain, host, and a hash of the whole address, in
/// which a path or an API key may stand.
fn key(chain: &str, url: &EndpointUrl) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() || "_-.:/".contains(c) { c } else { '~' };
    let plain = |text: &str| text.chars().take(KEY_PART).map(good).collect::<String>();
    let hash = hex::encode(Sha256::digest(url.secret().as_str()));
    format!("{}:{}:{}", plain(chain), plain(&url.label()), hash.get(..KEY_HASH).unwrap_or(&hash))
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
    /// The endpoint's budget.
    After(Duration),
    /// That of this quota.
    Quota(usize, Duration),
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

    /// All tokens or none: `n` of the endpoint, and what the quotas of all members want.
    ///
    /// What is decided call by call goes first, in one decision, since it can be given back; then what is leased, also in one.
    pub(crate) async fn take(
        &self,
        kind: CallKind,
        n: u64,
        quotas: &[SharedCharge],
    ) -> Result<SharedPass<'_>, Refused> {
        let read = kind == CallKind::Read;
        let endpoint = Charge { budget: &self.budget, n };
        if quotas.is_empty() {
            let verdict = match &self.leased {
                Some(leased) if read => leased.acquire(n).await,
                _ => self.budgets.acquire(&[endpoint]).await,
            };
            return self.pass(verdict, quotas);
        }
        let asked = quotas.iter().map(|quota| (quota.leased && read, Charge { budget: &quota.budget, n: quota.n }));
        let all: Vec<_> = std::iter::once((self.leased.is_some() && read, endpoint)).chain(asked).collect();
        let charges = |leased: bool| -> Vec<Charge<'_>> {
            all.iter().filter(|(is, _)| *is == leased).map(|(_, charge)| *charge).collect()
        };
        let (single, leased) = (charges(false), charges(true));
        let taken = self.pass(self.budgets.acquire(&single).await, quotas)?;
        if !leased.is_empty() {
            // A refusal drops `taken`, which gives it back.
            self.pass(self.budgets.acquire_leased(&leased).await, quotas)?.sent();
        }
        Ok(taken)
    }

    fn pass(&self, verdict: Verdict, quotas: &[SharedCharge]) -> Result<SharedPass<'_>, Refused> {
        match verdict {
            Verdict::Now(pass) => Ok(SharedPass(&self.budgets, Some(pass))),
            Verdict::Wait(refusal) => {
                let quota = quotas.iter().position(|quota| quota.budget.key() == &*refusal.key);
                Err(quota.map_or(Refused::After(refusal.after), |quota| Refused::Quota(quota, refusal.after)))
            }
            Verdict::Never(_) => Err(Refused::Never),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_of_one_chain_at_one_address_and_shows_no_secret() {
        let of = |chain: &str, url: &str| key(chain, &url.parse().unwrap());
        let known = of("hub-4", "https://user:s3cret@rpc.example:443/hub?api=s3cret");
        assert!(known.starts_with("hub-4:https://rpc.example:") && !known.contains("s3cret"), "{known}");
        assert_eq!(known, of("hub-4", "https://user:s3cret@rpc.example/hub?api=s3cret"));
        for (chain, url) in [
            ("osmosis-1", "https://user:s3cret@rpc.example/hub?api=s3cret"),
            ("hub-4", "https://user:s3cret@rpc.example/osmosis?api=s3cret"),
            ("hub-4", "https://user:s3cret@rpc.example/hub?api=other"),
        ] {
            assert_ne!(known, of(chain, url));
        }
        let long = of(&"c".repeat(500), &format!("https://{}.example/", "h".repeat(60)));
        assert!(long.len() <= 128, "{}", long.len());
    }
}
