//! The relayer's admin port, asked as any script would.

use std::fmt::Display;

use serde_json::Value;

use crate::DevnetError;
use crate::devnet::http_client;

/// A relayer's admin port.
#[derive(Clone, Debug)]
pub struct Admin {
    url: String,
    http: reqwest::Client,
}

/// The answer of `/health`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// It says that all it needs works.
    pub ready: bool,
    /// Why not, as one text.
    pub reasons: String,
}

/// The metrics of one moment.
#[derive(Clone, Debug)]
pub struct Metrics {
    text: String,
}

impl Admin {
    /// The admin port at `127.0.0.1:<port>`.
    ///
    /// # Errors
    /// [`DevnetError::Rpc`] if no client can be made.
    pub fn new(address: &str) -> Result<Self, DevnetError> {
        let url = format!("http://{address}");
        Ok(Self { http: http_client(&url)?, url })
    }

    async fn get(&self, path: &str) -> Result<(u16, String), DevnetError> {
        let failed = |e: reqwest::Error| self.error(path, format!("{e:?}"));
        let response = self.http.get(format!("{}{path}", self.url)).send().await.map_err(failed)?;
        let status = response.status().as_u16();
        Ok((status, response.text().await.map_err(failed)?))
    }

    fn error(&self, path: &str, reason: impl Display) -> DevnetError {
        DevnetError::Rpc { url: self.url.clone(), method: path.to_owned(), reason: reason.to_string() }
    }

    /// `/status`.
    ///
    /// # Errors
    /// [`DevnetError::Rpc`] if nobody answers, or not with JSON.
    pub async fn status(&self) -> Result<Value, DevnetError> {
        let (_, text) = self.get("/status").await?;
        serde_json::from_str(&text).map_err(|e| self.error("/status", e))
    }

    /// `/health`; its status code and its text must agree.
    ///
    /// # Errors
    /// [`DevnetError::Rpc`] if nobody answers, or not as agreed.
    pub async fn health(&self) -> Result<Health, DevnetError> {
        let (status, text) = self.get("/health").await?;
        let answer: Value = serde_json::from_str(&text).map_err(|e| self.error("/health", e))?;
        let ready = answer["ready"].as_bool().ok_or_else(|| self.error("/health", format!("no `ready` in {text}")))?;
        if (status == 200) != ready {
            return Err(self.error("/health", format!("status {status}, but {text}")));
        }
        Ok(Health { ready, reasons: answer["reasons"].to_string() })
    }

    /// `/metrics`.
    ///
    /// # Errors
    /// [`DevnetError::Rpc`] if nobody answers.
    pub async fn metrics(&self) -> Result<Metrics, DevnetError> {
        let (_, text) = self.get("/metrics").await?;
        Ok(Metrics { text })
    }
}

impl Metrics {
    /// The lines of this name, to be shown.
    #[must_use]
    pub fn lines_of(&self, name: &str) -> String {
        self.text.lines().filter(|line| line.starts_with(name)).collect::<Vec<_>>().join("\n")
    }

    /// The sum of all series of this name that carry these labels; 0 if there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<String> = labels.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
        let mut sum = 0.0;
        for line in self.text.lines() {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let (of, carried) = series.split_once('{').unwrap_or((series, ""));
            if of == name && wanted.iter().all(|w| carried.contains(w.as_str())) {
                sum += value.parse::<f64>().unwrap_or(f64::NAN);
            }
        }
        sum
    }

    /// The value that this share of a histogram's observations doesn't exceed, estimated within its bucket as Prometheus does; none of none.
    #[must_use]
    pub fn quantile(&self, name: &str, labels: &[(&str, &str)], share: f64) -> Option<f64> {
        let buckets = format!("{name}_bucket");
        let mut bounds: Vec<(&str, f64)> = Vec::new();
        for line in self.text.lines().filter(|line| line.starts_with(&buckets)) {
            let bound = line.split_once("le=\"").and_then(|(_, rest)| rest.split_once('"'))?.0;
            if !bounds.iter().any(|(known, _)| *known == bound) {
                bounds.push((bound, bound.replace("+Inf", "inf").parse().ok()?));
            }
        }
        bounds.sort_by(|a, b| a.1.total_cmp(&b.1));
        let up_to = |bound| self.sum(&buckets, &[labels, &[("le", bound)]].concat());
        let all = bounds.last().map(|(bound, _)| up_to(bound)).filter(|all| *all > 0.0)?;
        let (mut below, mut from) = (0.0, 0.0);
        for (bound, to) in bounds {
            let count = up_to(bound);
            if count >= all * share {
                let part = (all * share - below) / (count - below).max(f64::MIN_POSITIVE);
                return Some(if to.is_finite() { from + (to - from) * part } else { from });
            }
            (below, from) = (count, to);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_name_and_labels() {
        let text = "# TYPE n counter\nn{a=\"1\",b=\"x\"} 2\nn{a=\"2\",b=\"x\"} 3\nnn{a=\"1\"} 7\nplain 4\n".to_owned();
        let metrics = Metrics { text };
        let sums =
            [metrics.sum("n", &[]), metrics.sum("n", &[("a", "1")]), metrics.sum("n", &[("b", "x"), ("a", "2")])];
        assert_eq!(sums, [5.0, 2.0, 3.0]);
        assert_eq!((metrics.sum("plain", &[]), metrics.sum("none", &[])), (4.0, 0.0));
    }

    #[test]
    fn quantiles_lie_within_the_bucket_that_holds_them() {
        let series = |stage: &str, counts: [u32; 3]| {
            let bounds = ["10", "20", "+Inf"].iter().zip(counts);
            bounds.map(|(le, n)| format!("ms_bucket{{stage=\"{stage}\",le=\"{le}\"}} {n}\n")).collect::<String>()
        };
        let metrics = Metrics { text: series("a", [2, 4, 4]) + &series("b", [0, 0, 3]) };
        let of = |stage, share| metrics.quantile("ms", &[("stage", stage)], share);
        assert_eq!(
            [of("a", 0.25), of("a", 0.5), of("a", 0.75), of("a", 1.0)].map(Option::unwrap),
            [5.0, 10.0, 15.0, 20.0]
        );
        assert_eq!((of("b", 0.5), of("c", 0.5), metrics.quantile("none", &[], 0.5)), (Some(20.0), None, None));
    }
}
