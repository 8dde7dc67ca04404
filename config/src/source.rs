//! A configuration text with the layers over it: turns byte ranges into places, and masks what may be secret before it is quoted.
//!
//! Values from the environment and flags have no place in the text, so each gets a one-byte range of its own past the text's end.

use std::ops::Range;

use miette::NamedSource;

use crate::error::{ConfigError, Kind, Place, Problem};
use crate::limits;
use crate::values::Variable;

pub(crate) struct Source<'a> {
    name: &'a str,
    text: &'a str,
    /// What each layer is called, in the order of their ranges.
    origins: Vec<String>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(name: &'a str, text: &'a str, origins: Vec<String>) -> Self {
        Self { name, text, origins }
    }

    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// The range that stands for a layer.
    pub(crate) fn layer_range(&self, index: usize) -> Range<usize> {
        let at = self.text.len() + 1 + index;
        at..at + 1
    }

    /// The layer a range stands for.
    pub(crate) fn layer_of(&self, range: &Range<usize>) -> Option<usize> {
        range.start.checked_sub(self.text.len() + 1).filter(|index| *index < self.origins.len())
    }

    pub(crate) fn place(&self, range: &Range<usize>) -> Place {
        if let Some(origin) = self.layer_of(range).and_then(|index| self.origins.get(index)) {
            return Place::Outside(origin.clone());
        }
        let mut offset = range.start.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = self.text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Place::File {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
            offset,
            len: range.end.min(self.text.len()).saturating_sub(offset),
        }
    }

    pub(crate) fn problem(&self, kind: Kind, range: &Range<usize>, message: String, help: String) -> Problem {
        Problem { kind, place: self.place(range), message, help }
    }

    /// The error for these problems, sorted by place.
    pub(crate) fn invalid(&self, mut problems: Vec<Problem>) -> ConfigError {
        problems.sort_by_key(|p| match p.place {
            Place::File { offset, .. } => offset,
            Place::Outside(_) => usize::MAX,
        });
        problems.truncate(limits::PROBLEMS);
        let text = Box::new(NamedSource::new(self.name, masked(self.text)).with_language("TOML"));
        ConfigError::Invalid { file: self.name.to_owned(), text, problems }
    }
}

/// A value as messages quote it: short, without control characters, addresses cut after the host.
pub(crate) fn quoted(value: &str) -> String {
    let value = masked(value);
    let short: String = value.chars().take(limits::QUOTED_CHARS).collect();
    let dots = if short.len() < value.len() { "..." } else { "" };
    format!("\"{short}{dots}\"")
}

/// Whether a key of this name would hold a secret. Names of variables (`..._env`) don't.
pub(crate) fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let words =
        ["mnemonic", "seed", "password", "passphrase", "secret", "private", "priv_key", "token", "api_key", "apikey"];
    !key.ends_with("_env") && words.iter().any(|word| key.contains(word))
}

/// The same text, every byte at its place, with control characters and possible secrets replaced: user, path and query of
/// addresses, values of keys that sound like secrets, and what stands where the name of a variable should.
pub(crate) fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // What ends a secret that goes on over several lines.
    let mut until: Option<&str> = None;
    for line in text.split_inclusive('\n') {
        let from = match until {
            Some(_) => 0,
            None => secret_value(line).unwrap_or(line.len()),
        };
        let (shown, secret) = line.split_at(from);
        out.push_str(&without_paths(&clean(shown)));
        out.extend(secret.chars().map(|c| if matches!(c, '\n' | '\r') { c.to_string() } else { stars(c) }));
        until = match until {
            Some(end) if secret.contains(end) => None,
            None if from < line.len() => open_end(secret),
            same => same,
        };
    }
    out
}

/// Where in a line a value stands that may be a secret.
fn secret_value(line: &str) -> Option<usize> {
    line.match_indices('=').find_map(|(at, _)| {
        let (before, value) = (line.get(..at)?, line.get(at + 1..)?);
        let key = before
            .trim_end()
            .rsplit([' ', '\t', '{', ',', '#', '.'])
            .next()
            .unwrap_or_default()
            .trim_matches(['"', '\'']);
        let named = || value.split(['"', '\'']).nth(1).is_some_and(|name| Variable::new(name).is_ok());
        (is_secret_key(key) || (holds_variable(key) && !named())).then_some(at + 1)
    })
}

/// Whether a key holds the name of an environment variable.
pub(crate) fn holds_variable(key: &str) -> bool {
    key == "env" || key.ends_with("_env")
}

fn open_end(value: &str) -> Option<&'static str> {
    let value = value.trim_start();
    let ends = [("\"\"\"", "\"\"\""), ("'''", "'''"), ("[", "]"), ("{", "}")];
    let (start, end) = ends.into_iter().find(|(start, _)| value.starts_with(start))?;
    let rest = value.get(start.len()..).unwrap_or_default();
    (!rest.contains(end)).then_some(end)
}

fn stars(c: char) -> String {
    "*".repeat(c.len_utf8())
}

fn clean(text: &str) -> String {
    text.chars()
        .map(
            |c| {
                if c.is_control() && !matches!(c, '\n' | '\r' | '\t') {
                    "?".repeat(c.len_utf8())
                } else {
                    c.to_string()
                }
            },
        )
        .collect()
}

/// Replaces user, path and query of every address in a line.
fn without_paths(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(['"', '\'', ' ', '\t', ',', '\n', '\r', '}', ']']).unwrap_or(after.len());
        let (address, next) = after.split_at(end);
        let host_end = address.find(['/', '?', '#']).unwrap_or(address.len());
        // A password may hold a slash: the last @ ends it.
        let user_end = address.rfind('@').map_or(0, |at| at + 1);
        let keep = if user_end > host_end { user_end..user_end } else { user_end..host_end };
        for (at, c) in address.char_indices() {
            let shown = keep.contains(&at) || c == '@' || c == '/';
            out.push_str(&if shown { c.to_string() } else { stars(c) });
        }
        rest = next;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_and_secrets_are_masked_in_place() {
        let text =
            "rpc = [\"https://me:pw@node.example:1/v1/KEY?k=KEY\"] # x\nmnemonic = \"a b\"\npassphrase_env = \"P\"\n";
        let shown = masked(text);
        assert_eq!(shown.len(), text.len());
        for secret in ["me", "pw", "KEY", "a b"] {
            assert!(!shown.contains(secret) || secret == "me" && !shown.contains("me:"), "{secret} in {shown}");
        }
        assert!(shown.contains("node.example:1") && shown.contains("passphrase_env = \"P\""), "{shown}");
    }

    #[test]
    fn secrets_over_several_lines_and_in_place_of_names_are_masked() {
        for text in [
            "mnemonic = \"\"\"\nhunter2\nhunter2\"\"\"\nname = \"shown\"\n",
            "\"seed\" = [\n  \"hunter2\",\n]\nname = \"shown\"\n",
            "key = { source = \"env\", env = \"hunter2 hunter2\" }\nname = \"shown\"\n",
            "a.b.token='hunter2'\nname = \"shown\"\n",
        ] {
            let shown = masked(text);
            assert!(!shown.contains("hunter2") && shown.contains("shown"), "{shown}");
        }
    }

    #[test]
    fn quoted_values_are_short_and_without_escape_sequences() {
        let text = quoted(&format!("\u{1b}[31m{}", "x".repeat(1000)));
        assert!(text.len() < 80 && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn columns_count_characters_and_ranges_past_the_end_are_layers() {
        let source = Source::new("f", "é = 1\nb = 2", vec!["variable X".to_owned()]);
        assert_eq!(source.place(&(3..4)), Place::File { line: 1, column: 3, offset: 3, len: 1 });
        assert_eq!(source.place(&(7..8)), Place::File { line: 2, column: 1, offset: 7, len: 1 });
        assert_eq!(source.place(&source.layer_range(0)), Place::Outside("variable X".to_owned()));
    }

    proptest! {
        #[test]
        fn masking_keeps_every_place(text in "([a-z_]{0,9} = |token = |://|@|/|\"|\u{e9}|\u{7}|\n|[a-z]){0,30}") {
            let shown = masked(&text);
            prop_assert_eq!(shown.len(), text.len());
            prop_assert_eq!(shown.matches('\n').count(), text.matches('\n').count());
        }
    }
}
