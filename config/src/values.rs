//! The validated values settings are made of. Each knows how to read itself from text and says, when it can't, what it wants.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::limits;

/// What a text should have been, in words that follow "must be" or "must".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected(pub(crate) String);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Expected {}

pub(crate) fn expected<T>(what: impl Into<String>) -> Result<T, Expected> {
    Err(Expected(what.into()))
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks the text.
            pub fn new(text: &str) -> Result<Self, Expected> {
                let check: fn(&str) -> Result<(), Expected> = $check;
                check(text)?;
                Ok(Self(text.to_owned()))
            }
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = Expected;
            fn from_str(text: &str) -> Result<Self, Expected> {
                Self::new(text)
            }
        }
    };
}

/// Names become file names, environment variables and metric labels: no separators, no control characters, no leading dot.
fn name(text: &str) -> Result<(), Expected> {
    let starts = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let holds = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if starts && holds && text.len() <= limits::NAME_BYTES {
        return Ok(());
    }
    expected(format!("1 to {} letters, digits, `.`, `_` or `-`, the first a letter or digit", limits::NAME_BYTES))
}

fn variable(text: &str) -> Result<(), Expected> {
    let starts = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if starts && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(());
    }
    expected("the name of an environment variable: letters, digits and `_`, not the secret itself")
}

fn account_prefix(text: &str) -> Result<(), Expected> {
    let fits = !text.is_empty() && text.len() <= limits::ACCOUNT_PREFIX_BYTES;
    if fits && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Ok(());
    }
    expected("lower-case letters and digits, what stands before the `1` of an address")
}

fn denom(text: &str) -> Result<(), Expected> {
    let starts = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let fits = (3..=limits::DENOM_BYTES).contains(&text.len());
    if starts && fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/:._-".contains(&b)) {
        return Ok(());
    }
    expected("a denomination has 3 to 128 letters, digits or any of `/:._-`, the first a letter")
}

fn store_prefix(text: &str) -> Result<(), Expected> {
    let fits = !text.is_empty() && text.len() <= limits::STORE_PREFIX_BYTES;
    if fits && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    expected(format!("1 to {} printable characters", limits::STORE_PREFIX_BYTES))
}

fn log_filter(text: &str) -> Result<(), Expected> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let target = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:-".contains(&b));
    let good = |part: &str| match part.split_once('=') {
        None => LEVELS.contains(&part),
        Some((t, level)) => target(t) && LEVELS.contains(&level),
    };
    if text.len() <= 512 && text.split(',').all(|part| good(part.trim())) {
        return Ok(());
    }
    expected(format!("one of {}, or parts like `info,relayer=debug`", LEVELS.join(", ")))
}

text!(
    /// A path's name.
    PathName, name
);
text!(
    /// The name of a key in the keystore or keyring.
    KeyName, name
);
text!(
    /// The name of an environment variable that holds a secret.
    Variable, variable
);
text!(
    /// The human readable part of a chain's bech32 addresses, like `cosmos`.
    AccountPrefix, account_prefix
);
text!(
    /// A coin's denomination, like `uatom`.
    Denom, denom
);
text!(
    /// The key under which a chain's IBC store hangs in its multistore, first element of every proof path.
    StorePrefix, store_prefix
);
text!(
    /// Which log lines are written: a level, or levels by module.
    LogFilter, log_filter
);

/// An address of a node or collector. Printed as scheme, host and port only: providers put API keys in user, path and query.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint(Url);

impl Endpoint {
    /// An `http://` or `https://` address.
    pub fn http(text: &str) -> Result<Self, Expected> {
        Self::with_scheme(text, &["http", "https"], "http://127.0.0.1:26657")
    }

    /// A `redis://` or `rediss://` address.
    pub fn redis(text: &str) -> Result<Self, Expected> {
        Self::with_scheme(text, &["redis", "rediss"], "redis://127.0.0.1:6379")
    }

    /// A `ws://` or `wss://` address.
    pub fn ws(text: &str) -> Result<Self, Expected> {
        Self::with_scheme(text, &["ws", "wss"], "ws://127.0.0.1:26657/websocket")
    }

    fn with_scheme(text: &str, schemes: &[&str], example: &str) -> Result<Self, Expected> {
        let want = format!("an address like {example}");
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(e) => return expected(format!("{want} ({e})")),
        };
        if !schemes.contains(&url.scheme()) {
            return expected(format!("{want}: the scheme must be {}", schemes.join(" or ")));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return expected(format!("{want}: the host is missing"));
        }
        if url.fragment().is_some() {
            return expected(format!("{want}: a `#fragment` is never sent"));
        }
        Ok(Self(url))
    }

    /// The address with everything in it: for the client that calls it, never for a log.
    pub fn url(&self) -> &Url {
        &self.0
    }

    pub(crate) fn has_credentials(&self) -> bool {
        !self.0.username().is_empty() || self.0.password().is_some()
    }

    /// CometBFT's WebSocket address beside its RPC address: same host, `/websocket` below the same path.
    pub(crate) fn websocket(&self) -> Option<Self> {
        let Self(mut url) = self.websocket_here()?;
        let path = format!("{}/websocket", url.path().trim_end_matches('/'));
        url.set_path(&path);
        Some(Self(url))
    }

    /// The same with the path as it is.
    pub(crate) fn websocket_here(&self) -> Option<Self> {
        let mut url = self.0.clone();
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        url.set_scheme(scheme).ok()?;
        Some(Self(url))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        if let Some(port) = self.0.port() {
            write!(f, ":{port}")?;
        }
        let more = self.0.path().len() > 1 || self.0.query().is_some();
        f.write_str(if more { "/..." } else { "" })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A fraction such as a trust threshold; the denominator is never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fraction {
    /// Above the line.
    pub numerator: u64,
    /// Below the line, at least 1.
    pub denominator: u64,
}

impl Fraction {
    /// `self` against `numerator / denominator`, exactly.
    pub fn cmp_to(self, numerator: u64, denominator: u64) -> std::cmp::Ordering {
        let left = u128::from(self.numerator) * u128::from(denominator);
        left.cmp(&(u128::from(numerator) * u128::from(self.denominator)))
    }

    /// That share of a duration, rounded down to whole nanoseconds.
    pub fn of(self, whole: std::time::Duration) -> std::time::Duration {
        let nanos = whole.as_nanos().saturating_mul(u128::from(self.numerator)) / u128::from(self.denominator.max(1));
        std::time::Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}

impl FromStr for Fraction {
    type Err = Expected;
    fn from_str(text: &str) -> Result<Self, Expected> {
        let parts = text.split_once('/').map(|(n, d)| (n.trim().parse::<u32>(), d.trim().parse::<u32>()));
        match parts {
            Some((Ok(n), Ok(d))) if d > 0 => Ok(Self { numerator: n.into(), denominator: d.into() }),
            _ => expected("a fraction like \"1/3\""),
        }
    }
}

/// Price of one unit of gas, exact: `numerator / denominator` of `denom`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GasPrice {
    /// Amount times `denominator`; less than 10^18.
    pub numerator: u128,
    /// A power of ten, at most 10^18.
    pub denominator: u128,
    /// The coin.
    pub denom: Denom,
}

impl GasPrice {
    /// The fee for `gas`, rounded up to whole coins: a node that computes the minimum the same way accepts it.
    pub fn fee(&self, gas: u64) -> u128 {
        self.numerator.saturating_mul(gas.into()).div_ceil(self.denominator.max(1))
    }
}

impl fmt::Display for GasPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let denominator = self.denominator.max(1);
        write!(f, "{}", self.numerator / denominator)?;
        let digits = usize::try_from(denominator.ilog10()).unwrap_or_default();
        let rest = format!("{:0digits$}", self.numerator % denominator);
        let rest = if digits == 0 { "" } else { rest.trim_end_matches('0') };
        if !rest.is_empty() {
            write!(f, ".{rest}")?;
        }
        write!(f, "{}", self.denom)
    }
}

impl FromStr for GasPrice {
    type Err = Expected;
    fn from_str(text: &str) -> Result<Self, Expected> {
        const WANT: &str = "an amount and a denomination without a space, like \"0.025stake\"";
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (amount, coin) = text.split_at(split);
        if coin.is_empty() {
            return expected(format!("{WANT}: the denomination is missing"));
        }
        let denom = Denom::new(coin).map_err(|e| Expected(format!("{WANT}; {e}")))?;
        let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
        let digits = format!("{whole}{part}");
        if whole.is_empty() || part.contains('.') || amount.ends_with('.') {
            return expected(WANT);
        }
        if part.len() > limits::DECIMAL_DIGITS || digits.trim_start_matches('0').len() > limits::DECIMAL_DIGITS {
            return expected(format!("{WANT}: an amount has at most {} digits", limits::DECIMAL_DIGITS));
        }
        let numerator = digits.parse().map_err(|_| Expected(WANT.to_owned()))?;
        let power = u32::try_from(part.len()).unwrap_or_default();
        Ok(Self { numerator, denominator: 10u128.pow(power), denom })
    }
}

/// A whole amount of one coin, like `50000stake`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coin {
    /// How many, less than 10^18.
    pub amount: u128,
    /// Of what.
    pub denom: Denom,
}

impl fmt::Display for Coin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.amount, self.denom)
    }
}

impl FromStr for Coin {
    type Err = Expected;
    fn from_str(text: &str) -> Result<Self, Expected> {
        match text.parse::<GasPrice>() {
            Ok(GasPrice { numerator, denominator: 1, denom }) => Ok(Self { amount: numerator, denom }),
            _ => expected("a whole amount and a denomination without a space, like \"50000stake\""),
        }
    }
}

/// Factor on simulated gas, in thousandths: 1300 is 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GasMultiplier(u32);

impl GasMultiplier {
    /// From a decimal between 1 and 5 with at most three places.
    pub fn new(factor: f64) -> Result<Self, Expected> {
        let thousandths = (factor * 1000.0).round();
        if !(1000.0..=5000.0).contains(&thousandths) || (factor * 1000.0 - thousandths).abs() > 1e-6 {
            return expected(
                "between 1 and 5 with at most three decimals: below 1 transactions run out of gas, above 5 is a typing error",
            );
        }
        // In 1000..=5000 by the check above.
        Ok(Self(thousandths as u32))
    }

    /// The factor in thousandths.
    pub fn thousandths(self) -> u32 {
        self.0
    }

    /// `gas` times the factor, rounded up.
    pub fn apply(self, gas: u64) -> u64 {
        u64::try_from((u128::from(gas) * u128::from(self.0)).div_ceil(1000)).unwrap_or(u64::MAX)
    }
}

/// Whether a text has the shape of an address with this prefix. The checksum is the chain's to check.
pub(crate) fn address(text: &str, prefix: &AccountPrefix) -> Result<(), Expected> {
    let data = text.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('1'));
    let good = data.is_some_and(|d| {
        d.len() >= 38 && d.bytes().all(|b| (b.is_ascii_lowercase() || b.is_ascii_digit()) && !b"1bio".contains(&b))
    });
    if good && text.len() <= limits::ADDRESS_BYTES {
        return Ok(());
    }
    expected(format!("an address of this chain, starting with `{prefix}1`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_price_is_exact_and_its_fee_rounds_up() {
        let price: GasPrice = "0.025stake".parse().unwrap();
        assert_eq!((price.numerator, price.denominator, price.denom.as_str()), (25, 1000, "stake"));
        assert_eq!(price.fee(200_001), 5001);
        assert_eq!("7uatom".parse::<GasPrice>().unwrap().fee(3), 21);
        let factory = "0.1factory/osmo1abc/x".parse::<GasPrice>().unwrap();
        assert_eq!(factory.denom.as_str(), "factory/osmo1abc/x");
    }

    #[test]
    fn bad_prices_are_refused() {
        for text in ["", "stake", "0.025", "0.025 stake", ".5stake", "1.stake", "1.2.3stake", "-1stake", "1e3", "1st"] {
            assert!(text.parse::<GasPrice>().is_err(), "{text}");
        }
        assert!("0.0000000000000000001stake".parse::<GasPrice>().is_err());
        assert!("1000000000000000000stake".parse::<GasPrice>().is_err());
        assert!("1.5stake".parse::<Coin>().is_err());
    }

    #[test]
    fn the_multiplier_is_exact_thousandths() {
        assert_eq!(GasMultiplier::new(1.3).unwrap().apply(100_001), 130_002);
        for bad in [0.99, 5.1, f64::NAN, f64::INFINITY, 1.2345] {
            assert!(GasMultiplier::new(bad).is_err(), "{bad}");
        }
        assert_eq!(GasMultiplier::new(5.0).unwrap().apply(u64::MAX), u64::MAX);
    }

    #[test]
    fn an_endpoint_never_prints_user_path_or_query() {
        let endpoint = Endpoint::http("https://user:hunter2@node.example:8443/v1/0123456789abcdef?apikey=xyz").unwrap();
        for text in [format!("{endpoint}"), format!("{endpoint:?}")] {
            assert_eq!(text, "https://node.example:8443/...");
        }
        assert_eq!(Endpoint::http("http://127.0.0.1:26657").unwrap().to_string(), "http://127.0.0.1:26657");
    }

    #[test]
    fn the_socket_address_follows_from_the_rpc_address() {
        for (rpc, ws) in [
            ("http://127.0.0.1:26657", "ws://127.0.0.1:26657/websocket"),
            ("https://node.example/rpc/", "wss://node.example/rpc/websocket"),
        ] {
            assert_eq!(Endpoint::http(rpc).unwrap().websocket().unwrap().url().as_str(), ws);
        }
    }

    #[test]
    fn names_hold_no_separators_control_characters_or_leading_dots() {
        for bad in ["", "a/b", "..", ".a", "a\\b", "a b", "a\u{1b}", "é", &"x".repeat(65)] {
            assert!(PathName::new(bad).is_err(), "{bad:?}");
        }
        assert!(KeyName::new("relayer-1.main").is_ok());
    }

    proptest! {
        #[test]
        fn a_shown_price_reads_back_as_the_same_price(amount in 0u64..1_000_000_000_000, places in 0u32..=6) {
            let text = format!("{}.{:06}uatom", amount / 10u64.pow(places), amount % 10u64.pow(places));
            let price: GasPrice = text.parse().unwrap();
            let again: GasPrice = price.to_string().parse().unwrap();
            prop_assert_eq!(price.numerator * again.denominator, again.numerator * price.denominator);
            prop_assert_eq!(price.denom, again.denom);
        }

        #[test]
        fn no_text_makes_a_value_panic(text in "\\PC{0,40}") {
            let price = text.parse::<GasPrice>().map(|p| p.fee(u64::MAX));
            let rest = (text.parse::<Coin>(), text.parse::<Fraction>(), Endpoint::http(&text), LogFilter::new(&text));
            prop_assert!(price.is_err() || text.starts_with(|c: char| c.is_ascii_digit()));
            prop_assert!(rest.0.is_err() || price.is_ok());
        }
    }
}
