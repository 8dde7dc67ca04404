//! Progress of long work on standard error: a bar or spinner on a terminal, plain lines elsewhere, nothing with `--json`.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Common;

/// What shows how far a command is. It takes itself away when dropped.
pub(super) struct Progress {
    bar: ProgressBar,
    lines: bool,
}

impl Progress {
    /// Work whose length is not known.
    pub(super) fn spinner(common: &Common, doing: impl Into<String>) -> Self {
        Self::new(common, ProgressBar::no_length(), "{spinner} {elapsed} {msg}", doing.into())
    }

    /// Work of `length` steps.
    pub(super) fn bar(common: &Common, length: u64, doing: impl Into<String>) -> Self {
        Self::new(common, ProgressBar::new(length), "{elapsed} [{wide_bar}] {pos}/{len} {msg}", doing.into())
    }

    fn new(common: &Common, bar: ProgressBar, style: &str, doing: String) -> Self {
        let shown = !common.json && std::io::stderr().is_terminal();
        bar.set_draw_target(if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_message(doing);
        if shown {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self { bar, lines: !common.json }
    }

    /// A line that stays.
    pub(super) fn line(&self, text: impl AsRef<str>) {
        if self.lines {
            self.bar.suspend(|| eprintln!("{}", text.as_ref()));
        }
    }

    /// What is being done now.
    pub(super) fn doing(&self, text: impl Into<String>) {
        self.bar.set_message(text.into());
    }

    /// How far it is; the length grows if it has to.
    pub(super) fn at(&self, done: u64, of: u64) {
        self.bar.set_length(of);
        self.bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
