//! `tx_search` and `block_search`: conditions `type.key='value'` joined by AND, and `tx.height` or `block.height`.

use serde_json::{Value, json};

use super::method::{Failure, page};
use super::render;
use crate::devnet::embedded::node::Node;

/// A query, read.
struct Query {
    pairs: Vec<(String, String)>,
    height: Option<u64>,
}

impl Query {
    fn read(params: &Value) -> Result<Self, Failure> {
        let text = params["query"].as_str().unwrap_or_default();
        let wrong = || Failure::internal(format!("failed to parse query: got {text:?}"));
        let mut query = Self { pairs: Vec::new(), height: None };
        for condition in text.split(" AND ") {
            let (name, value) = condition.split_once('=').ok_or_else(wrong)?;
            let (name, value) = (name.trim(), value.trim().trim_matches('\''));
            if matches!(name, "tx.height" | "block.height") {
                query.height = Some(value.parse().map_err(|_| wrong())?);
            } else {
                query.pairs.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(query)
    }
}

fn descending(params: &Value) -> bool {
    params["order_by"] == "desc"
}

pub(super) fn txs(node: &Node, params: &Value) -> Result<Value, Failure> {
    let query = Query::read(params)?;
    let mut places = match (query.height, query.pairs.is_empty()) {
        (Some(height), true) => {
            let txs = node.block(height).map_or(0, |block| block.txs.len());
            (0..txs).map(|index| (height, index)).collect()
        }
        _ => node.find_txs(&query.pairs),
    };
    if let Some(height) = query.height {
        places.retain(|place| place.0 == height);
    }
    if descending(params) {
        places.reverse();
    }
    let shown = page(params, places.len())?;
    let shown = places.get(shown).unwrap_or_default();
    let found = shown.iter().filter_map(|(height, index)| render::tx(&*node.block(*height)?, *index));
    Ok(json!({ "txs": found.collect::<Vec<_>>(), "total_count": places.len().to_string() }))
}

/// Events of no transaction only, as CometBFT indexes them.
pub(super) fn blocks(node: &Node, params: &Value) -> Result<Value, Failure> {
    let query = Query::read(params)?;
    let matches = |height: &u64| {
        let Some(block) = node.block(*height) else { return false };
        query.height.is_none_or(|wanted| wanted == *height)
            && query.pairs.iter().all(|(name, value)| {
                block.executed.events.iter().any(|event| {
                    name.split_once('.').is_some_and(|(kind, key)| {
                        event.kind == kind && event.attributes.iter().any(|(k, v)| k == key && v == value)
                    })
                })
            })
    };
    let mut heights: Vec<u64> = (node.earliest().max(1)..=node.latest()).filter(matches).collect();
    if descending(params) {
        heights.reverse();
    }
    let shown = page(params, heights.len())?;
    let shown = heights.get(shown).unwrap_or_default();
    let found = shown.iter().filter_map(|height| {
        let before = height.checked_sub(1).and_then(|before| node.block(before));
        Some(render::block(&*node.block(*height)?, before.as_deref()))
    });
    Ok(json!({ "blocks": found.collect::<Vec<_>>(), "total_count": heights.len().to_string() }))
}
