//! The layers over the file: environment variables and flags, laid value by value over the tree the file was read into.
//!
//! `RELAYER__GLOBAL__LOG_LEVEL` is `log_level` in `[global]`; `RELAYER__CHAINS__SIM_A_1__GAS__PRICE` is `price` in `gas` of the chain
//! `sim-a-1`. Values are never shown in errors, only names: a variable may hold what should not be printed.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Kind, Problem};
use crate::source::Source;
use crate::structure::nearest;

const PREFIX: &str = "RELAYER__";

/// What the command line says; it beats the environment and the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--log-level`: as `global.log_level`.
    pub log_level: Option<String>,
    /// `--admin`: as `global.admin`.
    pub admin: Option<SocketAddr>,
    /// `--log-json`: as `global.log_format = "json"`.
    pub log_json: bool,
    /// `--store-dir`: as `store.dir`.
    pub store_dir: Option<PathBuf>,
}

/// One value over the file.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// How errors call it: the variable's or flag's name.
    pub(crate) origin: String,
    /// What it says.
    pub(crate) value: String,
    /// The keys down to the value, in capitals, as in the variable's name after the prefix; or those of a flag.
    keys: String,
    /// A flag's value is text; a variable's may be TOML.
    plain: bool,
}

/// The variable that sets `keys` below `section`; for entries of `chains` and `paths` the first of `keys` is the id or name.
pub fn variable_name(section: &str, keys: &[&str]) -> String {
    let keys: Vec<_> = std::iter::once(&section).chain(keys).map(|key| capitals(key)).collect();
    format!("{PREFIX}{}", keys.join("__"))
}

fn capitals(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// All layers, in the order they apply; variables by name, so that the result depends on nothing else.
pub(crate) fn layers(variables: impl IntoIterator<Item = (String, String)>, overrides: &Overrides) -> Vec<Layer> {
    let mut layers: Vec<_> = variables
        .into_iter()
        .filter_map(|(name, value)| {
            let keys = name.strip_prefix(PREFIX)?.to_owned();
            Some(Layer {
                origin: format!("environment variable {}", crate::source::masked(&name)),
                value,
                keys,
                plain: false,
            })
        })
        .collect();
    layers.sort_by(|a, b| a.keys.cmp(&b.keys));
    let flags = [
        ("--log-level", "GLOBAL__LOG_LEVEL", overrides.log_level.clone()),
        ("--log-json", "GLOBAL__LOG_FORMAT", overrides.log_json.then(|| "json".to_owned())),
        ("--admin", "GLOBAL__ADMIN", overrides.admin.map(|address| address.to_string())),
        ("--store-dir", "STORE__DIR", overrides.store_dir.as_ref().map(|dir| dir.display().to_string())),
    ];
    layers.extend(flags.into_iter().filter_map(|(flag, keys, value)| {
        Some(Layer { origin: format!("flag {flag}"), value: value?, keys: keys.to_owned(), plain: true })
    }));
    layers
}

/// Lays one value over the tree. `plain`: take it as text even when it is TOML.
pub(crate) fn apply<'i>(
    root: &mut DeTable<'i>,
    source: &Source<'_>,
    index: usize,
    layer: &'i Layer,
    plain: bool,
) -> Result<(), Problem> {
    let range = source.layer_range(index);
    let fail = |message: String, help: String| source.problem(Kind::Unresolved, &range, message, help);
    let (section, rest) = layer.keys.split_once("__").unwrap_or((&layer.keys, ""));
    let (table, keys) = match section {
        "CHAINS" | "PATHS" => {
            let list = section.to_ascii_lowercase();
            let (entry, keys) = entry(root, &list, rest).map_err(|(message, help)| fail(message, help))?;
            (entry, keys)
        }
        _ => (root, layer.keys.as_str()),
    };
    let keys: Vec<String> = keys.split("__").map(str::to_ascii_lowercase).collect();
    if keys.iter().any(String::is_empty) {
        let example = variable_name("global", &["log_level"]);
        return Err(fail("the name ends before the key".to_owned(), format!("name section and key, like {example}")));
    }
    let Some((last, tables)) = keys.split_last() else {
        return Ok(());
    };
    let mut table = table;
    for key in tables {
        if !table.contains_key(key.as_str()) {
            let empty = Spanned::new(range.clone(), DeValue::Table(DeTable::new()));
            table.insert(Spanned::new(range.clone(), Cow::Owned(key.clone())), empty);
        }
        match table.get_mut(key.as_str()).map(Spanned::get_mut) {
            Some(DeValue::Table(next)) => table = next,
            _ => {
                let message = format!("`{key}` holds no keys of its own");
                return Err(fail(message, format!("set `{key}` as a whole, as in the file")));
            }
        }
    }
    let value = Spanned::new(range.clone(), value(layer, plain, &range));
    match table.get_mut(last.as_str()) {
        Some(slot) => *slot = value,
        None => {
            table.insert(Spanned::new(range, Cow::Owned(last.clone())), value);
        }
    }
    Ok(())
}

/// Whether taking the layer as text would be something else than what [`apply`] took it for at first.
pub(crate) fn is_ambiguous(layer: &Layer) -> bool {
    !layer.plain && DeValue::parse(&layer.value).is_ok_and(|value| value.get_ref().as_str().is_none())
}

fn value<'i>(layer: &'i Layer, plain: bool, range: &Range<usize>) -> DeValue<'i> {
    if !(plain || layer.plain)
        && let Ok(parsed) = DeValue::parse(layer.value.trim())
    {
        return moved(parsed.into_inner(), range);
    }
    DeValue::String(Cow::Borrowed(&layer.value))
}

/// The same value with every place in it at `range`.
fn moved<'i>(value: DeValue<'i>, range: &Range<usize>) -> DeValue<'i> {
    let at = |value: Spanned<DeValue<'i>>| Spanned::new(range.clone(), moved(value.into_inner(), range));
    match value {
        DeValue::Array(list) => DeValue::Array(list.into_iter().map(at).collect()),
        DeValue::Table(table) => DeValue::Table(
            table.into_iter().map(|(key, value)| (Spanned::new(range.clone(), key.into_inner()), at(value))).collect(),
        ),
        plain => plain,
    }
}

type Found<'t, 'i, 'k> = (&'t mut DeTable<'i>, &'k str);

/// The entry of `chains` or `paths` whose id or name, in capitals, opens `rest`; and what follows. The longest one wins.
fn entry<'t, 'i, 'k>(
    root: &'t mut DeTable<'i>,
    list: &str,
    rest: &'k str,
) -> Result<Found<'t, 'i, 'k>, (String, String)> {
    let (named, what) = if list == "chains" { ("id", "chain") } else { ("name", "path") };
    let entries = match root.get_mut(list).map(Spanned::get_mut) {
        Some(DeValue::Array(entries)) => entries,
        _ => {
            return Err((format!("the file has no [[{list}]]"), format!("add the {what} to the file first")));
        }
    };
    let names: Vec<String> = entries
        .iter()
        .map(|entry| entry.get_ref().get(named).and_then(|v| v.get_ref().as_str()).map(capitals).unwrap_or_default())
        .collect();
    let keys_after = |name: &str| rest.strip_prefix(name).and_then(|keys| keys.strip_prefix("__"));
    let longest =
        names.iter().filter(|name| !name.is_empty() && keys_after(name).is_some()).max_by_key(|name| name.len());
    let Some(name) = longest else {
        let asked = rest.split_once("__").map_or(rest, |(asked, _)| asked);
        let help = match nearest(asked, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean {PREFIX}{}__{near}__...?", list.to_ascii_uppercase()),
            None => format!("the {list} are called here: {}", names.join(", ")),
        };
        return Err((format!("no {what} of the file has this {named}"), help));
    };
    if names.iter().filter(|other| *other == name).count() > 1 {
        let message = format!("more than one {what} is called {name} in the environment");
        return Err((message, format!("set the key in the file, or rename one {what}")));
    }
    let keys = keys_after(name).unwrap_or_default();
    let at = names.iter().position(|other| other == name);
    match at.and_then(|at| entries.get_mut(at)).map(Spanned::get_mut) {
        Some(DeValue::Table(table)) => Ok((table, keys)),
        _ => Err((format!("this {what} is not a table"), format!("write it as [[{list}]]"))),
    }
}
