//! A chain's home folder: settings, keys and genesis, written from the template that the build left beside the binary.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;
use toml_edit::DocumentMut;

use super::genesis::{genesis, validator_key_file};
use super::process::log_tail;
use super::spec::{ChainSpec, Setting};
use crate::{DevnetError, limits};

/// The home folder of one chain, removed when dropped.
#[derive(Debug)]
pub(super) struct Home {
    dir: TempDir,
}

/// The addresses a node listens on, all on loopback.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) rpc: u16,
    pub(super) p2p: u16,
}

impl Home {
    /// Writes a complete home for the chain.
    pub(super) fn create(binary: &Path, spec: &ChainSpec) -> Result<Self, DevnetError> {
        let template = binary.with_file_name("template");
        let dir = tempfile::Builder::new()
            .prefix(&format!("{}-", spec.id))
            .tempdir()
            .map_err(DevnetError::io("making a temporary folder"))?;
        let home = Self { dir };
        for folder in ["config", "data", "tmp"] {
            std::fs::create_dir(home.path().join(folder)).map_err(DevnetError::io(folder))?;
        }
        for file in ["config/client.toml", "config/node_key.json", "data/priv_validator_state.json"] {
            std::fs::copy(template.join(file), home.path().join(file)).map_err(DevnetError::io(file))?;
        }
        let document = genesis(&template.join("config/genesis.json"), spec)?;
        home.write("config/genesis.json", document.to_string())?;
        home.write("config/priv_validator_key.json", validator_key_file(&spec.id).to_string())?;
        settle(&template, home.path(), "config/app.toml", app_settings(spec), &spec.app_settings)?;
        settle(&template, home.path(), "config/config.toml", node_settings(spec), &spec.node_settings)?;
        Ok(home)
    }

    /// Points the node at these ports.
    pub(super) fn listen(&self, ports: Ports) -> Result<(), DevnetError> {
        let settings = [
            ("rpc.laddr", Setting::Text(format!("tcp://127.0.0.1:{}", ports.rpc))),
            ("p2p.laddr", Setting::Text(format!("tcp://127.0.0.1:{}", ports.p2p))),
        ];
        settle(self.path(), self.path(), "config/config.toml", settings.to_vec(), &[])
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path().join("simd.log")
    }

    /// The end of the node's log.
    pub(super) fn log_tail(&self) -> String {
        log_tail(&self.log())
    }

    fn write(&self, file: &str, content: String) -> Result<(), DevnetError> {
        std::fs::write(self.path().join(file), content).map_err(DevnetError::io(file))
    }
}

fn node_settings(spec: &ChainSpec) -> Vec<(&'static str, Setting)> {
    vec![
        ("consensus.timeout_propose", "500ms".into()),
        ("consensus.timeout_prevote", "200ms".into()),
        ("consensus.timeout_precommit", "200ms".into()),
        ("consensus.timeout_commit", format!("{}ms", spec.timeout_commit_ms).into()),
        ("rpc.pprof_laddr", "".into()),
        ("rpc.max_body_bytes", Setting::Int(10_000_000)),
        ("p2p.addr_book_strict", false.into()),
        ("p2p.pex", false.into()),
        // The default writes every index event of the RPC server's requests to the log, too.
        ("log_level", "info".into()),
    ]
}

fn app_settings(spec: &ChainSpec) -> Vec<(&'static str, Setting)> {
    vec![
        ("minimum-gas-prices", spec.min_gas_prices.clone().into()),
        // Every query goes through the node's JSON-RPC. The gRPC server is on only because the node knows the service
        // that simulates transactions just then; nobody asks at its port.
        ("grpc.enable", true.into()),
        ("grpc.address", "127.0.0.1:0".into()),
        ("grpc-web.enable", false.into()),
        ("api.enable", false.into()),
        // Old heights stay provable.
        ("pruning", "nothing".into()),
    ]
}

/// Copies a TOML file of one home to another with settings changed. A key that isn't there is an error: a misspelt
/// setting would leave a test without its premise.
fn settle(
    from: &Path,
    to: &Path,
    file: &str,
    settings: Vec<(&'static str, Setting)>,
    more: &[(String, Setting)],
) -> Result<(), DevnetError> {
    let wrong = |reason: String| DevnetError::Template { file: from.join(file), reason };
    let text = std::fs::read_to_string(from.join(file)).map_err(DevnetError::io(file))?;
    let mut doc: DocumentMut = text.parse().map_err(|e: toml_edit::TomlError| wrong(e.to_string()))?;
    let more = more.iter().map(|(key, value)| (key.as_str(), value.clone()));
    for (key, value) in settings.into_iter().chain(more) {
        let mut item = doc.as_item_mut();
        for part in key.split('.') {
            // Not by index, which would make the missing key.
            let table = item.as_table_like_mut();
            item = table.and_then(|table| table.get_mut(part)).ok_or_else(|| wrong(format!("no setting {key}")))?;
        }
        *item = match value {
            Setting::Int(number) => toml_edit::value(number),
            Setting::Text(text) => toml_edit::value(text),
            Setting::Bool(switch) => toml_edit::value(switch),
        };
    }
    std::fs::write(to.join(file), doc.to_string()).map_err(DevnetError::io(file))
}

/// Two ports that are free now.
pub(super) fn free_ports() -> Result<Ports, DevnetError> {
    Ok(Ports { rpc: free_port()?, p2p: free_port()? })
}

/// A loopback port that is free now.
pub(super) fn free_port() -> Result<u16, DevnetError> {
    // Each process starts elsewhere in the range, and none looks at a port twice before it has seen them all.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let range = u32::from(limits::PORTS.end - limits::PORTS.start);
    let start = std::process::id().wrapping_mul(61);
    let mut free = (0..range).filter_map(|_| {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % range;
        let port = limits::PORTS.start + u16::try_from(offset).ok()?;
        TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
    });
    let none = || DevnetError::io("choosing a port on loopback")(std::io::ErrorKind::AddrInUse.into());
    free.next().ok_or_else(none)
}
