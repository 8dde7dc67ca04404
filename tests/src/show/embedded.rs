//! Embedded chains on show, and the faults of their nodes one after the other.

use std::convert::Infallible;
use std::time::Duration;

use super::Set;
use crate::DevnetError;
use crate::devnet::embedded::{EmbeddedChain, EmbeddedNet, Fault};
use crate::devnet::{Node, Process};

/// A fault lasts so long, and then there is none for as long.
const EACH: Duration = Duration::from_millis(800);

/// One way in which a node misbehaves.
#[derive(Clone, Copy)]
enum Trouble {
    Fault(Fault, &'static str),
    Halted,
}

const TROUBLES: [Trouble; 13] = [
    Trouble::Fault(
        Fault::TooManyRequests { permille: 500, retry_after_s: None },
        "answers every second request with 429",
    ),
    Trouble::Fault(Fault::ForgedProof, "gives forged proofs"),
    Trouble::Fault(Fault::StalledWebSocket, "keeps its WebSocket open and says nothing"),
    Trouble::Fault(Fault::ForgedHeader, "gives headers that its validators did not sign"),
    Trouble::Fault(Fault::LostTransactions, "takes transactions and loses them"),
    Trouble::Fault(Fault::Slow(Duration::from_millis(400)), "answers 400 ms late"),
    Trouble::Fault(Fault::ForgedEvents, "tells of packets that were not sent"),
    Trouble::Fault(Fault::WrongHeight(3), "says that it is 3 blocks ahead"),
    Trouble::Halted,
    Trouble::Fault(Fault::Cut, "breaks off its answers"),
    Trouble::Fault(Fault::Garbage, "answers what is no JSON"),
    Trouble::Fault(Fault::ForgedAppHash, "changes the application hash of its headers"),
    Trouble::Fault(Fault::BadGateway, "is gone behind its gateway (502)"),
];

impl Trouble {
    fn begin(self, chain: &EmbeddedChain) -> String {
        let does = match self {
            Self::Fault(fault, does) => {
                chain.faults().set(fault);
                does
            }
            Self::Halted => {
                chain.halt();
                "makes no blocks"
            }
        };
        format!("{} {does}", chain.id())
    }

    fn end(self, chain: &EmbeddedChain) {
        match self {
            Self::Fault(fault, _) => chain.faults().lift(fault),
            Self::Halted => chain.resume(),
        }
    }
}

impl Set for EmbeddedNet {
    fn observers(&self) -> [Node; 2] {
        [self.a.observer().clone(), self.b.observer().clone()]
    }

    fn cpu_time(&self) -> Result<Duration, DevnetError> {
        Process::own_cpu_time()
    }

    async fn misbehave(&self, say: &dyn Fn(&str)) -> Infallible {
        loop {
            for (n, trouble) in TROUBLES.into_iter().enumerate() {
                let chain = if n % 2 == 0 { &self.a } else { &self.b };
                say(&trouble.begin(chain));
                tokio::time::sleep(EACH).await;
                trouble.end(chain);
                tokio::time::sleep(EACH).await;
            }
        }
    }

    async fn end(&mut self) -> Vec<DevnetError> {
        self.a.stop();
        self.b.stop();
        Vec::new()
    }
}
