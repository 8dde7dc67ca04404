//! Why a set was refused: which rule, which field, why.

use thiserror::Error;

use super::limits::SAID_CHARS;

/// A set that was refused; the one in force stays.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RulesError {
    /// A value of a rule.
    #[error("rule `{rule}`, field `{field}`: {why}")]
    Field {
        /// Its id, or kind and place when it has none.
        rule: String,
        /// Its field.
        field: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// Not TOML, or not JSON.
    #[error("not readable as {format}: {why}")]
    Syntax {
        /// Of what it should be.
        format: &'static str,
        /// What the parser says, with the line.
        why: String,
    },
    /// Larger than is read.
    #[error("the rules have more than {max} bytes: split them")]
    TooLarge {
        /// Most bytes.
        max: usize,
    },
    /// More than are kept.
    #[error("{count} rules, at most {max} are kept")]
    TooMany {
        /// How many.
        count: usize,
        /// How many may be.
        max: usize,
    },
}

impl RulesError {
    /// Always the writer's to mend: the set in force goes on.
    pub fn remedy(&self) -> &'static str {
        "the rules in force stay; correct the set, it is read again"
    }
}

/// Words from outside, for a line of a log: not many, and no control characters.
pub(super) fn plain(words: &str) -> String {
    words.chars().take(SAID_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
