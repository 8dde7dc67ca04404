//! The set in force, and how it is replaced.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::check::RuleSet;
use super::form::Form;

/// What a replacement means for each rule, by id: state of kept rules stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Equal before and after.
    pub kept: Vec<String>,
    /// New.
    pub added: Vec<String>,
    /// Gone.
    pub removed: Vec<String>,
    /// Same id, other content.
    pub changed: Vec<String>,
}

/// What came of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It is in force.
    Changed(Changes),
    /// It was in force already.
    Same,
    /// A newer one is.
    Older,
}

#[derive(Debug)]
struct InForce {
    set: RwLock<Arc<RuleSet>>,
    generation: AtomicU64,
    /// One replacement at a time, so that the comparison is with what is replaced.
    writing: Mutex<()>,
}

/// The set in force. Clones share it.
#[derive(Debug, Clone)]
pub struct Rules(Arc<InForce>);

impl Rules {
    /// These, for a start.
    pub fn new(set: RuleSet) -> Self {
        let (set, generation) = (RwLock::new(Arc::new(set)), AtomicU64::new(0));
        Self(Arc::new(InForce { set, generation, writing: Mutex::default() }))
    }

    /// The set in force.
    pub fn get(&self) -> Arc<RuleSet> {
        self.0.set.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Grows with each replacement: who compiled the rules looks here, one load a decision.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Puts a set in force, if it differs and none newer is. Readers wait for one pointer's exchange.
    pub fn apply(&self, set: RuleSet) -> Applied {
        let _one = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.get();
        // A set without a version does not replace one with: it can't be known to be newer.
        if old.version() > set.version() {
            return Applied::Older;
        }
        if *old == set {
            return Applied::Same;
        }
        let changes = compare(old.rules(), set.rules());
        let new = Arc::new(set);
        *self.0.set.write().unwrap_or_else(PoisonError::into_inner) = new;
        self.0.generation.fetch_add(1, Ordering::Release);
        Applied::Changed(changes)
    }
}

fn compare(old: &Form, new: &Form) -> Changes {
    let mut changes = Changes::default();
    kind(&mut changes, &old.flow, &new.flow, |rule| &rule.id);
    kind(&mut changes, &old.hot, &new.hot, |rule| &rule.id);
    kind(&mut changes, &old.isolation, &new.isolation, |rule| &rule.id);
    kind(&mut changes, &old.system, &new.system, |rule| &rule.id);
    kind(&mut changes, &old.breaker, &new.breaker, |rule| &rule.id);
    kind(&mut changes, &old.quota, &new.quota, |rule| &rule.id);
    kind(&mut changes, &old.weight, &new.weight, |rule| &rule.id);
    changes
}

/// A rule that moves to another kind is removed and added: its state is of no use there.
fn kind<T: PartialEq>(changes: &mut Changes, old: &[T], new: &[T], id: impl Fn(&T) -> &String) {
    // Most sets are edited in place: what stands where it stood needs no search.
    let in_place = old.iter().zip(new).take_while(|(was, rule)| id(was) == id(rule));
    let compared = in_place.fold(0usize, |count, (was, rule)| {
        let list = if was == rule { &mut changes.kept } else { &mut changes.changed };
        list.push(id(rule).clone());
        count.saturating_add(1)
    });
    let mut before: HashMap<&str, &T> = old.iter().skip(compared).map(|rule| (id(rule).as_str(), rule)).collect();
    for rule in new.iter().skip(compared) {
        let list = match before.remove(id(rule).as_str()) {
            Some(was) if was == rule => &mut changes.kept,
            Some(_) => &mut changes.changed,
            None => &mut changes.added,
        };
        list.push(id(rule).clone());
    }
    let mut removed: Vec<_> = before.into_keys().map(str::to_owned).collect();
    removed.sort();
    changes.removed.append(&mut removed);
}
