//! Which packets a path relays: allow and deny lists over `port/channel` of the sending end, with `*` for any run of characters.

use std::fmt;

use relayer_core::id::{ChannelId, PortId};

use crate::values::{Expected, expected};

/// A pattern over `port/channel`, like `transfer/channel-*`.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    port: String,
    channel: String,
}

impl Pattern {
    /// Reads `port/channel`, either part with `*`; `*` alone means everything.
    pub fn new(text: &str) -> Result<Self, Expected> {
        let (port, channel) = if text == "*" { ("*", "*") } else { text.split_once('/').unwrap_or((text, "")) };
        let holds = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b".+_-#[]<>*".contains(&b));
        let fits = |part: &str| (1..=128).contains(&part.len()) && holds(part);
        if !(fits(port) && fits(channel)) {
            return expected("`port/channel`, either with `*` for any characters, like \"transfer/channel-*\"");
        }
        Ok(Self { port: port.to_owned(), channel: channel.to_owned() })
    }

    /// Whether this channel end is meant.
    pub fn matches(&self, port: &PortId, channel: &ChannelId) -> bool {
        matches(self.port.as_bytes(), port.as_str().as_bytes())
            && matches(self.channel.as_bytes(), channel.as_str().as_bytes())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, self.channel)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Goes back to the last `*` only, so time is at most the product of both lengths.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b) if text.get(t) == Some(b) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|b| *b == b'*'))
}

/// The lists of one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// When not empty, only these are relayed.
    pub allow: Vec<Pattern>,
    /// These are not relayed, whatever `allow` says.
    pub deny: Vec<Pattern>,
}

impl Filter {
    /// Whether packets sent from this channel end are relayed.
    pub fn passes(&self, port: &PortId, channel: &ChannelId) -> bool {
        let any = |list: &[Pattern]| list.iter().any(|pattern| pattern.matches(port, channel));
        !any(&self.deny) && (self.allow.is_empty() || any(&self.allow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(allow: &[&str], deny: &[&str]) -> Filter {
        let list = |texts: &[&str]| texts.iter().map(|t| Pattern::new(t).unwrap()).collect();
        Filter { allow: list(allow), deny: list(deny) }
    }

    fn passes(filter: &Filter, port: &str, channel: &str) -> bool {
        filter.passes(&PortId::new(port).unwrap(), &ChannelId::new(channel).unwrap())
    }

    #[test]
    fn deny_beats_allow_and_an_empty_allow_list_allows_all() {
        assert!(passes(&filter(&[], &[]), "transfer", "channel-7"));
        let some = filter(&["transfer/channel-*", "ica*/*"], &["transfer/channel-1*"]);
        assert!(passes(&some, "transfer", "channel-7"));
        assert!(!passes(&some, "transfer", "channel-17"));
        assert!(passes(&some, "icahost", "channel-17"));
        assert!(!passes(&some, "oracle", "channel-7"));
    }

    #[test]
    fn patterns_that_could_match_nothing_are_refused() {
        for bad in ["", "transfer", "transfer/", "/channel-0", "a/b/c", "transfer/channel 0", "transfer/?"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
    }

    fn slow(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => slow(rest, text) || text.split_first().is_some_and(|(_, t)| slow(pattern, t)),
            (Some((p, rest)), Some((t, more))) => p == t && slow(rest, more),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_its_definition(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), slow(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
