//! When blocks were made, as their headers say; ms.

use std::collections::{BTreeMap, BTreeSet};

use relayer_tests::DevnetError;
use relayer_tests::devnet::Node;
use relayer_tests::limits::BATCH_CALLS;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::figure::median;

/// The times of these blocks, ms since 1970 with fractions.
pub(crate) async fn times(node: &Node, heights: &BTreeSet<u64>) -> Result<BTreeMap<u64, f64>, DevnetError> {
    let heights: Vec<u64> = heights.iter().copied().collect();
    let mut times = BTreeMap::new();
    for part in heights.chunks(BATCH_CALLS) {
        let calls: Vec<_> = part.iter().map(|height| ("header", json!({ "height": height.to_string() }))).collect();
        let answers = node.batch(&calls).await?;
        for answer in answers.as_array().into_iter().flatten() {
            let header = &answer["result"]["header"];
            let wrong = |what| DevnetError::Decode { what: format!("a header's {what}"), reason: header.to_string() };
            let height = header["height"].as_str().and_then(|h| h.parse().ok()).ok_or_else(|| wrong("height"))?;
            let time = header["time"].as_str().and_then(|t| OffsetDateTime::parse(t, &Rfc3339).ok());
            let time = time.ok_or_else(|| wrong("time"))?;
            times.insert(height, (time.unix_timestamp_nanos() / 1_000) as f64 / 1_000.0);
        }
    }
    if times.len() != heights.len() {
        let reason = format!("{} of {} came", times.len(), heights.len());
        return Err(DevnetError::Decode { what: "headers".to_owned(), reason });
    }
    Ok(times)
}

/// The mean interval from block `first` to block `last`, ms.
pub(crate) async fn interval_ms(node: &Node, first: u64, last: u64) -> Result<f64, DevnetError> {
    let times = times(node, &[first, last].into()).await?;
    let at = |height| times.get(&height).copied().unwrap_or_default();
    Ok((at(last) - at(first)) / (last.saturating_sub(first).max(1)) as f64)
}

/// The median interval from block `first` to the newest, ms.
pub(crate) async fn usual_interval_ms(node: &Node, first: u64) -> Result<f64, DevnetError> {
    let times = times(node, &(first..=node.height().await?).collect()).await?;
    let at: Vec<f64> = times.into_values().collect();
    let intervals: Vec<f64> = at.windows(2).filter_map(|pair| Some(pair.get(1)? - pair.first()?)).collect();
    Ok(median(&intervals).unwrap_or(f64::NAN))
}
