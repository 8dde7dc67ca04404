//! The file as written: every key optional, every value with its place in the text, unknown keys refused.
//!
//! Numbers are `i64` and choices are text here, so that the check can say what is wrong with a value and why; meaning and defaults
//! come with [`crate::settings`]. What each key means stands in `examples/two-chains.toml`; a test holds that file against these types.
#![allow(missing_docs)] // The keys are documented for the user, in the example file.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde_spanned::Spanned;

/// A key's text and its place, when it is written.
pub type Text = Option<Spanned<String>>;
/// A key's whole number and its place, when it is written.
pub type Number = Option<Spanned<i64>>;
/// A key's number and its place, when it is written.
pub type Decimal = Option<Spanned<f64>>;
/// A key's truth value, when it is written.
pub type Flag = Option<Spanned<bool>>;
/// A table and its place, when it is written.
pub type Sub<T> = Option<Spanned<T>>;

macro_rules! table {
    ($(#[$doc:meta])* $name:ident { $($key:ident: $kind:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $(pub $key: $kind),+ }
    };
}

table!(
    /// The whole file.
    File {
        global: Sub<Global>,
        store: Sub<Store>,
        telemetry: Sub<Telemetry>,
        limits: Sub<Limits>,
        chains: Vec<Spanned<Chain>>,
        paths: Vec<Spanned<Path>>,
    }
);
table!(
    /// `[global]`
    Global {
        log_level: Text,
        log_format: Text,
        verify_workers: Number,
        admin: Text,
        admin_token_env: Text,
        shutdown_timeout_ms: Number,
    }
);
table!(
    /// `[store]`
    Store { dir: Text }
);
table!(
    /// `[telemetry]`
    Telemetry { otlp_endpoint: Text, sample_ratio: Decimal, service_name: Text }
);
table!(
    /// `[limits]`
    Limits {
        requests_per_second: Number,
        burst: Number,
        in_flight: Number,
        request_timeout_ms: Number,
        max_response_bytes: Number,
        retry_attempts: Number,
        methods: Vec<Spanned<MethodLimit>>,
        rules: Sub<Rules>,
        redis: Sub<Redis>,
    }
);
table!(
    /// `[limits.redis]`
    Redis {
        url: Option<Spanned<Texts>>,
        kind: Text,
        service: Text,
        login_env: Text,
        domain: Text,
        member: Text,
        mode: Text,
        redis_cell: Text,
        ca: Text,
    }
);
table!(
    /// `limits` of a chain.
    ChainLimits {
        requests_per_second: Number,
        burst: Number,
        in_flight: Number,
        request_timeout_ms: Number,
        max_response_bytes: Number,
        retry_attempts: Number,
        methods: Vec<Spanned<MethodLimit>>,
        endpoints: Vec<Spanned<EndpointLimit>>,
        channels: Vec<Spanned<ChannelLimit>>,
    }
);
table!(
    /// One of `methods` in a table of limits.
    MethodLimit { method: Text, requests_per_second: Number, burst: Number, weight: Number }
);
table!(
    /// One of `endpoints` in a chain's limits.
    EndpointLimit { rpc: Text, requests_per_second: Number, burst: Number, in_flight: Number }
);
table!(
    /// One of `channels` in a chain's limits.
    ChannelLimit { channel: Text, requests_per_second: Number, burst: Number }
);
table!(
    /// `[limits.rules]`
    Rules { file: Text, http: Text, etcd: Text, key: Text, interval_ms: Number }
);
table!(
    /// `[[chains]]`
    Chain {
        id: Text,
        r#type: Text,
        rpc: Option<Spanned<Texts>>,
        ws: Text,
        archive_rpc: Text,
        account_prefix: Text,
        coin_type: Number,
        ss58_prefix: Number,
        store_prefix: Text,
        block_time_ms: Number,
        tx_timeout_blocks: Number,
        max_tx_bytes: Number,
        key: Sub<Key>,
        gas: Sub<Gas>,
        trusted: Sub<Trusted>,
        client: Sub<Client>,
        limits: Sub<ChainLimits>,
    }
);
table!(
    /// `key` of a chain.
    Key { name: Text, source: Text, env: Text, passphrase_env: Text }
);
table!(
    /// `gas` of a chain.
    Gas {
        price: Text,
        multiplier: Decimal,
        max_per_tx: Number,
        default_per_message: Number,
        max_fee: Text,
        fee_granter: Text,
        memo_prefix: Text,
        tip: Text,
    }
);
table!(
    /// `trusted` of a chain.
    Trusted { height: Number, hash: Text }
);
table!(
    /// `client` of a chain: the clients of this chain that stand on other chains.
    Client {
        trust_threshold: Text,
        trusting_period_s: Number,
        max_clock_drift_ms: Number,
        refresh_fraction: Text,
        checksum: Text,
    }
);
table!(
    /// `[[paths]]`
    Path {
        name: Text,
        enabled: Flag,
        a: Sub<End>,
        b: Sub<End>,
        channels: Vec<Spanned<Channel>>,
        batch: Sub<Batch>,
        clear: Sub<Clear>,
        filter: Sub<Filter>,
        max_memo_bytes: Number,
        max_receiver_bytes: Number,
    }
);
table!(
    /// `a` and `b` of a path.
    End { chain: Text, client: Text, connection: Text }
);
table!(
    /// `[[paths.channels]]`
    Channel { a: Sub<ChannelEnd>, b: Sub<ChannelEnd>, order: Text, version: Text, excluded_sequences: Sub<Excluded> }
);
table!(
    /// `a` and `b` of a channel.
    ChannelEnd { port: Text, channel: Text }
);
table!(
    /// `excluded_sequences` of a channel.
    Excluded { a_to_b: Vec<Spanned<i64>>, b_to_a: Vec<Spanned<i64>> }
);
table!(
    /// `batch` of a path.
    Batch { messages: Number, bytes: Number, linger_ms: Number }
);
table!(
    /// `clear` of a path.
    Clear { on_start: Flag, interval_s: Number }
);
table!(
    /// `filter` of a path.
    Filter {
        allow: Option<Spanned<Texts>>,
        deny: Option<Spanned<Texts>>,
        deny_xcm: Option<Spanned<Texts>>,
        deny_undecodable_xcm: Flag,
        a_to_b: Sub<Lists>,
        b_to_a: Sub<Lists>,
    }
);
table!(
    /// `a_to_b` and `b_to_a` of a filter.
    Lists { allow: Option<Spanned<Texts>>, deny: Option<Spanned<Texts>> }
);

/// One text or a list of texts. A single one has no place of its own.
#[derive(Debug, Clone, Default)]
pub struct Texts(pub Vec<(Option<Range<usize>>, String)>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Texts;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts")
            }
            fn visit_str<E>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![(None, text.to_owned())]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element::<Spanned<String>>()? {
                    texts.push((Some(text.span()), text.into_inner()));
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_any(Each)
    }
}
