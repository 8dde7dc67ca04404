//! From text to the tree of [`written::File`]: syntax, unknown keys and wrong types, each with its place and what to write instead.
//!
//! serde stops at the first fault. Here the faulty value is taken out of the tree and reading goes on, so that one run shows all.

use std::ops::Range;

use serde::Deserialize as _;
use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::environment::{self, Layer};
use crate::error::{Kind, Problem};
use crate::limits;
use crate::source::{Source, is_secret_key, quoted};
use crate::written;

/// Where the examples in messages come from.
const EXAMPLE: &str = include_str!("../examples/two-chains.toml");

/// The file without what could not be read, and what was wrong with that.
pub(crate) fn read(source: &Source<'_>, layers: &[Layer]) -> (written::File, Vec<Problem>) {
    let root = match DeTable::parse(source.text()) {
        Ok(root) => root,
        Err(error) => return (written::File::default(), vec![syntax(source, &error)]),
    };
    let whole = root.span();
    let mut root: DeTable<'_> = root.into_inner();
    let mut problems = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        problems.extend(environment::apply(&mut root, source, index, layer, false).err());
    }
    let mut as_text = vec![false; layers.len()];
    while problems.len() < limits::PROBLEMS {
        let tree = Spanned::new(whole.clone(), DeValue::Table(root.clone()));
        let error = match written::File::deserialize(ValueDeserializer::from(tree)) {
            Ok(file) => return (file, problems),
            Err(error) => error,
        };
        let range = error.span().unwrap_or(whole.clone());
        // `MEMO_PREFIX=42` reads as a number; when the key wants text, it is text.
        let layer = source.layer_of(&range).and_then(|index| Some((index, layers.get(index)?)));
        if let Some((index, layer)) = layer
            && environment::is_ambiguous(layer)
            && let Some(tried @ false) = as_text.get_mut(index)
        {
            *tried = true;
            if environment::apply(&mut root, source, index, layer, true).is_ok() {
                continue;
            }
        }
        let mut keys = Vec::new();
        let found = locate(&root, &range, &mut keys);
        problems.push(explain(source, error.message(), &range, &keys));
        if !(found && remove(&mut root, &range)) {
            break;
        }
    }
    (written::File::default(), problems)
}

fn syntax(source: &Source<'_>, error: &toml::de::Error) -> Problem {
    let range = error.span().unwrap_or(0..0);
    let help = match error.message() {
        m if m.contains("duplicate key") => {
            "remove one of the two, or write a list entry as [[chains]] with two brackets"
        }
        m if m.contains("string values must be quoted") => "put the text in double quotes, like id = \"sim-a-1\"",
        _ => {
            "write key = value, text in double quotes, lists as [\"a\", \"b\"], tables as [global] or { name = \"relayer\" }"
        }
    };
    source.problem(Kind::Syntax, &range, crate::source::masked(error.message()), help.to_owned())
}

/// The keys down to the value or key at `range`, without list positions; deepest first, as headers share places with their tables.
fn locate(table: &DeTable<'_>, range: &Range<usize>, keys: &mut Vec<String>) -> bool {
    for (key, value) in table {
        keys.push(key.get_ref().to_string());
        if within(value, range, keys) || key.span() == *range {
            return true;
        }
        keys.pop();
    }
    false
}

fn within(value: &Spanned<DeValue<'_>>, range: &Range<usize>, keys: &mut Vec<String>) -> bool {
    let below = match value.get_ref() {
        DeValue::Table(table) => locate(table, range, keys),
        DeValue::Array(list) => list.iter().any(|value| within(value, range, keys)),
        _ => false,
    };
    below || value.span() == *range
}

/// Takes the value or key at `range` out of the tree.
fn remove(table: &mut DeTable<'_>, range: &Range<usize>) -> bool {
    if table.iter_mut().any(|(_, value)| cut(value, range)) {
        return true;
    }
    let here = table.iter().find(|(key, value)| key.span() == *range || value.span() == *range);
    let key = here.map(|(key, _)| key.get_ref().to_string());
    key.is_some_and(|key| table.remove(key.as_str()).is_some())
}

fn cut(value: &mut Spanned<DeValue<'_>>, range: &Range<usize>) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => remove(table, range),
        DeValue::Array(list) => {
            if list.iter_mut().any(|value| cut(value, range)) {
                return true;
            }
            let kept: Vec<_> = list.iter().filter(|value| value.span() != *range).cloned().collect();
            let taken = kept.len() < list.len();
            *list = kept.into_iter().collect();
            taken
        }
        _ => false,
    }
}

fn explain(source: &Source<'_>, message: &str, range: &Range<usize>, keys: &[String]) -> Problem {
    let key = keys.last().map(String::as_str).unwrap_or_default();
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let known: Vec<&str> = rest.split('`').skip(2).step_by(2).collect();
        return unknown_key(source, range, keys, key, &known);
    }
    let example = example(keys).map(|example| format!("write for example: {example}"));
    let help = example.unwrap_or_else(|| "see the commented example file two-chains.toml".to_owned());
    let message = match (message.strip_prefix("invalid type: "), message.rsplit_once(", expected ")) {
        (Some(found), Some((_, wanted))) => {
            format!("`{key}` is {} where {} is expected", found_words(found), wanted_words(wanted))
        }
        (None, Some((_, wanted))) => format!("the value of `{key}` is not {}", wanted_words(wanted)),
        _ => format!("`{key}` can't be read: {message}"),
    };
    source.problem(Kind::WrongType, range, message, help)
}

fn unknown_key(source: &Source<'_>, range: &Range<usize>, keys: &[String], key: &str, known: &[&str]) -> Problem {
    let shown = quoted(key);
    let shown = shown.trim_matches('"');
    if is_secret_key(key) && nearest(key, known.iter().copied()).is_none() {
        let help = "remove it: name where the secret is, like key = { name = \"relayer\", source = \"keystore\" } or \
                    key = { name = \"relayer\", source = \"env\", env = \"RELAYER_MNEMONIC\" }";
        let message = format!("unknown key `{shown}`, and secrets never stand in the file");
        return source.problem(Kind::Secret, range, message, help.to_owned());
    }
    let here = match keys.split_last() {
        Some((_, tables)) if !tables.is_empty() => format!(" in `{}`", tables.join(".")),
        _ => String::new(),
    };
    let help = match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the keys here are: {}", known.join(", ")),
    };
    source.problem(Kind::UnknownKey, range, format!("unknown key `{shown}`{here}"), help)
}

/// What serde found, without the value: it may be a secret, and the file's line is shown anyway.
fn found_words(found: &str) -> &'static str {
    const WORDS: [(&str, &str); 7] = [
        ("string", "text"),
        ("integer", "a whole number"),
        ("floating point", "a number with decimals"),
        ("boolean", "true or false"),
        ("sequence", "a list"),
        ("map", "a table"),
        ("unit", "nothing"),
    ];
    WORDS.iter().find(|(start, _)| found.starts_with(start)).map_or("something else", |(_, word)| word)
}

fn wanted_words(wanted: &str) -> &str {
    match wanted {
        "i64" => "a whole number",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "text in quotes",
        "a sequence" => "a list",
        w if w.starts_with("struct ") => "a table",
        w => w,
    }
}

/// The most similar of `known`, when one is similar enough to be meant.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = word.to_ascii_lowercase();
    let likeness = |k: &str| {
        let other = k.to_ascii_lowercase();
        let begins = other.len() >= 3 && lower.len() >= 3 && (other.starts_with(&lower) || lower.starts_with(&other));
        strsim::normalized_damerau_levenshtein(&lower, &other).max(if begins { 0.7 } else { 0.0 })
    };
    let scored = known.into_iter().map(|k| (likeness(k), k)).filter(|(score, _)| *score >= 0.6);
    scored.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, k)| k)
}

/// How the commented example file writes a key: its line, or the line of the table it stands in.
pub(crate) fn example<S: AsRef<str>>(keys: &[S]) -> Option<String> {
    (1..=keys.len()).rev().find_map(|len| {
        let (last, tables) = keys.get(..len)?.split_last()?;
        let section = tables.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(".");
        line_of(&section, last.as_ref())
    })
}

/// `section`'s line `key = ...` in the example file, commented out or not, without the comment behind it.
fn line_of(section: &str, key: &str) -> Option<String> {
    let mut here = String::new();
    let mut lines = EXAMPLE.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line.starts_with('[') {
            here = line.split(']').next().unwrap_or_default().trim_start_matches('[').to_owned();
            if here == [section, key].join(".").trim_start_matches('.') {
                let bracketed = line.split('#').next().unwrap_or_default().trim();
                let first = lines.clone().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
                return Some(format!(
                    "{bracketed} and below it {}",
                    first.split(" #").next().unwrap_or_default().trim()
                ));
            }
        }
        let bare = line.trim_start_matches(['#', ' ']);
        let is_key = bare.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
        if here == section && is_key {
            return Some(bare.split(" #").next().unwrap_or_default().trim().to_owned());
        }
    }
    None
}
