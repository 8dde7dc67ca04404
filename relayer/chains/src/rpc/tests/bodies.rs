//! What a hostile node can send instead of an answer.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::*;

const CAP: usize = 1024 * 1024;

fn capped(url: EndpointUrl) -> RpcClient {
    client(RpcSettings { body_bytes: CAP, timeout: Duration::from_secs(30), ..once(url) })
}

async fn error_of(url: EndpointUrl) -> RpcErrorKind {
    capped(url).call("status", json!({})).await.unwrap_err().kind
}

/// Zeros as a raw deflate stream of fixed Huffman codes: a literal, then (length 258, distance 1) again and again.
fn gzip_of_zeros(repeats: usize) -> Vec<u8> {
    let mut bits = vec![true, true, false]; // final block, fixed codes (01, least bit first)
    bits.extend([false, false, true, true, false, false, false, false]); // literal 0
    for _ in 0..repeats {
        bits.extend([true, true, false, false, false, true, false, true]); // length 258
        bits.extend([false; 5]); // distance 1
    }
    bits.extend([false; 7]); // end of block
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    out.extend(bits.chunks(8).map(|byte| byte.iter().rev().fold(0u8, |b, bit| b << 1 | u8::from(*bit))));
    out
}

async fn write_all(mut stream: TcpStream, pieces: Vec<Vec<u8>>) {
    for piece in pieces {
        if stream.write_all(&piece).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn attack_42_an_announced_oversized_body_is_refused_before_it_is_read() {
    let url = raw_node(|mut stream| async move {
        // Announces more than the cap, sends nothing: only the header can be the reason.
        stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", CAP + 1).as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    assert_eq!(error_of(url).await, RpcErrorKind::TooLarge { limit: CAP });
}

#[tokio::test]
async fn attack_42_a_body_without_end_is_cut_at_the_cap() {
    let url = raw_node(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        let chunk = [b"4000\r\n".as_slice(), &[b' '; 0x4000], b"\r\n"].concat();
        while stream.write_all(&chunk).await.is_ok() {}
    })
    .await;
    assert_eq!(error_of(url).await, RpcErrorKind::TooLarge { limit: CAP });
}

#[tokio::test]
async fn attack_42_a_gzip_bomb_is_cut_at_the_cap_of_decompressed_bytes() {
    let bomb = gzip_of_zeros(40_000); // 10 MB in 65 kB
    assert!(bomb.len() < CAP / 10);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bomb.len());
    let pieces = vec![head.into_bytes(), bomb];
    let url = raw_node(move |stream| write_all(stream, pieces.clone())).await;
    assert_eq!(error_of(url).await, RpcErrorKind::TooLarge { limit: CAP });
}

#[tokio::test]
async fn a_cut_body_is_a_broken_connection() {
    let pieces = vec![b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"jsonrpc\":".to_vec()];
    let url = raw_node(move |stream| write_all(stream, pieces.clone())).await;
    let error = error_of(url).await;
    assert!(matches!(error, RpcErrorKind::Unavailable { why: Unavailable::Broken(_), .. }), "{error:?}");
}

#[tokio::test]
async fn garbage_is_malformed_with_its_place() {
    for (garbage, kind) in [
        ("<html>", Malformed::NotJson { line: 1, column: 1 }),
        ("", Malformed::NotJson { line: 1, column: 0 }),
        (r#"{"jsonrpc":"2.0","id":1,"result":{"#, Malformed::NotJson { line: 1, column: 34 }),
        (r#"{"jsonrpc":"2.0","id":1}"#, Malformed::ResultOrError),
        (r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1}}"#, Malformed::ResultOrError),
        (r#"{"jsonrpc":"2.0","id":77,"result":1}"#, Malformed::UnknownId),
        (r#"{"jsonrpc":"2.0","id":"1","result":1}"#, Malformed::UnknownId),
        (r#"{"id":1,"error":{"code":"x"}}"#, Malformed::Shape { line: 1, column: 27 }),
    ] {
        let node = Node::start(move |_, _| garbage.into_response()).await;
        assert_eq!(error_of(node.url).await, RpcErrorKind::Malformed(kind), "{garbage}");
    }
}

#[tokio::test]
async fn a_null_result_is_a_result() {
    let node = Node::start(|_, body| ok(&json!({ "id": body["id"], "result": null }))).await;
    assert_eq!(client(once(node.url)).call("state_getStorage", json!([])).await.unwrap().result.get(), "null");
}

#[tokio::test]
async fn attack_43_slowloris_ends_at_the_requests_timeout() {
    let url = raw_node(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await.unwrap();
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let after = Duration::from_millis(200);
    let error = client(RpcSettings { timeout: after, ..once(url) }).call("status", json!({})).await.unwrap_err();
    assert_eq!(error.kind, RpcErrorKind::Timeout { after });
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Node::start(|_, body| ok(&echo(&body))).await;
    let target = elsewhere.url.label();
    let node =
        Node::start(move |_, _| (StatusCode::TEMPORARY_REDIRECT, [("location", target.clone())]).into_response());
    let error = client(once(node.await.url)).call("status", json!({})).await.unwrap_err();
    assert_eq!(error.kind, RpcErrorKind::Unavailable { why: Unavailable::Status(307), retry_after: None });
    assert_eq!(elsewhere.requests(), 0);
}

#[tokio::test]
async fn attack_48_no_error_debug_text_or_label_shows_what_is_secret_in_a_url() {
    let nobody = nobody().await;
    let address = nobody.label().replace("http://", "");
    let secret = |scheme: &str| format!("{scheme}://alice:hunter2@{address}/v1/t0ken?key=t0ken");
    let url: EndpointUrl = secret("http").parse().unwrap();
    let rpc = client(once(url.clone()));
    let error = rpc.call("status", json!({})).await.unwrap_err();
    let node = Node::start(|_, _| "<html>".into_response()).await;
    let host = node.url.label().replace("http://", "http://alice:hunter2@");
    let garbage = client(once(host.parse().unwrap())).call("status", json!({})).await.unwrap_err();
    let auth = node.seen()[0].headers["authorization"].to_str().unwrap().to_owned();
    assert_eq!(auth, "Basic YWxpY2U6aHVudGVyMg=="); // it does reach the node
    for text in [
        format!("{error} {error:?} {garbage} {garbage:?} {url} {url:?} {:?} {:?}", rpc.health(), rpc),
        format!("{:?} {:?}", EndpointSettings::new(url.clone()), url.websocket()),
        format!("{:?}", "ftp://alice:hunter2@x/t0ken".parse::<EndpointUrl>()),
    ] {
        for word in ["alice", "hunter2", "t0ken", "v1"] {
            assert!(!text.contains(word), "{word} in {text}");
        }
    }
    assert!(error.to_string().contains(&address), "{error}");
}
