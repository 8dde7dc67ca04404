use super::*;
use crate::written;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor, value::Error};

const SUBSTRATE: &str = include_str!("../../examples/substrate.toml");

#[test]
fn every_example_loads() {
    for text in [MINIMAL, TWO_CHAINS, TESTNETS, SUBSTRATE] {
        let settings = good(text);
        assert_eq!((settings.chains.len(), settings.paths.len()), (2, 1));
    }
}

#[test]
fn a_minimal_file_fits_on_a_screen() {
    assert!(MINIMAL.lines().count() <= 25);
}

#[test]
fn the_full_example_shows_the_defaults() {
    // Names and addresses are the same in both; everything else is written in one and left out in the other.
    assert_eq!(good(TWO_CHAINS), good(MINIMAL));
}

/// Takes no value, only the names of a struct's keys.
struct Keys<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for Keys<'_> {
    type Error = Error;
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("not a struct"))
    }
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.extend(keys);
        Err(Error::custom("keys taken"))
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn keys<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
    let mut keys = Vec::new();
    assert!(T::deserialize(Keys(&mut keys)).is_err());
    assert!(!keys.is_empty());
    keys
}

#[test]
fn every_key_stands_in_the_full_example() {
    let tables = [
        ("", keys::<written::File>()),
        ("global", keys::<written::Global>()),
        ("store", keys::<written::Store>()),
        ("telemetry", keys::<written::Telemetry>()),
        ("limits", keys::<written::Limits>()),
        ("limits.methods", keys::<written::MethodLimit>()),
        ("limits.rules", keys::<written::Rules>()),
        ("limits.redis", keys::<written::Redis>()),
        ("chains", keys::<written::Chain>()),
        ("chains.key", keys::<written::Key>()),
        ("chains.gas", keys::<written::Gas>()),
        ("chains.trusted", keys::<written::Trusted>()),
        ("chains.client", keys::<written::Client>()),
        ("chains.limits", keys::<written::ChainLimits>()),
        ("chains.limits.methods", keys::<written::MethodLimit>()),
        ("chains.limits.endpoints", keys::<written::EndpointLimit>()),
        ("chains.limits.channels", keys::<written::ChannelLimit>()),
        ("paths", keys::<written::Path>()),
        ("paths.a", keys::<written::End>()),
        ("paths.b", keys::<written::End>()),
        ("paths.batch", keys::<written::Batch>()),
        ("paths.clear", keys::<written::Clear>()),
        ("paths.filter", keys::<written::Filter>()),
        ("paths.filter.a_to_b", keys::<written::Lists>()),
        ("paths.filter.b_to_a", keys::<written::Lists>()),
        ("paths.channels", keys::<written::Channel>()),
        ("paths.channels.a", keys::<written::ChannelEnd>()),
        ("paths.channels.b", keys::<written::ChannelEnd>()),
        ("paths.channels.excluded_sequences", keys::<written::Excluded>()),
    ];
    let sections = sections(TWO_CHAINS);
    for (table, keys) in tables {
        for key in keys {
            let at = [table, key].join(".");
            let at = at.trim_start_matches('.');
            assert!(sections.iter().any(|line| line == at), "{at} is not in two-chains.toml");
        }
    }
}

/// Every key of a text with the tables it stands in, commented out or not, in inline tables, too.
fn sections(text: &str) -> Vec<String> {
    let mut here = String::new();
    let mut all = Vec::new();
    for line in text.lines() {
        let bare = line.trim_start_matches(['#', ' ']);
        if bare.starts_with('[') && bare.contains(']') {
            here = bare.split(']').next().unwrap_or_default().trim_start_matches('[').to_owned();
            all.push(here.clone());
            continue;
        }
        let Some((key, rest)) = bare.split_once('=') else {
            continue;
        };
        if key.trim().contains(' ') {
            continue;
        }
        all.push(format!("{here}.{}", key.trim()));
        if let Some(inline) = rest.trim().strip_prefix('{') {
            let names = inline.split([',', '{']).filter_map(|pair| pair.split_once('=')).map(|(name, _)| name.trim());
            // What the comment behind it names, counts: ids are absent until they are made.
            let comment = rest.split('#').nth(1).unwrap_or_default();
            let commented =
                comment.split(' ').zip(comment.split(' ').skip(1)).filter(|(_, is)| *is == "=").map(|(name, _)| name);
            all.extend(names.chain(commented).map(|name| format!("{here}.{}.{name}", key.trim())));
        }
    }
    all.iter().filter(|key| key.starts_with("paths.a.")).cloned().collect::<Vec<_>>().iter().for_each(|key| {
        // Both ends have the same keys; the example shows them at one.
        all.push(key.replacen("paths.a.", "paths.b.", 1));
    });
    for key in all.clone() {
        if let Some(name) = key.strip_prefix("paths.channels.a.") {
            all.push(format!("paths.channels.b.{name}"));
        }
    }
    all
}

#[test]
fn every_key_has_an_example_for_error_texts() {
    for keys in [
        &["global", "admin"][..],
        &["chains", "rpc"],
        &["chains", "ws"],
        &["chains", "gas", "price"],
        &["chains", "trusted", "hash"],
        &["paths", "a", "chain"],
        &["paths", "channels", "excluded_sequences", "a_to_b"],
        &["paths", "filter", "b_to_a", "deny"],
    ] {
        let example = crate::structure::example(keys).unwrap_or_else(|| panic!("no example for {keys:?}"));
        assert!(!example.contains('#') && (example.contains('=') || example.starts_with('[')), "{example}");
    }
    assert_eq!(crate::structure::example(&["chains", "gas", "price"]).unwrap(), "price = \"0.025stake\"");
}
