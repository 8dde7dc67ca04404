//! A real Cosmos chain and a real Substrate chain: the path between them, and what is relayed over it.
//!
//! The Cosmos chain verifies GRANDPA in the contract that governance stored there; the Substrate chain verifies Tendermint headers in its
//! runtime.

// What the set-up functions of tests can't get fails the test, as in the tests themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::TcpListener;
use std::time::Duration;

use relayer_tests::devnet::substrate::{SubstrateChain, SubstrateSpec};
use relayer_tests::devnet::{ChainSpec, Contract, RelayerConfig, STAKE, SimdChain, Transfer, User, Wallet};
use relayer_tests::relay::{End, Relayer, channels, escrow_address, until, voucher};

const WAIT: Duration = Duration::from_secs(120);
const PATH: &str = "simd-substrate";
const FUNDS: u128 = 1_000_000_000;
/// `//Bob` of Substrate's development accounts, and his address.
const BOB: (&str, &str) = ("//Bob", "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty");

/// Both chains with an open path, and the relayer of it.
struct Line {
    simd: SimdChain,
    substrate: SubstrateChain,
    relayer: Relayer,
    alice: User,
    /// The channel on the Cosmos chain, and its name on the other.
    on_simd: End,
    on_substrate: String,
    _dir: tempfile::TempDir,
}

impl Line {
    async fn open() -> Self {
        let contract = tokio::task::spawn_blocking(Contract::build_or_find).await.unwrap().unwrap();
        let [ours, user] = ["relayer", "user-a"].map(|name| Wallet::named(name).unwrap());
        let spec = ChainSpec::new("sim-a-1").voting_seconds(2);
        let spec = spec.wallet(ours.clone(), &[(STAKE, FUNDS)]).wallet(user.clone(), &[(STAKE, FUNDS)]);
        let simd = SimdChain::start(spec).await.unwrap();
        let substrate = SubstrateChain::start(SubstrateSpec::validators(4)).await.unwrap();
        simd.store_code(&contract).await.unwrap();

        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), &simd, &substrate, &contract);
        let environment =
            [("RELAYER_TEST_RELAYER", ours.mnemonic()), ("RELAYER_TEST_SURI", "//Alice"), ("RELAYER_TEST_BOB", BOB.0)];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let relayer = Relayer::new(config, environment).unwrap();
        relayer.succeed(&["path", "create", PATH]).await.unwrap();
        let ids = channels(&relayer.config.file, PATH).unwrap();
        let (channel, on_substrate) = ids.channels[0].clone();
        let alice = simd.user(&user);
        let on_simd = End { node: simd.node().clone(), channel };
        Self { simd, substrate, relayer, alice, on_simd, on_substrate, _dir: dir }
    }

    /// What Bob sends from the Substrate chain.
    async fn bob_sends(&self, coin: &str) {
        let to = self.alice.address();
        let words = ["tx", "transfer", "--chain", "substrate-test", "--channel", &self.on_substrate];
        let more = ["--amount", coin, "--to", to, "--key-env", "RELAYER_TEST_BOB"];
        self.relayer.succeed(&[words.as_slice(), more.as_slice()].concat()).await.unwrap();
    }

    /// Nothing that left the Cosmos chain is open.
    async fn settled(&self) {
        until("the Cosmos chain's packets are acknowledged", WAIT, async || {
            Ok(self.on_simd.open().await?.is_empty().then_some(()))
        })
        .await
        .unwrap();
    }

    async fn alice_has(&self, denom: &str, amount: u128) {
        until(&format!("{amount} {denom}"), WAIT, async || {
            Ok((self.simd.balance(self.alice.address(), denom).await? == amount).then_some(()))
        })
        .await
        .unwrap();
    }
}

fn config(dir: &std::path::Path, simd: &SimdChain, substrate: &SubstrateChain, contract: &Contract) -> RelayerConfig {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (admin, file, store) = (format!("127.0.0.1:{port}"), dir.join("relayer.toml"), dir.join("store"));
    let (rpc, urls, checksum) = (simd.rpc_url(), substrate.rpc_urls(), hex::encode(contract.checksum()));
    let text = format!(
        r#"
[global]
admin = {admin:?}

[store]
dir = {store:?}

[limits]
requests_per_second = 2000
burst = 2000

[[chains]]
id = "sim-a-1"
rpc = [{rpc:?}]
account_prefix = "cosmos"
block_time_ms = 550
key = {{ source = "env", env = "RELAYER_TEST_RELAYER" }}
gas = {{ price = "0stake" }}

[[chains]]
id = "substrate-test"
type = "substrate"
rpc = {urls:?}
block_time_ms = 1000
key = {{ source = "env", env = "RELAYER_TEST_SURI" }}
gas = {{ tip = "0unit" }}
client = {{ checksum = {checksum:?} }}

[[paths]]
name = "{PATH}"
a = {{ chain = "sim-a-1" }}
b = {{ chain = "substrate-test" }}

[[paths.channels]]
a = {{ port = "transfer" }}
b = {{ port = "transfer" }}
"#
    );
    std::fs::write(&file, text).unwrap();
    RelayerConfig { file, admin, store }
}

#[tokio::test(flavor = "multi_thread")]
async fn coins_cross_between_the_families_and_vouchers_come_home() {
    let mut line = Line::open().await;
    line.relayer.start().await.unwrap();
    let funds = line.simd.balance(line.alice.address(), STAKE).await.unwrap();
    let escrow = escrow_address(&line.on_simd.channel).unwrap();

    line.alice.transfer(&Transfer::new(&line.on_simd.channel, 1_000, STAKE, BOB.1)).await.unwrap();
    line.settled().await;
    assert_eq!(line.simd.balance(&escrow, STAKE).await.unwrap(), 1_000);

    // What came over goes home: Bob had it.
    line.bob_sends(&format!("400transfer/{}/{STAKE}", line.on_substrate)).await;
    line.alice_has(STAKE, funds - 600).await;
    assert_eq!(line.simd.balance(&escrow, STAKE).await.unwrap(), 600);

    // And the other chain's own coin, there and back.
    let unit = voucher(&line.on_simd.channel, "unit");
    line.bob_sends("700unit").await;
    line.alice_has(&unit, 700).await;
    line.alice.transfer(&Transfer::new(&line.on_simd.channel, 300, &unit, BOB.1)).await.unwrap();
    line.settled().await;
    line.alice_has(&unit, 400).await;

    // Nobody can receive this: it is refunded.
    line.alice.transfer(&Transfer::new(&line.on_simd.channel, 50, STAKE, "nobody")).await.unwrap();
    line.settled().await;
    line.alice_has(STAKE, funds - 600).await;
    assert!(line.relayer.runs() && !line.relayer.log().contains("panicked"));
}
