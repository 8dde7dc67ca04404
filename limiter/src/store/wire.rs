//! What travels: a batch of decisions as the script's arguments, and its flat list of numbers back.

use redis::Value;

use super::budget::Budget;
use super::link::Fault;

/// What a refund needs of one level of a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) budget: Budget,
    pub(super) n: u64,
    tat: i64,
    rem: i64,
    taken: i64,
    born: i64,
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

    pub(super) fn keys(&self, domain: &str) -> Vec<String> {
        let buckets = self.buckets.iter().map(|budget| bucket_key(domain, budget));
        std::iter::once(epoch_key(domain)).chain(buckets).collect()
    }

    pub(super) fn args(&self) -> Vec<Vec<u8>> {
        let mut args =
            Vec::with_capacity(self.buckets.len().saturating_mul(3).saturating_add(self.asks.len().saturating_mul(12)));
        let mut push = |n: u64| args.push(n.to_string().into_bytes());
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
    pub(super) fn answers(&self, reply: &Value) -> Result<Vec<Answer>, Fault> {
        let Value::Array(items) = reply else { return Err(Fault::garbage("no list to a decision")) };
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
                        let (tat, rem, taken, born) = (next()?, next()?, next()?, next()?);
                        receipts.push(Receipt { budget: budget.clone(), n, tat, rem, taken, born });
                    }
                    answers.push(Answer::Granted(receipts));
                }
                _ => return Err(Fault::garbage("neither yes nor no to a decision")),
            }
        }
        Ok(answers)
    }
}

/// Keys and arguments of a refund, `kept` tokens of each receipt being spent.
pub(super) fn refund(domain: &str, receipts: &[(Receipt, u64)]) -> (Vec<String>, Vec<Vec<u8>>) {
    let keys = receipts.iter().map(|(receipt, _)| bucket_key(domain, &receipt.budget)).collect();
    let mut args = Vec::with_capacity(receipts.len().saturating_mul(7));
    for (receipt, kept) in receipts {
        args.extend([receipt.budget.period_us, receipt.budget.tokens, *kept].map(|n| n.to_string().into_bytes()));
        args.extend([receipt.tat, receipt.rem, receipt.taken, receipt.born].map(|n| n.to_string().into_bytes()));
    }
    (keys, args)
}

pub(super) fn epoch_key(domain: &str) -> String {
    format!("{{{domain}}}:epoch")
}
pub(super) fn members_key(domain: &str) -> String {
    format!("{{{domain}}}:members")
}
pub(super) fn value_key(domain: &str, key: &str) -> String {
    format!("{{{domain}}}:value:{key}")
}
fn bucket_key(domain: &str, budget: &Budget) -> String {
    format!("{{{domain}}}:b:{}", budget.key)
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
        assert_eq!(batch.keys("d"), ["{d}:epoch", "{d}:b:a", "{d}:b:b"]);
        assert_eq!(batch.args().len(), 2 * 3 + 3 * 4);
    }

    #[test]
    fn an_answer_that_the_script_never_gives_is_no_permission() {
        let mut batch = Batch::default();
        assert!(batch.add(ask("a", 1)).is_ok());
        for bad in
            [Value::Nil, list(&[]), list(&[1]), list(&[1, 2, 3]), list(&[2, 0, 0]), list(&[0, -5, 1]), list(&[0, 5, 2])]
        {
            assert!(batch.answers(&bad).is_err(), "{bad:?}");
        }
        assert_eq!(batch.answers(&list(&[0, 5, 1])).ok(), Some(vec![Answer::Wait { micros: 5, level: 0 }]));
        assert!(batch.answers(&list(&[1, 0, 7, 0, 2, 1])).is_ok());
    }
}
