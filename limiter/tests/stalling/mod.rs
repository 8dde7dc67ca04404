//! A connection to a store that answers nothing for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A way to the server that stalls when it is told to.
pub(crate) async fn way_to(url: &str) -> (String, Arc<AtomicBool>, JoinSet<()>) {
    let to = url.trim_start_matches("redis://").trim_end_matches('/').to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let from = format!("redis://{}/", listener.local_addr().expect("an address"));
    let stalled = Arc::new(AtomicBool::new(false));
    let (gate, mut tasks) = (stalled.clone(), JoinSet::new());
    tasks.spawn(async move {
        let mut pipes = JoinSet::new();
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(&to).await.expect("the server");
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            pipes.spawn(pipe(near_in, far_out, gate.clone()));
            pipes.spawn(pipe(far_in, near_out, gate.clone()));
        }
    });
    (from, stalled, tasks)
}

async fn pipe(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, stalled: Arc<AtomicBool>) {
    let mut bytes = vec![0; 4_096];
    while let Ok(n @ 1..) = from.read(&mut bytes).await {
        while stalled.load(Relaxed) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if to.write_all(&bytes[..n]).await.is_err() {
            return;
        }
    }
}
