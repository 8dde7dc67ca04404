//! Text for people: columns and durations.

use std::time::Duration;

/// Columns as wide as their widest cell, two spaces between them.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut head.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

/// Two units at most: `13d 4h`, `5m 2s`, `850ms`.
pub(super) fn duration(time: Duration) -> String {
    let s = time.as_secs();
    match s {
        0 => format!("{}ms", time.as_millis()),
        1..60 => format!("{}.{}s", s, time.subsec_millis() / 100),
        60..3_600 => format!("{}m {}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h {}m", s / 3_600, s % 3_600 / 60),
        _ => format!("{}d {}h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// Nanoseconds, likewise.
pub(super) fn nanos(ns: u64) -> String {
    duration(Duration::from_nanos(ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_without_spaces() {
        let rows = [vec!["a".to_owned(), "long".to_owned()], vec!["channel-0".to_owned(), String::new()]];
        assert_eq!(table(&["id", "x"], &rows), "id         x\na          long\nchannel-0");
    }

    #[test]
    fn durations_are_short() {
        let said: Vec<_> =
            [850, 1_230, 62_000, 3_700_000, 1_140_000_000].map(|ms| duration(Duration::from_millis(ms))).into();
        assert_eq!(said, ["850ms", "1.2s", "1m 2s", "1h 1m", "13d 4h"]);
    }
}
