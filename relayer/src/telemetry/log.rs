//! Log lines on standard error, for people or as JSON, with a level that can be changed while the relayer runs.
//!
//! Spec: "Logs" of the observability specification; attack 49 (terminal and log injection). Text of nodes and packets comes through
//! [`relayer_core::error::Detail`]; whatever slips past it is caught here: each event is one line, every control and
//! direction-changing character in it escaped, so no memo and no denomination can forge a line or steer a terminal. That
//! is why there are no colours.
//!
//! Errors: [`LogError`].

use std::io::{self, Write};

use relayer_core::error::Detail;
use thiserror::Error;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Why the logs are not as asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LogError {
    /// Not a filter.
    #[error("`{filter}` is no log filter ({detail}): write a level like `info`, or `info,relayer=debug`")]
    Filter {
        /// The text.
        filter: Detail,
        /// What is wrong.
        detail: Detail,
    },
    /// Logs are set up once.
    #[error("logging is set up already")]
    Again,
    /// The subscriber is gone.
    #[error("logging has been shut down")]
    Gone,
}

/// Changes the filter of a running relayer.
#[derive(Debug, Clone)]
pub struct LogHandle(reload::Handle<EnvFilter, Registry>);

impl LogHandle {
    /// Writes what passes `filter` from now on.
    pub fn set(&self, filter: &str) -> Result<(), LogError> {
        let new = parse(filter)?;
        self.0.reload(new).map_err(|_| LogError::Gone)
    }
    /// The filter in force.
    pub fn filter(&self) -> Result<String, LogError> {
        self.0.with_current(ToString::to_string).map_err(|_| LogError::Gone)
    }
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder()
        .parse(filter)
        .map_err(|e| LogError::Filter { filter: Detail::new(filter), detail: Detail::new(e.to_string()) })
}

/// Sets logging up for the process: everything goes to standard error.
pub fn init(format: Format, filter: &str) -> Result<LogHandle, LogError> {
    let (subscriber, handle) = subscriber(format, filter, io::stderr)?;
    subscriber.try_init().map_err(|_| LogError::Again)?;
    Ok(handle)
}

fn subscriber<W>(
    format: Format,
    filter: &str,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync, LogHandle), LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    Ok((Registry::default().with(filter).with(lines(format, writer)), LogHandle(handle)))
}

fn lines<S, W>(format: Format, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_ansi(false).with_writer(Escaped { writer, format });
    match format {
        Format::Human => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    }
}

/// Makes writers that escape.
struct Escaped<W> {
    writer: W,
    format: Format,
}

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for Escaped<W> {
    type Writer = EscapedLine<W::Writer>;
    fn make_writer(&'w self) -> Self::Writer {
        EscapedLine { writer: self.writer.make_writer(), format: self.format }
    }
}

struct EscapedLine<W> {
    writer: W,
    format: Format,
}

impl<W: Write> Write for EscapedLine<W> {
    /// One call is one event: `tracing_subscriber` formats it whole first.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let (line, end) = text.strip_suffix('\n').map_or((text.as_ref(), ""), |line| (line, "\n"));
        let mut safe = String::with_capacity(event.len());
        for c in line.chars() {
            if !(c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
            {
                safe.push(c);
            } else if self.format == Format::Json {
                safe.push_str(&format!("\\u{:04x}", u32::from(c)));
            } else {
                safe.extend(c.escape_unicode());
            }
        }
        safe.push_str(end);
        self.writer.write_all(safe.as_bytes())?;
        Ok(event.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{debug, info};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);
    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, events: impl FnOnce(&LogHandle)) -> String {
        let memory = Memory::default();
        let (subscriber, handle) = subscriber(format, "info", {
            let memory = memory.clone();
            move || memory.clone()
        })
        .unwrap();
        tracing::subscriber::with_default(subscriber, || events(&handle));
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    const HOSTILE: &str = "memo\n2026-01-01T00:00:00Z  INFO forged\r\u{1b}[2J\u{9b}31m\u{202e}evil";

    #[test]
    fn a_hostile_memo_forges_no_line_and_steers_no_terminal_attack_49() {
        for format in [Format::Human, Format::Json] {
            let text = logged(format, |_| {
                info!(memo = HOSTILE, "packet {HOSTILE}");
                info!(memo = %HOSTILE, debug = ?HOSTILE, "second");
            });
            assert_eq!(text.lines().count(), 2, "{text}");
            let unsafe_ = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.chars().any(unsafe_), "{text:?}");
            assert!(text.contains("evil"));
        }
    }

    #[test]
    fn json_lines_stay_json_with_the_text_intact() {
        let text = logged(Format::Json, |_| info!(memo = HOSTILE, "received"));
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["memo"], HOSTILE);
        assert_eq!(line["message"], "received");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn the_level_changes_while_running() {
        let text = logged(Format::Human, |handle| {
            debug!("before");
            handle.set("info,relayer=debug").unwrap();
            debug!("after");
            assert!(handle.set("not=a=filter").is_err());
            debug!("still");
        });
        assert!(!text.contains("before") && text.contains("after") && text.contains("still"));
    }
}
