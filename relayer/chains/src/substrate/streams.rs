//! Whose stream of justifications is followed: one endpoint's after the other's, those that rest passed over.

use crate::rpc::{EndpointId, EndpointUrl, RpcClient};

/// Where an endpoint streams justifications.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) endpoint: EndpointId,
    pub(crate) url: EndpointUrl,
}

/// The streams of a chain's endpoints, the next one first; none where proofs of finality are polled only.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams(Vec<Stream>);

impl Streams {
    /// In order of preference.
    pub(crate) fn new(all: Vec<Stream>) -> Self {
        Self(all)
    }

    /// The next one whose endpoint does not rest; if all do, the next one. What follows it comes first after that.
    pub(crate) fn next(&mut self, rpc: &RpcClient) -> Option<Stream> {
        let resting = resting(rpc);
        self.take_next(&resting)
    }

    fn take_next(&mut self, resting: &[EndpointId]) -> Option<Stream> {
        let awake = self.0.iter().position(|stream| !resting.contains(&stream.endpoint)).unwrap_or_default();
        let chosen = self.0.get(awake).cloned()?;
        let (others, count) = (awake.saturating_add(1), self.0.len());
        self.0.rotate_left(others.min(count));
        Some(chosen)
    }

    /// Whether this one's endpoint rests while another is well: what it says is not heard.
    pub(crate) fn is_outdone(&self, stream: &Stream, rpc: &RpcClient) -> bool {
        let resting = resting(rpc);
        resting.contains(&stream.endpoint) && self.0.iter().any(|other| !resting.contains(&other.endpoint))
    }

    /// Whether there is more than one.
    pub(crate) fn has_others(&self) -> bool {
        self.0.len() > 1
    }
}

fn resting(rpc: &RpcClient) -> Vec<EndpointId> {
    let health = rpc.health().into_iter();
    health.filter(|endpoint| endpoint.quarantine.is_some()).map(|endpoint| endpoint.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(count: usize) -> (Streams, Vec<EndpointId>) {
        let url = |n: usize| format!("http://127.0.0.1:{}", n + 1).parse::<EndpointUrl>().unwrap();
        let ids: Vec<_> = (0..count).map(|n| EndpointId::new(n, "made".into())).collect();
        let all = ids.iter().enumerate().map(|(n, id)| Stream { endpoint: id.clone(), url: url(n) });
        (Streams::new(all.collect()), ids)
    }

    #[test]
    fn each_has_its_turn_and_those_that_rest_are_passed_over() {
        let (mut all, ids) = streams(3);
        let mut turn = |resting: &[usize]| {
            let resting: Vec<_> = resting.iter().map(|n| ids[*n].clone()).collect();
            all.take_next(&resting).unwrap().endpoint.index()
        };
        assert_eq!([turn(&[]), turn(&[]), turn(&[]), turn(&[])], [0, 1, 2, 0]);
        assert_eq!([turn(&[1]), turn(&[0, 1]), turn(&[0, 1, 2])], [2, 2, 0]);
        assert!(streams(0).0.take_next(&[]).is_none());
        assert!(streams(2).0.has_others() && !streams(1).0.has_others());
    }
}
