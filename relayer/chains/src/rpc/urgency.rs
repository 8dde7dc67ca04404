//! How urgent a piece of work is, told once for all calls that it makes, however deep.
//!
//! Clause: *priority by deadline ... with a reserve* of the limiter page. The classes are the limiter's: evidence, a client near its
//! expiry, a packet near its timeout. What is spawned does not inherit it.

use limiter::Urgency;

tokio::task_local! {
    static URGENCY: Urgency;
}

/// Does some work whose calls may use tokens that less urgent ones leave.
pub async fn urgent<T>(class: Option<Urgency>, work: impl Future<Output = T>) -> T {
    match class {
        Some(class) => URGENCY.scope(class, work).await,
        None => work.await,
    }
}

/// The class of the work under way, or one that is known already, if that is more urgent.
pub(crate) fn of_work(known: Option<Urgency>) -> Option<Urgency> {
    [URGENCY.try_with(|class| *class).ok(), known].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_are_as_urgent_as_the_work_that_makes_them() {
        assert_eq!(of_work(None), None);
        assert_eq!(of_work(Some(Urgency::Packet)), Some(Urgency::Packet));
        let work = async { (of_work(None), of_work(Some(Urgency::Client)), of_work(Some(Urgency::Evidence))) };
        let within = urgent(Some(Urgency::Client), work).await;
        assert_eq!(within, (Some(Urgency::Client), Some(Urgency::Client), Some(Urgency::Evidence)));
        assert_eq!(urgent(None, async { of_work(None) }).await, None);
    }
}
