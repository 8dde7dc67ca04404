//! `embedded`: one embedded chain as a process of its own. Prints its address, and ends on SIGTERM, Ctrl-C or the end of its input.
//!
//! `embedded --id emb-a-1 --block-ms 250 --account cosmos1...=1000000stake,5samoleans`

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use relayer_tests::DevnetError;
use relayer_tests::devnet::embedded::{EmbeddedChain, EmbeddedSpec};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

/// Runs one embedded chain on loopback until it is told to end.
#[derive(Parser)]
#[command(name = "embedded", version)]
struct Arguments {
    /// The chain id; a number at its end is the revision of its heights.
    #[arg(long)]
    id: String,
    /// The port to listen on; a free one unless given.
    #[arg(long)]
    port: Option<u16>,
    /// Milliseconds from one block to the next.
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..))]
    block_ms: u64,
    /// Least price of one gas, in millionths of stake.
    #[arg(long, default_value_t = 0)]
    min_gas_price_millionths: u128,
    /// An account at genesis: `<address>=<amount><denom>[,<amount><denom>...]`; may be repeated.
    #[arg(long = "account", value_parser = account)]
    accounts: Vec<(String, Vec<(String, u128)>)>,
}

fn account(text: &str) -> Result<(String, Vec<(String, u128)>), String> {
    let (address, coins) = text.split_once('=').ok_or("expected <address>=<amount><denom>")?;
    let coin = |text: &str| {
        let split =
            text.find(|c: char| !c.is_ascii_digit()).ok_or_else(|| format!("{text:?} names no denomination"))?;
        let (amount, denom) = text.split_at(split);
        let amount = amount.parse().map_err(|_| format!("{text:?} does not begin with an amount"))?;
        Ok::<_, String>((denom.to_owned(), amount))
    };
    Ok((address.to_owned(), coins.split(',').map(coin).collect::<Result<_, _>>()?))
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}\nhelp: {}", error.remedy());
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), DevnetError> {
    let mut spec = EmbeddedSpec::new(&arguments.id)
        .block_interval(Duration::from_millis(arguments.block_ms))
        .min_gas_price_millionths(arguments.min_gas_price_millionths);
    spec.accounts = arguments.accounts;
    spec.port = arguments.port;
    let failed = |what: &'static str| move |source| DevnetError::Io { what: what.to_owned(), source };
    let mut term = signal(SignalKind::terminate()).map_err(failed("watching for SIGTERM"))?;
    let chain = EmbeddedChain::start(spec).await?;
    println!("{}", chain.rpc_url());
    let mut input = tokio::io::stdin();
    let mut ignored = [0; 256];
    loop {
        tokio::select! {
            _ = term.recv() => break,
            interrupted = tokio::signal::ctrl_c() => break interrupted.map_err(failed("watching for Ctrl-C"))?,
            read = input.read(&mut ignored) => if read.map_err(failed("reading the input"))? == 0 { break },
            () = tokio::time::sleep(Duration::from_secs(1)) => if let Some(reason) = chain.failure() {
                return Err(DevnetError::Start { chain: chain.id().to_owned(), reason, log: String::new() });
            },
        }
    }
    chain.stop();
    // Reading the input can't be interrupted, and nothing is left to be done.
    std::process::exit(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_and_what_is_none_is_named() {
        let (address, coins) = account("cosmos1x=10stake,5ibc/AB").unwrap();
        assert_eq!((address.as_str(), coins[1].clone()), ("cosmos1x", ("ibc/AB".to_owned(), 5)));
        assert!(account("cosmos1x").is_err());
        assert!(account("cosmos1x=stake").unwrap_err().contains("amount"));
        assert!(account("cosmos1x=12").unwrap_err().contains("denomination"));
    }
}
