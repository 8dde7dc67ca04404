//! Real servers for the tests, on free loopback ports, in scratch directories, ended by their process id.
#![allow(dead_code)] // each test file uses its part
#![allow(clippy::expect_used, clippy::panic)] // test code outside of #[test]

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A process that ends with its handle.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    dir: TempDir,
    program: &'static str,
    args: Vec<String>,
}

impl Server {
    fn start(program: &'static str, package: &str, port: u16, dir: TempDir, args: Vec<String>) -> Self {
        let child = spawn(program, package, dir.path(), &args);
        Self { child, port, dir, program, args }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
    pub(crate) fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// At once, as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Again, on the same port and directory.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.program, self.program, self.dir.path(), &self.args);
        until("the server is back", || answers(self.port));
    }

    /// Again, with other arguments after the first `keep`.
    pub(crate) fn restart_with(&mut self, keep: usize, more: &[&str]) {
        self.args.truncate(keep);
        self.args.extend(more.iter().map(|arg| (*arg).to_owned()));
        self.restart();
    }

    /// A signal by its name: STOP makes a server that accepts and never answers.
    pub(crate) fn signal(&self, name: &str) {
        let status =
            Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().expect("kill");
        assert!(status.success());
    }

    /// redis-cli's answer.
    pub(crate) fn cli(&self, args: &[&str]) -> String {
        cli(self.port, args)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) fn cli(port: u16, args: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-p", &port.to_string()]).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("redis-cli: {error}; install it: apt-get install redis-server"));
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn spawn(program: &str, package: &str, dir: &Path, args: &[String]) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).expect("log file");
    let errors = log.try_clone().expect("log file");
    Command::new(program)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .unwrap_or_else(|error| panic!("{program} can't be started ({error}); install it: apt-get install {package}"))
}

/// A port that was free a moment ago, and whose cluster bus port (10,000 above) is one.
pub(crate) fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

fn answers(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_millis(200)).is_ok()
}

/// Waits for a condition; a bound of 30 s on what takes well under one.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        sleep(Duration::from_millis(10));
    }
}

/// The same without blocking the runtime.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn redis_args(port: u16, more: &[&str]) -> Vec<String> {
    let port = port.to_string();
    let base = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"];
    base.iter().chain(more).map(|arg| (*arg).to_owned()).collect()
}

/// A redis-server without persistence: killed, it comes back empty.
pub(crate) fn redis(more: &[&str]) -> Server {
    let port = free_port();
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start("redis-server", "redis-server", port, dir, redis_args(port, more));
    until("redis-server answers", || server.cli(&["ping"]).starts_with("PONG"));
    server
}

/// A redis-server that speaks TLS only, with these files.
pub(crate) fn redis_tls(certificate: &Path, key: &Path) -> Server {
    let port = free_port();
    let dir = tempfile::tempdir().expect("a directory");
    let text = |path: &Path| path.display().to_string();
    let (tls_port, certificate, key) = (port.to_string(), text(certificate), text(key));
    let more =
        ["--tls-port", &tls_port, "--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-auth-clients", "no"];
    let server = Server::start("redis-server", "redis-server", port, dir, redis_args(0, &more));
    until("redis-server listens", || answers(port));
    server
}

/// How many arguments [`redis`] gives besides those of its caller.
pub(crate) const REDIS_ARGS: usize = 10;

/// The module redis-cell, as the crate registry has it, built once into the tests' cache.
pub(crate) fn redis_cell() -> String {
    let built = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redis-cell/build")).output().expect("bash");
    assert!(built.status.success(), "redis-cell can't be built: {}", String::from_utf8_lossy(&built.stderr));
    String::from_utf8(built.stdout).expect("a path").trim().to_owned()
}

/// Three masters that share the slots.
pub(crate) fn redis_cluster() -> Vec<Server> {
    let more = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
    let nodes: Vec<_> = (0..3).map(|_| redis(&more)).collect();
    let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let mut args = vec!["--cluster", "create"];
    args.extend(addresses.iter().map(String::as_str));
    args.push("--cluster-yes");
    let said = cli(nodes[0].port, &args);
    let sees_all = |node: &Server| {
        let info = node.cli(&["cluster", "info"]);
        info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
    };
    until(&format!("the cluster is one\n{said}"), || nodes.iter().all(sees_all));
    nodes
}

/// A Sentinel that watches `master` alone, quick to fail over.
pub(crate) fn sentinel(master: u16) -> Server {
    let port = free_port();
    let dir = tempfile::tempdir().expect("a directory");
    let config = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor budgets 127.0.0.1 {master} 1\n\
         sentinel down-after-milliseconds budgets 500\nsentinel failover-timeout budgets 3000\n"
    );
    let path = dir.path().join("sentinel.conf");
    fs::write(&path, config).expect("its configuration");
    let args = vec![path.display().to_string(), "--sentinel".to_owned()];
    let server = Server::start("redis-server", "redis-server", port, dir, args);
    until("the Sentinel answers", || server.cli(&["ping"]).starts_with("PONG"));
    server
}

/// One etcd.
pub(crate) fn etcd() -> Server {
    let (port, peer) = (free_port(), free_port());
    let dir = tempfile::tempdir().expect("a directory");
    let client = format!("http://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{peer}");
    let args = [
        "--name",
        "one",
        "--data-dir",
        "data",
        "--listen-client-urls",
        &client,
        "--advertise-client-urls",
        &client,
        "--listen-peer-urls",
        &peer,
        "--initial-advertise-peer-urls",
        &peer,
        "--initial-cluster",
        &format!("one={peer}"),
        "--log-level",
        "error",
    ];
    let args = args.iter().map(|arg| (*arg).to_owned()).collect();
    let server = Server::start("etcd", "etcd-server", port, dir, args);
    until("etcd listens", || answers(port));
    server
}

/// An HTTP client without the environment's proxies. Plain HTTP, but the library wants its TLS named.
pub(crate) fn client() -> reqwest::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}
