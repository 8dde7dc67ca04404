//! Bounded waiting for a state of the world.

use std::time::{Duration, Instant};

use crate::{DevnetError, limits};

/// Looks again and again until `look` finds something, or fails after `within`.
///
/// An error of `look` counts as "not yet", since a chain may be down on purpose; the last one is told in the end.
///
/// # Errors
/// [`DevnetError::Timeout`].
pub async fn until<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>, DevnetError>,
) -> Result<T, DevnetError> {
    let since = Instant::now();
    loop {
        let seen = look().await;
        if let Ok(Some(found)) = seen {
            return Ok(found);
        }
        if since.elapsed() > within {
            let last = seen.err().map(|e| format!(" (last: {e})")).unwrap_or_default();
            return Err(DevnetError::Timeout { what: format!("{what}{last}"), after_ms: within.as_millis() });
        }
        tokio::time::sleep(limits::LOOK_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_late_is_found_and_what_never_comes_is_named() {
        let mut looks = 0;
        let found = until("three", Duration::from_secs(10), async || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(found.await.unwrap(), 3);
        let never = until::<()>("rain", Duration::from_millis(1), async || Ok(None)).await;
        assert!(never.unwrap_err().to_string().contains("rain"));
    }
}
