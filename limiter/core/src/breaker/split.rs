//! One breaker for each class of calls: reads may trip while broadcasts go on.

use super::{Breaker, Settings};

/// What kind of call asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Changes nothing; may be repeated and hedged.
    Read,
    /// Puts a transaction into the mempool; never hedged.
    Broadcast,
}

/// Two breakers with the same rule.
#[derive(Debug, Clone)]
pub struct Split {
    read: Breaker,
    broadcast: Breaker,
}

impl Split {
    /// Both closed.
    pub fn new(settings: Settings) -> Self {
        Self { read: Breaker::new(settings), broadcast: Breaker::new(settings) }
    }
    /// The class's breaker.
    pub fn of(&self, class: Class) -> &Breaker {
        match class {
            Class::Read => &self.read,
            Class::Broadcast => &self.broadcast,
        }
    }
    /// The class's breaker.
    pub fn of_mut(&mut self, class: Class) -> &mut Breaker {
        match class {
            Class::Read => &mut self.read,
            Class::Broadcast => &mut self.broadcast,
        }
    }
}
