//! The text of a limit key: `domain:chain:method:channel`.
//!
//! Clause: limiter page, *Three-level quota*; A1, A29, A31. At most 128 characters, stable, and discriminating: two different tuples
//! never give one key, since `:`, `%` and whatever does not print are escaped as `%XX`. Used at the edge (rules, Redis, metrics); decisions
//! use the small number that [`crate::intern`] gave for it.

use alloc::string::String;
use core::fmt::Write;

use thiserror::Error;

use crate::limits::KEY_CHARS;

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Invalid {
    /// Escaped, it is longer than a key may be. Shorten the names.
    #[error("the key has {chars} characters, at most 128 are allowed")]
    TooLong {
        /// Characters, escapes included (counted up to the part that went past the bound).
        chars: usize,
    },
    /// A part is empty; the channel alone may be missing, as `-`.
    #[error("part {part} of the key is empty")]
    Empty {
        /// 0: domain, 1: chain, 2: method, 3: channel.
        part: usize,
    },
}

/// The key of these four.
pub fn key(domain: &str, chain: &str, method: &str, channel: &str) -> Result<String, Invalid> {
    let mut text = String::with_capacity(KEY_CHARS);
    for (part, name) in [domain, chain, method, channel].into_iter().enumerate() {
        if name.is_empty() {
            return Err(Invalid::Empty { part });
        }
        if part > 0 {
            text.push(':');
        }
        for byte in name.bytes() {
            match byte {
                b':' | b'%' => escape(&mut text, byte),
                0x21..=0x7e => text.push(char::from(byte)),
                _ => escape(&mut text, byte),
            }
            if text.len() > KEY_CHARS {
                return Err(Invalid::TooLong { chars: text.len() });
            }
        }
    }
    Ok(text)
}

fn escape(text: &mut String, byte: u8) {
    // Writing to a String can't fail.
    write!(text, "%{byte:02X}").unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn separators_are_escaped_and_long_keys_refused() {
        assert_eq!(key("relay", "a:b", "tx%", "-").unwrap(), "relay:a%3Ab:tx%25:-");
        assert_eq!(key("relay", "c", "m", "é").unwrap(), "relay:c:m:%C3%A9");
        assert!(key("r", "c", "m", &"x".repeat(122)).is_ok());
        assert_eq!(key("r", "c", "m", &"x".repeat(123)), Err(Invalid::TooLong { chars: 129 }));
        assert!(matches!(key("r", &"\n".repeat(10_000), "m", "x"), Err(Invalid::TooLong { .. })));
        assert_eq!(key("r", "", "m", "x"), Err(Invalid::Empty { part: 1 }));
    }

    proptest! {
        #[test]
        fn different_tuples_have_different_keys(a in ".{1,6}", b in ".{1,6}", c in "[:%a]{1,6}", d in "[:%a]{1,6}") {
            let one = key(&a, &b, &c, "x").unwrap();
            let other = key(&a, &b, &d, "x").unwrap();
            prop_assert_eq!(one == other, c == d);
            prop_assert_eq!(one.matches(':').count(), 3);
        }
    }
}
