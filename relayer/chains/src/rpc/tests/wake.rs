//! The wake-up stream against a WebSocket node.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::Receiver;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::*;

/// Handles the n-th connection, after the subscription was read and acknowledged.
async fn ws_node<F>(handle: impl Fn(usize, WebSocketStream<TcpStream>) -> F + Send + 'static) -> EndpointUrl
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        for n in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let request = socket.next().await.unwrap().unwrap();
            let request: Value = serde_json::from_str(request.to_text().unwrap()).unwrap();
            assert_eq!(request["params"]["query"], "tm.event='NewBlockHeader'");
            say(&mut socket, json!({"jsonrpc": "2.0", "id": request["id"], "result": {}})).await;
            tokio::spawn(handle(n, socket));
        }
    });
    url
}
async fn say(socket: &mut WebSocketStream<TcpStream>, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}
async fn block(socket: &mut WebSocketStream<TcpStream>, height: u64) {
    let data = json!({"query": "tm.event='NewBlockHeader'", "data": {"height": height}});
    say(socket, json!({"jsonrpc": "2.0", "id": 1, "result": data})).await;
}
fn listen(url: EndpointUrl, silence: Duration) -> (Receiver<Wake>, CancellationToken, tokio::task::JoinHandle<()>) {
    let stop = CancellationToken::new();
    let (task, wakes) = wake_stream(WakeSettings::new_block_headers(url, silence), stop.clone()).unwrap();
    (wakes, stop, tokio::spawn(task))
}
async fn next(wakes: &mut Receiver<Wake>) -> String {
    match wakes.recv().await.unwrap() {
        Wake::Block(raw) => serde_json::from_str::<Value>(raw.get()).unwrap()["data"]["height"].to_string(),
        Wake::Reconnected => "reconnected".into(),
        Wake::Suspect(_) => "suspect".into(),
    }
}

#[tokio::test]
async fn attack_44_a_socket_that_stalls_silently_is_suspected_and_replaced() {
    let url = ws_node(|n, mut socket| async move {
        block(&mut socket, n as u64).await;
        // Open, answering pings, without a block.
        while socket.next().await.is_some() {}
    })
    .await;
    let (mut wakes, ..) = listen(url, Duration::from_millis(200));
    for expected in ["reconnected", "0", "suspect", "reconnected", "1", "suspect", "reconnected", "2"] {
        assert_eq!(next(&mut wakes).await, expected);
    }
}

#[tokio::test]
async fn a_dropped_connection_is_made_anew() {
    let url = ws_node(|n, mut socket| async move { block(&mut socket, n as u64).await }).await;
    let (mut wakes, ..) = listen(url, Duration::from_secs(60));
    for expected in ["reconnected", "0", "suspect", "reconnected", "1"] {
        assert_eq!(next(&mut wakes).await, expected);
    }
}

#[tokio::test]
async fn nobody_listening_and_a_refused_subscription_are_suspect_so_that_the_caller_polls() {
    let (mut wakes, ..) = listen(nobody().await, Duration::from_secs(60));
    assert_eq!(next(&mut wakes).await, "suspect");
    let url = ws_node(|_, mut socket| async move {
        say(&mut socket, json!({"id": 1, "error": {"code": -32603, "message": "max_subscriptions_per_client"}})).await;
    })
    .await;
    let (mut wakes, ..) = listen(url, Duration::from_secs(60));
    assert_eq!(next(&mut wakes).await, "reconnected");
    assert_eq!(next(&mut wakes).await, "suspect");
}

#[tokio::test]
async fn attack_42_an_oversized_event_ends_the_connection() {
    let url = ws_node(|_, mut socket| async move {
        let huge = "x".repeat(limits::WS_MESSAGE_BYTES + 1);
        // The client hangs up in the middle of it.
        drop(socket.send(Message::text(huge)).await);
    })
    .await;
    let (mut wakes, ..) = listen(url, Duration::from_secs(60));
    assert_eq!(next(&mut wakes).await, "reconnected");
    assert_eq!(next(&mut wakes).await, "suspect");
}

#[tokio::test]
async fn a_reader_that_lags_loses_wakes_and_holds_nothing_up() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let url = ws_node(move |_, mut socket| {
        let count = count.clone();
        async move {
            for height in 0..1_000 {
                block(&mut socket, height).await;
            }
            count.store(1_000, Ordering::SeqCst);
            while socket.next().await.is_some() {}
        }
    })
    .await;
    let (mut wakes, stop, task) = listen(url, Duration::from_secs(60));
    while sent.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(next(&mut wakes).await, "reconnected");
    assert_eq!(next(&mut wakes).await, "0");
    assert!(wakes.len() < limits::WAKES);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn it_ends_when_it_is_stopped_or_nobody_reads() {
    let url = ws_node(|_, mut socket| async move { while socket.next().await.is_some() {} }).await;
    let (mut wakes, stop, task) = listen(url.clone(), Duration::from_secs(60));
    assert_eq!(next(&mut wakes).await, "reconnected");
    stop.cancel();
    task.await.unwrap();
    let (wakes, _, task) = listen(url, Duration::from_secs(60));
    drop(wakes);
    task.await.unwrap();
}

#[tokio::test]
async fn attack_43_a_handshake_that_is_throttled_holds_off_the_next_one_and_the_calls() {
    let seen: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let told = seen.clone();
    let url = raw_node(move |mut stream| {
        told.lock().unwrap().push(Instant::now());
        async move {
            let refused = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(refused.as_bytes()).await.unwrap();
        }
    })
    .await;
    let rpc = client(once(url.clone()));
    let paced_by = Some(rpc.clone());
    let settings = WakeSettings { paced_by, ..WakeSettings::new_block_headers(url, Duration::from_secs(60)) };
    let (task, mut wakes) = wake_stream(settings, CancellationToken::new()).unwrap();
    let _task = tokio::spawn(task);
    for _ in 0..3 {
        assert!(matches!(wakes.recv().await.unwrap(), Wake::Suspect("throttled")));
        assert!(rpc.health()[0].limiter.held_until.is_some());
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 3);
    assert!(seen.windows(2).all(|two| two[1] - two[0] >= Duration::from_secs(1)), "{seen:?}");
}

#[tokio::test]
async fn notifications_of_a_named_subscription_wake_with_what_they_hold() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: EndpointUrl = format!("ws://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let request = socket.next().await.unwrap().unwrap();
        let request: Value = serde_json::from_str(request.to_text().unwrap()).unwrap();
        assert_eq!(request["method"], "grandpa_subscribeJustifications");
        say(&mut socket, json!({"jsonrpc": "2.0", "id": request["id"], "result": "Ab3xYz"})).await;
        let told = json!({"subscription": "Ab3xYz", "result": "0x0102"});
        say(&mut socket, json!({"jsonrpc": "2.0", "method": "grandpa_justifications", "params": told})).await;
        while socket.next().await.is_some() {}
    });
    let settings = WakeSettings::justifications(url, Duration::from_secs(60), 1_024);
    let (task, mut wakes) = wake_stream(settings, CancellationToken::new()).unwrap();
    tokio::spawn(task);
    assert!(matches!(wakes.recv().await, Some(Wake::Reconnected)));
    let Some(Wake::Block(told)) = wakes.recv().await else { panic!("not woken") };
    assert_eq!(told.get(), "\"0x0102\"");
}
