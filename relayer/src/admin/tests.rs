use std::net::SocketAddr;
use std::sync::Arc;

use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::*;
use crate::limits;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

async fn start(token: Option<&str>) -> (AdminServer, watch::Sender<Arc<Snapshot>>) {
    let (sender, snapshot) = watch::channel(Arc::new(Snapshot::default()));
    let sources = Sources { snapshot, metrics: Box::new(|| "relay_up 1\n".into()) };
    let address = "127.0.0.1:0".parse().unwrap();
    (AdminServer::start(address, token.map(Into::into), sources).await.unwrap(), sender)
}

async fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn get(address: SocketAddr, host: &str) -> String {
    raw(address, &format!("GET /status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn health_tells_ready_or_why_not() {
    let (server, sender) = start(None).await;
    let client = AdminClient::new(server.address(), None).unwrap();
    let reasons = vec!["sim-b-1: no endpoint answers".to_owned()];
    sender.send_replace(Arc::new(Snapshot { reasons: reasons.clone(), ..Snapshot::default() }));
    assert_eq!(client.health().await.unwrap(), Health { live: true, ready: false, reasons });
    let answer = raw(server.address(), "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    sender.send_replace(Arc::new(Snapshot { ready: true, ..Snapshot::default() }));
    assert!(client.health().await.unwrap().ready);
    let answer = raw(server.address(), "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn status_and_metrics_arrive_as_they_are() {
    let (server, sender) = start(None).await;
    let chain = ChainStatus {
        id: "sim-a-1".into(),
        height: Some(7),
        balance: Some(u128::MAX.to_string()),
        ..ChainStatus::default()
    };
    let endpoint = EndpointLimits { endpoint: "http://127.0.0.1:1".into(), tokens: 3, ..EndpointLimits::default() };
    let limits = ChainLimits { id: "sim-a-1".into(), endpoints: vec![endpoint], ..ChainLimits::default() };
    let snapshot = Snapshot {
        version: "1".into(),
        at_unix_ms: 5,
        chains: vec![chain],
        limits: vec![limits],
        rules: vec![RuleLimits { rule: "slow".into(), passed: 1, ..RuleLimits::default() }],
        ..Snapshot::default()
    };
    sender.send_replace(Arc::new(snapshot.clone()));
    let client = AdminClient::new(server.address(), None).unwrap();
    assert_eq!(client.status().await.unwrap(), snapshot);
    assert_eq!(client.metrics().await.unwrap(), "relay_up 1\n");
    let told = Limits { at_unix_ms: 5, chains: snapshot.limits, rules: snapshot.rules };
    assert_eq!(client.limits().await.unwrap(), told);
}

#[tokio::test]
async fn a_rebound_name_is_refused() {
    let (server, _sender) = start(None).await;
    let address = server.address();
    let port = address.port();
    for good in [
        "localhost".into(),
        format!("LOCALHOST:{port}"),
        format!("127.0.0.1:{port}"),
        "127.0.0.2".into(),
        format!("[::1]:{port}"),
        "[::1]".into(),
    ] {
        let answer = get(address, &good).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{good}: {answer}");
    }
    for bad in [
        "evil.example",
        "localhost.evil.example",
        "evil.example:80",
        "192.168.0.1",
        "127.0.0.1.evil.example",
        "",
        "[::1",
        "localhost:x",
    ] {
        let answer = get(address, bad).await;
        assert!(answer.starts_with("HTTP/1.1 421"), "{bad}: {answer}");
    }
    let answer =
        raw(address, "GET /status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
            .await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn beyond_loopback_a_token_is_needed_attack_50() {
    let (_sender, snapshot) = watch::channel(Arc::new(Snapshot::default()));
    let sources = || Sources { snapshot: snapshot.clone(), metrics: Box::new(String::new) };
    let everywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let refused = AdminServer::start(everywhere, None, sources()).await.unwrap_err();
    assert_eq!(refused, ServeError::Unprotected { address: everywhere });
    let weak = AdminServer::start(everywhere, Some("short".into()), sources()).await.unwrap_err();
    assert_eq!(weak, ServeError::WeakToken { length: 5 });
}

#[tokio::test]
async fn with_a_token_every_request_bears_it() {
    let (server, _sender) = start(Some(TOKEN)).await;
    let address = server.address();
    let with = |token: Option<&str>| AdminClient::new(address, token.map(SecretString::from)).unwrap();
    assert!(with(Some(TOKEN)).status().await.is_ok());
    for wrong in [None, Some("0123456789abcdef"), Some("")] {
        assert_eq!(with(wrong).status().await.unwrap_err(), AdminError::Token { address });
        assert_eq!(with(wrong).metrics().await.unwrap_err(), AdminError::Token { address });
    }
    assert!(!format!("{:?}", with(Some(TOKEN))).contains(TOKEN));
}

#[tokio::test]
async fn nothing_but_get_of_the_known_pages_is_answered() {
    let (server, _sender) = start(None).await;
    for (request, code) in [("POST /status", "405"), ("GET /", "404"), ("GET /../etc/passwd", "404")] {
        let answer =
            raw(server.address(), &format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{request}: {answer}");
    }
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_the_place_comes_back() {
    let (server, _sender) = start(None).await;
    let mut idle = Vec::new();
    for _ in 0..limits::ADMIN_CONNECTIONS {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 9);
        idle.push(stream);
    }
    assert_eq!(get(server.address(), "localhost").await, "");
    idle.clear();
    // The server sees the end of each connection a moment later.
    while !get(server.address(), "localhost").await.starts_with("HTTP/1.1 200") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_closed_port_is_told_with_what_to_do() {
    let (server, _sender) = start(None).await;
    let address = server.address();
    server.close().await;
    let told = AdminClient::new(address, None).unwrap().status().await.unwrap_err();
    assert_eq!(told, AdminError::Absent { address });
    assert!(told.to_string().contains("relayer start"));
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let (server, sender) = start(None).await;
    let sources = Sources { snapshot: sender.subscribe(), metrics: Box::new(String::new) };
    let told = AdminServer::start(server.address(), None, sources).await.unwrap_err();
    assert!(matches!(told, ServeError::Listen { address, .. } if address == server.address()));
}
