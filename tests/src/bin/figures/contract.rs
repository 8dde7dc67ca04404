//! What updates of the GRANDPA client cost as a contract on a real chain, in the chain's gas: its end-to-end test prints that.

use crate::Progress;
use crate::command::figures;
use crate::failure::Failure;

pub(crate) async fn run(progress: Progress) -> Result<(), Failure> {
    progress.line("updates of the 08-wasm contract: 4, 300 and 1,000 authorities");
    figures("cargo test --workspace --locked --test e2e_wasm_client gas -- --nocapture", progress).await
}
