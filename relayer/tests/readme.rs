//! The README names every metric there is, with its labels and its meaning, and no other.

use std::collections::BTreeSet;

use relayer::telemetry::metrics::{Description, Metrics};

/// A row of the README's table.
fn row(metric: &Description) -> String {
    let labels: Vec<String> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
    format!("| `{}` | {} | {} |", metric.name, labels.join(" "), metric.help)
}

#[test]
fn the_readme_lists_every_metric_with_its_labels_and_no_other() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let section = readme.split("\n## Metrics\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let found: BTreeSet<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
    let metrics = Metrics::new().unwrap();
    let wanted: Vec<String> = metrics.described().iter().map(row).collect();
    let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
    let missing: Vec<_> = wanted.difference(&found).collect();
    let unknown: Vec<_> = found.difference(&wanted).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing:\n{missing:#?}\nunknown:\n{unknown:#?}");
    assert!(wanted.len() > 20);
}
