//! Where the story goes: standard output, or standard error when that belongs to the JSON line.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two lines of progress when there is no terminal to draw a bar on.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

pub(super) struct Screen {
    json: bool,
}

impl Screen {
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(super) fn line(&self, text: &str) {
        if self.json { eprintln!("{text}") } else { println!("{text}") }
    }

    /// Progress of this many packets.
    pub(super) fn progress(&self, packets: usize) -> Progress<'_> {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(u64::try_from(packets).unwrap_or(u64::MAX));
            let style = ProgressStyle::with_template("{bar:40} {pos} of {len} acknowledged, {msg}  {elapsed_precise}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Progress { screen: self, packets, bar, said: Cell::new(Instant::now()) }
    }
}

/// A bar on a terminal, a line now and then elsewhere; gone when dropped.
pub(super) struct Progress<'s> {
    screen: &'s Screen,
    packets: usize,
    bar: Option<ProgressBar>,
    said: Cell<Instant>,
}

impl Progress<'_> {
    pub(super) fn at(&self, acknowledged: u64, more: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(acknowledged);
            bar.set_message(more.to_owned());
        } else if self.said.get().elapsed() >= PROGRESS_EVERY {
            self.said.set(Instant::now());
            self.screen.line(&format!("  {acknowledged} of {} acknowledged, {more}", self.packets));
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
