//! From the file as written to the settings as used. Collects every problem: a value that can't be used is replaced by its default
//! for the rest of the check, and the settings are given out only when there was no problem at all.

mod chain;
mod narrow;
mod path;

use std::collections::HashMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde_spanned::Spanned;

use crate::error::{Kind, Problem};
use crate::limits::{self, Bound};
use crate::settings::{Global, LogFormat, RequestLimits, Settings, Store, Telemetry};
use crate::source::{Source, holds_variable, quoted};
use crate::structure::{example, nearest};
use crate::values::{Endpoint, LogFilter, Variable};
use crate::written::{self, Decimal, Number, Sub, Text};

pub(crate) fn settings(source: &Source<'_>, file: &written::File) -> Result<Settings, Vec<Problem>> {
    let mut check = Check { source, problems: Vec::new() };
    let common = table(&file.limits);
    let methods = narrow::methods(&mut check, &["limits", "methods"], &common.methods);
    let rules = narrow::rules(&mut check, &common.rules);
    let shared = narrow::redis(&mut check, &common.redis);
    let limits = check.limits(&["limits"], &common, &default_limits());
    let global = check.global(table(&file.global));
    let store = check.store(table(&file.store));
    let telemetry = check.telemetry(table(&file.telemetry));
    let chains = chain::all(&mut check, &file.chains, &limits, &methods);
    let paths = path::all(&mut check, file, &chains);
    match (global, store, telemetry) {
        (Some(global), Some(store), Some(telemetry)) if check.problems.is_empty() => {
            Ok(Settings { global, store, telemetry, limits, rules, shared, chains, paths })
        }
        _ => Err(check.problems),
    }
}

/// A table's keys; those of an absent one are all absent.
fn table<T: Default + Clone>(table: &Sub<T>) -> T {
    table.as_ref().map(|t| t.get_ref().clone()).unwrap_or_default()
}

fn default_limits() -> RequestLimits {
    let small = |bound: Bound| u32::try_from(bound.default).unwrap_or(u32::MAX);
    RequestLimits {
        requests_per_second: small(limits::REQUESTS_PER_SECOND),
        burst: small(limits::BURST),
        in_flight: small(limits::IN_FLIGHT),
        request_timeout: Duration::from_millis(limits::REQUEST_TIMEOUT_MS.default),
        max_response_bytes: usize::try_from(limits::MAX_RESPONSE_BYTES.default).unwrap_or(usize::MAX),
        retry_attempts: small(limits::RETRY_ATTEMPTS),
    }
}

/// What is wrong so far, and how single values are checked. `keys` lead to a value; the last one is its name.
struct Check<'a> {
    source: &'a Source<'a>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn fail(&mut self, kind: Kind, range: &Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let problem = self.source.problem(kind, range, message.into(), help.into());
        self.problems.push(problem);
    }

    /// "write for example: ..." for a key.
    fn write(keys: &[&str]) -> String {
        example(keys).map_or_else(String::new, |example| format!("write for example: {example}"))
    }

    fn missing(&mut self, keys: &[&str], range: &Range<usize>) {
        let key = keys.last().copied().unwrap_or_default();
        let (_, tables) = keys.split_last().unwrap_or((&"", &[]));
        let message = format!("`{key}` is missing in `{}`", tables.join("."));
        self.fail(Kind::Missing, range, message, Self::write(keys));
    }

    /// A text through its reader; `None` when it is absent or wrong.
    fn text<T, E: Display>(
        &mut self,
        keys: &[&str],
        text: &Text,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = text.as_ref()?;
        self.read(keys, &text.span(), text.get_ref(), read)
    }

    fn read<T, E: Display>(
        &mut self,
        keys: &[&str],
        range: &Range<usize>,
        text: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let key = keys.last().copied().unwrap_or_default();
        match read(text) {
            Ok(value) => Some(value),
            Err(wanted) => {
                // A variable's value is never shown, nor what stands where its name should: both may be the secret.
                let hidden = self.source.layer_of(range).is_some() || holds_variable(key);
                let shown = if hidden { "this value".to_owned() } else { quoted(text) };
                self.fail(
                    Kind::Invalid,
                    range,
                    format!("`{key}` can't be {shown}: it must be {wanted}"),
                    Self::write(keys),
                );
                None
            }
        }
    }

    /// A text that must be there.
    fn required<T, E: Display>(
        &mut self,
        keys: &[&str],
        text: &Text,
        range: &Range<usize>,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        if text.is_none() {
            self.missing(keys, range);
        }
        self.text(keys, text, read)
    }

    /// One of a few words; the first when it is absent.
    fn choice<T: Copy>(&mut self, keys: &[&str], text: &Text, words: &[(&str, T)]) -> Option<T> {
        let Some(text) = text else {
            return words.first().map(|(_, value)| *value);
        };
        let found = words.iter().find(|(word, _)| word == text.get_ref());
        if found.is_none() {
            let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let help = match nearest(text.get_ref(), names.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => Self::write(keys),
            };
            let names = names.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
            let key = keys.last().copied().unwrap_or_default();
            self.fail(Kind::Invalid, &text.span(), format!("`{key}` must be {names}"), help);
        }
        found.map(|(_, value)| *value)
    }

    /// A number within its bound, or the default.
    fn number(&mut self, keys: &[&str], number: &Number, bound: &Bound) -> u64 {
        self.number_or(keys, number, bound, bound.default)
    }

    fn number_or(&mut self, keys: &[&str], number: &Number, bound: &Bound, default: u64) -> u64 {
        let Some(number) = number else { return default };
        match u64::try_from(*number.get_ref()) {
            Ok(value) if (bound.min..=bound.max).contains(&value) => value,
            _ => {
                let key = keys.last().copied().unwrap_or_default();
                let message = format!("`{key}` must be between {} and {}: {}", bound.min, bound.max, bound.reason);
                self.fail(Kind::Invalid, &number.span(), message, Self::write(keys));
                default
            }
        }
    }

    fn small(&mut self, keys: &[&str], number: &Number, bound: &Bound, default: u32) -> u32 {
        u32::try_from(self.number_or(keys, number, bound, default.into())).unwrap_or(u32::MAX)
    }

    fn size(&mut self, keys: &[&str], number: &Number, bound: &Bound) -> usize {
        usize::try_from(self.number(keys, number, bound)).unwrap_or(usize::MAX)
    }

    fn millis(&mut self, keys: &[&str], number: &Number, bound: &Bound) -> Duration {
        Duration::from_millis(self.number(keys, number, bound))
    }

    fn decimal<T, E: Display>(
        &mut self,
        keys: &[&str],
        number: &Decimal,
        default: f64,
        read: impl Fn(f64) -> Result<T, E>,
    ) -> Option<T> {
        let Some(number) = number else {
            return read(default).ok();
        };
        match read(*number.get_ref()) {
            Ok(value) => Some(value),
            Err(wanted) => {
                let key = keys.last().copied().unwrap_or_default();
                self.fail(Kind::Invalid, &number.span(), format!("`{key}` must be {wanted}"), Self::write(keys));
                None
            }
        }
    }

    /// Refuses a list that is too long.
    fn at_most<T>(&mut self, what: &str, list: &[Spanned<T>], most: usize) {
        if let Some(extra) = list.get(most) {
            self.fail(
                Kind::Invalid,
                &extra.span(),
                format!("more than {most} {what}"),
                format!("keep at most {most} here"),
            );
        }
    }

    /// Refuses the second of two equal names. `seen` remembers the line of the first.
    fn unique(&mut self, what: &str, seen: &mut HashMap<String, Range<usize>>, name: &str, range: &Range<usize>) {
        match seen.get(name).cloned() {
            None => {
                seen.insert(name.to_owned(), range.clone());
            }
            Some(first) => {
                let line = match self.source.place(&first) {
                    crate::error::Place::File { line, .. } => format!("line {line}"),
                    crate::error::Place::Outside(origin) => origin,
                };
                let help = format!("the first stands at {line}: remove or rename one of them");
                self.fail(Kind::Duplicate, range, format!("{what} {} stands here a second time", quoted(name)), help);
            }
        }
    }

    /// An address; credentials in the file are refused, they belong into the environment.
    fn endpoint(
        &mut self,
        keys: &[&str],
        text: &Text,
        read: fn(&str) -> Result<Endpoint, crate::values::Expected>,
    ) -> Option<Endpoint> {
        let text = text.as_ref()?;
        self.address(keys, &text.span(), text.get_ref(), read)
    }

    fn address(
        &mut self,
        keys: &[&str],
        range: &Range<usize>,
        text: &str,
        read: fn(&str) -> Result<Endpoint, crate::values::Expected>,
    ) -> Option<Endpoint> {
        let endpoint = self.read(keys, range, text, read)?;
        if endpoint.has_credentials() && self.source.layer_of(range).is_none() {
            let key = keys.last().copied().unwrap_or_default();
            let message = format!("`{key}` has a user or password in its address, and secrets never stand in the file");
            let help = "set the key in the environment, like RELAYER__CHAINS__SIM_A_1__RPC".to_owned();
            self.fail(Kind::Secret, range, message, help);
            return None;
        }
        Some(endpoint)
    }

    fn limits(&mut self, keys: &[&str], limits: &written::Limits, default: &RequestLimits) -> RequestLimits {
        let at = |key: &'static str| keys.iter().copied().chain([key]).collect::<Vec<_>>();
        let timeout = u64::try_from(default.request_timeout.as_millis()).unwrap_or(u64::MAX);
        let bytes = u64::try_from(default.max_response_bytes).unwrap_or(u64::MAX);
        let timeout =
            self.number_or(&at("request_timeout_ms"), &limits.request_timeout_ms, &limits::REQUEST_TIMEOUT_MS, timeout);
        let bytes =
            self.number_or(&at("max_response_bytes"), &limits.max_response_bytes, &limits::MAX_RESPONSE_BYTES, bytes);
        RequestLimits {
            requests_per_second: self.small(
                &at("requests_per_second"),
                &limits.requests_per_second,
                &limits::REQUESTS_PER_SECOND,
                default.requests_per_second,
            ),
            burst: self.small(&at("burst"), &limits.burst, &limits::BURST, default.burst),
            in_flight: self.small(&at("in_flight"), &limits.in_flight, &limits::IN_FLIGHT, default.in_flight),
            request_timeout: Duration::from_millis(timeout),
            max_response_bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            retry_attempts: self.small(
                &at("retry_attempts"),
                &limits.retry_attempts,
                &limits::RETRY_ATTEMPTS,
                default.retry_attempts,
            ),
        }
    }

    fn global(&mut self, global: written::Global) -> Option<Global> {
        let formats = [("human", LogFormat::Human), ("json", LogFormat::Json)];
        let level = match &global.log_level {
            None => LogFilter::new("info").ok(),
            level => self.text(&["global", "log_level"], level, LogFilter::new),
        };
        let format = self.choice(&["global", "log_format"], &global.log_format, &formats);
        let workers = self.size(&["global", "verify_workers"], &global.verify_workers, &limits::VERIFY_WORKERS);
        let token = self.text(&["global", "admin_token_env"], &global.admin_token_env, Variable::new);
        let admin = self.admin(&global.admin, token.is_some());
        let timeout =
            self.millis(&["global", "shutdown_timeout_ms"], &global.shutdown_timeout_ms, &limits::SHUTDOWN_TIMEOUT_MS);
        Some(Global {
            log_level: level?,
            log_format: format?,
            verify_workers: NonZeroUsize::new(workers),
            admin: admin?,
            admin_token_env: token,
            shutdown_timeout: timeout,
        })
    }

    fn admin(&mut self, text: &Text, has_token: bool) -> Option<SocketAddr> {
        let keys = ["global", "admin"];
        let Some(text) = text else {
            return Some(SocketAddr::from(([127, 0, 0, 1], 3030)));
        };
        let read =
            |text: &str| text.parse::<SocketAddr>().map_err(|_| "an IP address and a port, like \"127.0.0.1:3030\"");
        let admin = self.read(&keys, &text.span(), text.get_ref(), read)?;
        if !admin.ip().is_loopback() && !has_token {
            let message = "`admin` is open to other machines and nothing protects it".to_owned();
            let help = "write admin = \"127.0.0.1:3030\", or name the variable that holds a token: admin_token_env = \"RELAYER_ADMIN_TOKEN\"";
            self.fail(Kind::Invalid, &text.span(), message, help);
            return None;
        }
        Some(admin)
    }

    fn store(&mut self, store: written::Store) -> Option<Store> {
        let keys = ["store", "dir"];
        let (range, dir) = match &store.dir {
            Some(dir) => (dir.span(), dir.get_ref().as_str()),
            None => (0..0, "~/.relayer"),
        };
        let read = |dir: &str| match dir {
            "" => Err("the name of a folder"),
            dir if dir.chars().any(char::is_control) => Err("a folder's name without control characters"),
            "~" => std::env::home_dir().ok_or("an absolute path: this user has no home folder"),
            dir => match dir.strip_prefix("~/") {
                Some(rest) => {
                    let home = std::env::home_dir().ok_or("an absolute path: this user has no home folder")?;
                    Ok(home.join(rest))
                }
                None if dir.starts_with('~') => Err("a path without another user's `~`"),
                None => Ok(PathBuf::from(dir)),
            },
        };
        Some(Store { dir: self.read(&keys, &range, dir, read)? })
    }

    fn telemetry(&mut self, telemetry: written::Telemetry) -> Option<Telemetry> {
        let keys = ["telemetry", "otlp_endpoint"];
        let otlp_endpoint = self.endpoint(&keys, &telemetry.otlp_endpoint, Endpoint::http);
        let in_range = |ratio: f64| {
            if (0.0..=1.0).contains(&ratio) { Ok(ratio) } else { Err("between 0 and 1") }
        };
        let sample_ratio = self.decimal(&["telemetry", "sample_ratio"], &telemetry.sample_ratio, 1.0, in_range);
        let name = |name: &str| {
            let fits = (1..=limits::SERVICE_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control);
            if fits { Ok(name.to_owned()) } else { Err("1 to 64 characters, no control characters") }
        };
        let service_name = match &telemetry.service_name {
            None => Some("relayer".to_owned()),
            text => self.text(&["telemetry", "service_name"], text, name),
        };
        Some(Telemetry { otlp_endpoint, sample_ratio: sample_ratio?, service_name: service_name? })
    }
}
