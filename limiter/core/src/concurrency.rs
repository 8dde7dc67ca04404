//! A cap on calls in flight, as a count. The shell turns it into a permit that gives itself back.

/// How many may be in flight, and how many are.
#[derive(Debug, Clone)]
pub struct Concurrency {
    max: u32,
    in_flight: u32,
}

impl Concurrency {
    /// At most `max` at once; zero counts as one.
    pub fn new(max: u32) -> Self {
        Self { max: max.max(1), in_flight: 0 }
    }
    /// Is there room for one more?
    pub fn has_room(&self) -> bool {
        self.in_flight < self.max
    }
    /// Takes a place; `false` when all are taken.
    #[must_use]
    pub fn take(&mut self) -> bool {
        let room = self.has_room();
        if room {
            self.in_flight = self.in_flight.saturating_add(1);
        }
        room
    }
    /// Gives a place back.
    pub fn give_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }
    /// Calls in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_given_back_can_be_taken_again() {
        let mut cap = Concurrency::new(2);
        assert!(cap.take() && cap.take() && !cap.take());
        cap.give_back();
        assert!(cap.take() && !cap.take());
        assert_eq!(cap.in_flight(), 2);
    }
}
