//! What can go wrong between us and a node, as data; what to do about it; never a URL.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use limiter::Level;
use relayer_core::error::{Detail, Remedy};
use thiserror::Error;

use super::endpoint_url::EndpointId;

/// The client could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SetupError {
    /// No endpoint, or too many.
    #[error("{count} RPC endpoints; name 1 to {max}")]
    Endpoints {
        /// How many were given.
        count: usize,
        /// How many may be.
        max: usize,
    },
    /// A WebSocket address where an HTTP one belongs.
    #[error("{0} is not an http or https address")]
    NotHttp(String),
    /// The rate can't be shared.
    #[error("{0}")]
    Shared(Detail),
    /// TLS could not be set up.
    #[error("TLS: {0}")]
    Tls(Detail),
}

/// A call that gave no result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{method}{}: {kind}", AtEndpoint(.endpoint.as_ref()))]
pub struct RpcError {
    /// What went wrong.
    pub kind: RpcErrorKind,
    /// In which call.
    pub method: &'static str,
    /// At which endpoint, if one was reached or tried.
    pub endpoint: Option<EndpointId>,
}

struct AtEndpoint<'a>(Option<&'a EndpointId>);
impl fmt::Display for AtEndpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |endpoint| write!(f, " at {endpoint}"))
    }
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RpcErrorKind {
    /// Too many calls, says the node or our own limiter; the call was not executed.
    #[error("throttled by {by}{}", RetryIn(*.retry_after))]
    Throttled {
        /// Who said so.
        by: ThrottledBy,
        /// When to come back, if known.
        retry_after: Option<Duration>,
    },
    /// The endpoint can't be used.
    #[error("{why}{}", RetryIn(*.retry_after))]
    Unavailable {
        /// Why.
        why: Unavailable,
        /// When to come back, if known.
        retry_after: Option<Duration>,
    },
    /// No complete answer in time.
    #[error("no complete answer within {} ms", .after.as_millis())]
    Timeout {
        /// The time it had.
        after: Duration,
    },
    /// The answer is larger than allowed; the rest was not read.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The cap after decompression, bytes.
        limit: usize,
    },
    /// Not what JSON-RPC says.
    #[error("the answer is not valid JSON-RPC: {0}")]
    Malformed(Malformed),
    /// The application's "no".
    #[error("{0}")]
    Rejected(Box<Rejected>),
    /// Back-pressure of this chain's broadcasts: nothing else should slow down.
    #[error("the mempool is full")]
    MempoolFull,
    /// The batch was larger than the node takes (the client learns from it and splits).
    #[error("the batch is larger than the node takes")]
    BatchTooLarge {
        /// What it takes, if it said.
        max: Option<u32>,
    },
    /// The call can't be made at all.
    #[error("{0}")]
    Invalid(InvalidCall),
}

struct RetryIn(Option<Duration>);
impl fmt::Display for RetryIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |after| write!(f, ", come back in {} ms", after.as_millis()))
    }
}

/// Who throttles.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ThrottledBy {
    /// The node or its proxy, by HTTP status.
    #[error("the node (HTTP {0})")]
    Status(u16),
    /// The node, by JSON-RPC code.
    #[error("the node (code {0})")]
    Code(i64),
    /// Our own limiter, since the wait would pass the deadline.
    #[error("our own limit ({})", Limit { level: *.level, milli: *.limit_milli })]
    Ourselves {
        /// Which of our limits.
        level: Level,
        /// Its threshold then, thousandths of calls a second or in flight; 0 where nothing was allowed.
        limit_milli: u64,
    },
    /// A rule, since the wait would pass the deadline, or no wait helps.
    #[error("the {kind} rule `{rule}` ({}.{:03})", limit_milli / 1_000, limit_milli % 1_000)]
    Rule {
        /// Its id.
        rule: Arc<str>,
        /// Its kind.
        kind: &'static str,
        /// Its threshold then, thousandths.
        limit_milli: u64,
    },
}

struct Limit {
    level: Level,
    milli: u64,
}
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, tenth) = (self.milli / 1_000, self.milli / 100 % 10);
        match (self.milli, self.level) {
            (0, level) => f.write_str(level.label()),
            (_, Level::Concurrency) => write!(f, "{}: {whole} in flight", self.level.label()),
            (_, level) => write!(f, "{}: {whole}.{tenth} calls a second", level.label()),
        }
    }
}

/// Why an endpoint can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unavailable {
    /// No connection: nothing was sent.
    #[error("no connection ({0})")]
    Connect(Detail),
    /// The connection broke after it was made.
    #[error("the connection broke ({0})")]
    Broken(Detail),
    /// An HTTP status that is no answer.
    #[error("HTTP status {0}")]
    Status(u16),
    /// Its breaker is open: nothing was sent.
    #[error("circuit breaker open")]
    BreakerOpen,
    /// No configured endpoint fits the route: nothing was sent.
    #[error("no archive endpoint is configured; add `archive_rpc`")]
    NoArchive,
}

/// How an answer breaks JSON-RPC 2.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Not JSON, or not an object or array of them; cut short, perhaps.
    #[error("no JSON at line {line} column {column}")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column.
        column: usize,
    },
    /// JSON of another shape, or more answers than calls.
    #[error("not a JSON-RPC answer at line {line} column {column}")]
    Shape {
        /// Line, from 1.
        line: usize,
        /// Column.
        column: usize,
    },
    /// Neither `result` nor `error`, or both.
    #[error("an answer needs either `result` or `error`")]
    ResultOrError,
    /// An id nobody asked with.
    #[error("an answer with an id that was not asked")]
    UnknownId,
    /// The same id twice.
    #[error("two answers with the same id")]
    DuplicateId,
    /// Fewer answers than calls.
    #[error("{0} answers are missing")]
    MissingAnswers(usize),
}

/// A JSON-RPC error of the application. Text is bounded, not escaped: print it through `Display`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// JSON-RPC code.
    pub code: i64,
    /// Its `message`.
    pub message: String,
    /// Its `data` as text (a JSON string's content, other JSON as written).
    pub data: String,
}
impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused with code {}: {}", self.code, Detail::new(&self.message))?;
        if self.data.is_empty() { Ok(()) } else { write!(f, " ({})", Detail::new(&self.data)) }
    }
}

/// A call that can't be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidCall {
    /// `params` can't be written as JSON.
    #[error("the parameters can't be written as JSON")]
    Params,
    /// Larger than nodes take.
    #[error("the request has {bytes} bytes, more than {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The cap.
        limit: usize,
    },
    /// Too many calls at once.
    #[error("{calls} calls at once, more than {limit}")]
    TooMany {
        /// How many.
        calls: usize,
        /// The cap.
        limit: usize,
    },
    /// It costs more than the limiter's burst, or the rate is zero.
    #[error("the limits never admit a call of weight {weight}; raise the endpoint's burst or rate")]
    Weight {
        /// What it costs.
        weight: u64,
    },
}

/// The same, as one word for decisions and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Too many calls; not executed.
    Throttled,
    /// The endpoint can't be used.
    Unavailable,
    /// No complete answer in time.
    Timeout,
    /// The answer is too large.
    TooLarge,
    /// The answer is no JSON-RPC.
    Malformed,
    /// The application's "no".
    Rejected,
    /// Back-pressure of broadcasts.
    MempoolFull,
    /// More calls than the node takes at once.
    BatchTooLarge,
    /// The call can't be made.
    Invalid,
}

impl ErrorClass {
    /// A stable short word for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Rejected => "rejected",
            Self::MempoolFull => "mempool_full",
            Self::BatchTooLarge => "batch_too_large",
            Self::Invalid => "invalid",
        }
    }
}

impl RpcErrorKind {
    /// One word.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Throttled { .. } => ErrorClass::Throttled,
            Self::Unavailable { .. } => ErrorClass::Unavailable,
            Self::Timeout { .. } => ErrorClass::Timeout,
            Self::TooLarge { .. } => ErrorClass::TooLarge,
            Self::Malformed(_) => ErrorClass::Malformed,
            Self::Rejected(_) => ErrorClass::Rejected,
            Self::MempoolFull => ErrorClass::MempoolFull,
            Self::BatchTooLarge { .. } => ErrorClass::BatchTooLarge,
            Self::Invalid(_) => ErrorClass::Invalid,
        }
    }

    /// Certainly not executed by a node: even a broadcast may be sent elsewhere.
    pub fn never_executed(&self) -> bool {
        match self {
            Self::Unavailable { why, .. } => {
                matches!(why, Unavailable::Connect(_) | Unavailable::BreakerOpen | Unavailable::NoArchive)
            }
            Self::Throttled { .. } | Self::MempoolFull | Self::BatchTooLarge { .. } | Self::Invalid(_) => true,
            Self::Timeout { .. } | Self::TooLarge { .. } | Self::Malformed(_) | Self::Rejected(_) => false,
        }
    }

    /// Another endpoint may do better.
    pub(crate) fn elsewhere_helps(&self) -> bool {
        matches!(
            self.class(),
            ErrorClass::Throttled
                | ErrorClass::Unavailable
                | ErrorClass::Timeout
                | ErrorClass::TooLarge
                | ErrorClass::Malformed
        )
    }

    /// The same endpoint may do better a little later.
    pub(crate) fn later_helps(&self) -> bool {
        match self {
            Self::Throttled { by, .. } => !matches!(by, ThrottledBy::Ourselves { .. } | ThrottledBy::Rule { .. }),
            Self::Unavailable { why: Unavailable::Status(status), .. } => *status >= 500,
            Self::Unavailable { why, .. } => *why != Unavailable::NoArchive,
            Self::Timeout { .. } | Self::Malformed(_) => true,
            _ => false,
        }
    }
}

impl RpcError {
    pub(crate) fn new(kind: RpcErrorKind, method: &'static str, endpoint: Option<&EndpointId>) -> Self {
        Self { kind, method, endpoint: endpoint.cloned() }
    }

    /// One word.
    pub fn class(&self) -> ErrorClass {
        self.kind.class()
    }

    /// When a node or our limiter said to come back.
    pub fn retry_after(&self) -> Option<Duration> {
        match &self.kind {
            RpcErrorKind::Throttled { retry_after, .. } | RpcErrorKind::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        let known = self.retry_after().map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        match &self.kind {
            RpcErrorKind::Throttled { .. } => Remedy::Retry { after_ms: known.unwrap_or(1_000) },
            RpcErrorKind::Unavailable { why: Unavailable::NoArchive, .. } => Remedy::Halt,
            RpcErrorKind::Unavailable { why: Unavailable::Status(status), .. } if *status < 500 => Remedy::Halt,
            RpcErrorKind::Unavailable { .. } | RpcErrorKind::Timeout { .. } => {
                Remedy::Retry { after_ms: known.unwrap_or(500) }
            }
            RpcErrorKind::Malformed(_) | RpcErrorKind::MempoolFull => Remedy::Retry { after_ms: 1_000 },
            RpcErrorKind::BatchTooLarge { .. } => Remedy::Retry { after_ms: 0 },
            RpcErrorKind::TooLarge { .. } | RpcErrorKind::Rejected(_) => Remedy::Drop,
            RpcErrorKind::Invalid(_) => Remedy::Halt,
        }
    }
}
