//! One channel, seen from both chains.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{History, until, voucher};
use crate::DevnetError;
use crate::devnet::Node;

const PORT: &str = "transfer";

/// One end of a channel.
#[derive(Clone, Debug)]
pub struct End {
    /// Its chain.
    pub node: Node,
    /// Its id.
    pub channel: String,
}

/// A transfer channel.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its first end.
    pub a: End,
    /// Its second end.
    pub b: End,
}

impl End {
    /// Sequences sent here and neither acknowledged nor timed out.
    ///
    /// # Errors
    /// As [`Node::query`].
    pub async fn open(&self) -> Result<Vec<u64>, DevnetError> {
        self.node.packet_commitments(PORT, &self.channel).await
    }

    /// Sequences received here, each with its acknowledgement written.
    ///
    /// # Errors
    /// As [`Node::query`].
    pub async fn received(&self) -> Result<BTreeSet<u64>, DevnetError> {
        Ok(self.node.packet_acknowledgements(PORT, &self.channel).await?.into_iter().collect())
    }

    /// Waits until this many packets were received here.
    ///
    /// # Errors
    /// [`DevnetError::Timeout`].
    pub async fn has_received(&self, packets: usize, within: Duration) -> Result<(), DevnetError> {
        let what = format!("{packets} packets received on {}", self.channel);
        until(&what, within, async || Ok((self.received().await?.len() >= packets).then_some(()))).await
    }

    /// Every packet message in this chain's blocks up to now.
    ///
    /// # Errors
    /// As [`History::read`].
    pub async fn history(&self) -> Result<History, DevnetError> {
        History::read(&self.node).await
    }
}

impl Link {
    /// Waits until nothing is open in either direction: every packet is acknowledged or timed out.
    ///
    /// # Errors
    /// [`DevnetError::Timeout`] with what is open.
    pub async fn settled(&self, within: Duration) -> Result<(), DevnetError> {
        let what = format!("no open packet on {} and {}", self.a.channel, self.b.channel);
        until(&what, within, async || {
            let (a, b) = (self.a.open().await?, self.b.open().await?);
            if a.is_empty() && b.is_empty() {
                return Ok(Some(()));
            }
            Err(DevnetError::decode("open packets", format!("{} from a, {} from b", some(&a), some(&b))))
        })
        .await
    }

    /// What `denom` of the first chain is called on the second.
    #[must_use]
    pub fn voucher_on_b(&self, denom: &str) -> String {
        voucher(&self.b.channel, denom)
    }

    /// What `denom` of the second chain is called on the first.
    #[must_use]
    pub fn voucher_on_a(&self, denom: &str) -> String {
        voucher(&self.a.channel, denom)
    }
}

fn some(sequences: &[u64]) -> String {
    let shown: Vec<String> = sequences.iter().take(10).map(u64::to_string).collect();
    format!("{} [{}{}]", sequences.len(), shown.join(" "), if sequences.len() > 10 { " ..." } else { "" })
}
