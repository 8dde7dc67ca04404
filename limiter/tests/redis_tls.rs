//! Budgets over a redis-server that speaks TLS, with certificates of an operator's own authority.
#![allow(clippy::expect_used, clippy::panic)] // helpers of tests

mod members;
mod servers;

use std::path::PathBuf;
use std::time::Duration;

use limiter::store::{Budget, By, Charge, Settings, SharedBudgets, Target, Verdict};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use self::members::Member;

/// An authority, and a certificate for loopback that it signed, as files.
struct Authority {
    pem: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("good names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).expect("signed").pem().into_bytes();
        Self { pem, issuer: Issuer::new(params, key), dir: tempfile::tempdir().expect("a directory") }
    }

    /// Certificate and key for a server of this name.
    fn signs(&self, host: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([host.to_owned()]).expect("a good name");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let (pem, private) = (self.dir.path().join("server.pem"), self.dir.path().join("server.key"));
        std::fs::write(&pem, certificate.pem()).expect("written");
        std::fs::write(&private, key.serialize_pem()).expect("written");
        (pem, private)
    }
}

fn settings(address: String, ca: Option<&Authority>) -> Settings {
    let ca = ca.map(|authority| authority.pem.clone());
    Settings { ca, ..Settings::new(Target::Standalone(address), "test", "a") }
}

/// What is told while this member can't use the store.
async fn refused(settings: Settings) -> String {
    let (budgets, worker) = SharedBudgets::new(settings).expect("good settings");
    let worker = tokio::spawn(worker.run());
    let told = || budgets.status().reason.is_some_and(|why| why != "not connected yet");
    servers::eventually("the refusal is told", told).await;
    let status = budgets.status();
    assert!(status.degraded && status.calls == 0, "{status:?}");
    // The share decides meanwhile.
    let budget = Budget::strong("calls", 1_000, Duration::from_secs(1), 100).expect("good");
    let Verdict::Now(pass) = budgets.acquire(&[Charge { budget: &budget, n: 1 }]).await else { panic!("refused") };
    assert_eq!(pass.by(), By::Share);
    pass.sent();
    drop(budgets);
    worker.await.expect("ends");
    status.reason.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_the_operator_s_own_authority_is_used() {
    let authority = Authority::new("ours");
    let (certificate, key) = authority.signs("127.0.0.1");
    let server = servers::redis_tls(&certificate, &key);
    let address = format!("rediss://127.0.0.1:{}", server.port);
    let member = Member::with(settings(address, Some(&authority))).await;
    let budget = Budget::strong("calls", 1_000, Duration::from_secs(1), 100).expect("good");
    tokio::time::sleep(Duration::from_millis(50)).await; // a new store's buckets are empty
    let Verdict::Now(pass) = member.budgets.acquire(&[Charge { budget: &budget, n: 1 }]).await else {
        panic!("refused")
    };
    assert_eq!(pass.by(), By::Store);
    pass.sent();
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_authority_or_name_is_refused_and_told() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (certificate, key) = theirs.signs("127.0.0.1");
    let server = servers::redis_tls(&certificate, &key);
    let address = format!("rediss://127.0.0.1:{}", server.port);
    // Of another private authority, and of none that the public knows.
    for ca in [Some(&ours), None] {
        let why = refused(settings(address.clone(), ca)).await;
        assert!(why.contains("certificate") && why.contains("UnknownIssuer"), "{why}");
    }
    let (certificate, key) = ours.signs("redis.example");
    let server = servers::redis_tls(&certificate, &key);
    let why = refused(settings(format!("rediss://127.0.0.1:{}", server.port), Some(&ours))).await;
    assert!(why.contains("certificate") && why.contains("not valid for name"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_client_of_a_tls_server_and_a_tls_client_of_a_plain_one_are_told() {
    let ours = Authority::new("ours");
    let (certificate, key) = ours.signs("127.0.0.1");
    let (tls, plain) = (servers::redis_tls(&certificate, &key), servers::redis(&[]));
    refused(settings(tls.url(), None)).await;
    refused(settings(plain.url().replace("redis:", "rediss:"), Some(&ours))).await;
}

#[test]
fn an_authority_that_can_t_be_used_is_refused_at_once() {
    let of = |address: &str, ca: &[u8]| {
        let settings = Settings { ca: Some(ca.to_vec()), ..settings(address.to_owned(), None) };
        SharedBudgets::new(settings).map(|_| ()).expect_err("refused").to_string()
    };
    let ours = Authority::new("ours");
    assert!(of("redis://127.0.0.1:1", &ours.pem).contains("no TLS"));
    assert!(of("rediss://127.0.0.1:1", b"").contains("no certificate in it"));
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(of("rediss://127.0.0.1:1", broken).contains("PEM file"));
}
