//! What travels: a batch of decisions as a script's arguments, and its flat list of numbers back.

use redis::Value;

use super::budget::Budget;
use super::engine::Engine;
use super::link::Fault;

/// What a refund needs of one level of a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) budget: Budget,
    pub(super) n: u64,
    /// None of redis-cell, to which nothing is given back.
    fence: Option<Fence>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fence {
    tat: i64,
    rem: i64,
    taken: i64,
    born: i64,
}

impl Receipt {
    pub(super) fn refundable(&self) -> bool {
        self.fence.is_some()
    }
}

/// One request of a batch.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    /// 0: all of it or nothing; otherwise a lease of at least so many.
    pub(super) least: u64,
    pub(super) levels: Vec<(Budget, u64)>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Granted(Vec<Receipt>),
    Wait { micros: u64, level: usize },
}

/// What an engine's script says to a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Answers(Vec<Answer>),
    /// The members decide by the other engine.
    Other,
    /// redis-cell can't be used here, and the members do without it from now on.
    Failed,
}

/// Keys and arguments of one script call under construction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    buckets: Vec<Budget>,
    asks: Vec<Ask>,
}

impl Batch {
    /// Adds a request, or gives it back: a key that is defined otherwise in this batch must go into the next.
    pub(super) fn add(&mut self, ask: Ask) -> Result<(), Ask> {
        let clash = |(budget, _): &(Budget, u64)| self.buckets.iter().any(|b| b.key == budget.key && b != budget);
        if ask.levels.iter().any(clash) {
            return Err(ask);
        }
        for (budget, _) in &ask.levels {
            if !self.buckets.iter().any(|b| b.key == budget.key) {
                self.buckets.push(budget.clone());
            }
        }
        self.asks.push(ask);
        Ok(())
    }

    pub(super) fn keys(&self, domain: &str, engine: Engine) -> Vec<String> {
        let buckets = self.buckets.iter().map(|budget| bucket_key(domain, engine, budget));
        [epoch_key(domain), engine_key(domain)].into_iter().chain(buckets).collect()
    }

    /// `cell`: this member could decide by redis-cell.
    pub(super) fn args(&self, cell: bool) -> Vec<Vec<u8>> {
        let mut args =
            Vec::with_capacity(self.buckets.len().saturating_mul(3).saturating_add(self.asks.len().saturating_mul(12)));
        let mut push = |n: u64| args.push(n.to_string().into_bytes());
        push(cell.into());
        for budget in &self.buckets {
            push(budget.period_us);
            push(budget.tokens);
            push(budget.room);
        }
        for ask in &self.asks {
            push(ask.least);
            push(ask.levels.len() as u64);
            for (budget, n) in &ask.levels {
                let index = self.buckets.iter().position(|b| b.key == budget.key).unwrap_or(0);
                push((index as u64).saturating_add(1));
                push(*n);
            }
        }
        args
    }

    /// Reads the reply: as many answers as requests, in their order.
    pub(super) fn answers(&self, engine: Engine, reply: &Value) -> Result<Said, Fault> {
        let Value::Array(items) = reply else { return Err(Fault::garbage("no list to a decision")) };
        match (items.as_slice(), engine) {
            ([Value::Int(2)], _) => return Ok(Said::Other),
            ([Value::Int(3)], Engine::Cell) => return Ok(Said::Failed),
            _ => {}
        }
        let mut numbers = items.iter().map(|item| match item {
            Value::Int(n) => Ok(*n),
            _ => Err(Fault::garbage("something that is no number to a decision")),
        });
        let mut next = || numbers.next().unwrap_or(Err(Fault::garbage("too short a list to a decision")));
        let mut answers = Vec::with_capacity(self.asks.len());
        for ask in &self.asks {
            match next()? {
                0 => {
                    let micros = u64::try_from(next()?).map_err(|_| Fault::garbage("a negative wait"))?;
                    let level = usize::try_from(next()?).ok().and_then(|l| l.checked_sub(1));
                    let level =
                        level.filter(|l| *l < ask.levels.len()).ok_or_else(|| Fault::garbage("an unknown level"))?;
                    answers.push(Answer::Wait { micros, level });
                }
                1 => {
                    let granted = u64::try_from(next()?).map_err(|_| Fault::garbage("a negative grant"))?;
                    let mut receipts = Vec::with_capacity(ask.levels.len());
                    for (budget, asked) in &ask.levels {
                        let n = if ask.least > 0 { granted.min(*asked) } else { *asked };
                        let fence = match engine {
                            Engine::Script => Some(Fence { tat: next()?, rem: next()?, taken: next()?, born: next()? }),
                            Engine::Cell => None,
                        };
                        receipts.push(Receipt { budget: budget.clone(), n, fence });
                    }
                    answers.push(Answer::Granted(receipts));
                }
                _ => return Err(Fault::garbage("neither yes nor no to a decision")),
            }
        }
        Ok(Said::Answers(answers))
    }
}

/// Keys and arguments of a refund, `kept` tokens of each receipt being spent; of receipts that can be refunded.
pub(super) fn refund(domain: &str, receipts: &[(Receipt, u64)]) -> (Vec<String>, Vec<Vec<u8>>) {
    let mut keys = Vec::with_capacity(receipts.len());
    let mut args = Vec::with_capacity(receipts.len().saturating_mul(7));
    for (receipt, kept) in receipts {
        let Some(Fence { tat, rem, taken, born }) = receipt.fence else { continue };
        keys.push(bucket_key(domain, Engine::Script, &receipt.budget));
        args.extend([receipt.budget.period_us, receipt.budget.tokens, *kept].map(|n| n.to_string().into_bytes()));
        args.extend([tat, rem, taken, born].map(|n| n.to_string().into_bytes()));
    }
    (keys, args)
}

pub(super) fn epoch_key(domain: &str) -> String {
    format!("{{{domain}}}:epoch")
}
pub(super) fn members_key(domain: &str) -> String {
    format!("{{{domain}}}:members")
}
pub(super) fn engine_key(domain: &str) -> String {
    format!("{{{domain}}}:engine")
}
pub(super) fn value_key(domain: &str, key: &str) -> String {
    format!("{{{domain}}}:value:{key}")
}
fn bucket_key(domain: &str, engine: Engine, budget: &Budget) -> String {
    let of = match engine {
        Engine::Script => "b",
        Engine::Cell => "cell",
    };
    format!("{{{domain}}}:{of}:{}", budget.key)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn budget(key: &str, tokens: u64) -> Budget {
        let Ok(budget) = Budget::strong(key, tokens, Duration::from_secs(1), 10) else { panic!("refused") };
        budget
    }
    fn ask(key: &str, tokens: u64) -> Ask {
        Ask { least: 0, levels: vec![(budget(key, tokens), 2)] }
    }
    fn list(numbers: &[i64]) -> Value {
        Value::Array(numbers.iter().map(|n| Value::Int(*n)).collect())
    }

    #[test]
    fn a_key_stands_once_in_a_batch_and_another_definition_waits_for_the_next() {
        let mut batch = Batch::default();
        assert!(batch.add(ask("a", 1)).is_ok() && batch.add(ask("a", 1)).is_ok() && batch.add(ask("b", 1)).is_ok());
        assert!(batch.add(ask("a", 2)).is_err());
        assert_eq!(batch.keys("d", Engine::Script), ["{d}:epoch", "{d}:engine", "{d}:b:a", "{d}:b:b"]);
        assert_eq!(batch.keys("d", Engine::Cell), ["{d}:epoch", "{d}:engine", "{d}:cell:a", "{d}:cell:b"]);
        assert_eq!(batch.args(false).len(), 1 + 2 * 3 + 3 * 4);
    }

    #[test]
    fn an_answer_that_the_script_never_gives_is_no_permission() {
        let mut batch = Batch::default();
        assert!(batch.add(ask("a", 1)).is_ok());
        for bad in
            [Value::Nil, list(&[]), list(&[1]), list(&[1, 2, 3]), list(&[2, 0, 0]), list(&[0, -5, 1]), list(&[0, 5, 2])]
        {
            assert!(batch.answers(Engine::Script, &bad).is_err(), "{bad:?}");
        }
        assert!(batch.answers(Engine::Script, &list(&[3])).is_err());
        let wait = Said::Answers(vec![Answer::Wait { micros: 5, level: 0 }]);
        for engine in [Engine::Script, Engine::Cell] {
            assert_eq!(batch.answers(engine, &list(&[0, 5, 1])).ok(), Some(wait.clone()));
            assert_eq!(batch.answers(engine, &list(&[2])).ok(), Some(Said::Other));
        }
        assert!(batch.answers(Engine::Script, &list(&[1, 0, 7, 0, 2, 1])).is_ok());
    }

    #[test]
    fn what_redis_cell_granted_is_not_given_back() {
        let mut batch = Batch::default();
        assert!(batch.add(ask("a", 1)).is_ok());
        assert_eq!(batch.answers(Engine::Cell, &list(&[3])).ok(), Some(Said::Failed));
        let Ok(Said::Answers(answers)) = batch.answers(Engine::Cell, &list(&[1, 0])) else { panic!("no answers") };
        let [Answer::Granted(receipts)] = answers.as_slice() else { panic!("{answers:?}") };
        assert!(receipts.iter().all(|receipt| !receipt.refundable()));
        let (keys, args) = refund("d", &receipts.iter().map(|receipt| (receipt.clone(), 0)).collect::<Vec<_>>());
        assert!(keys.is_empty() && args.is_empty());
    }
}
