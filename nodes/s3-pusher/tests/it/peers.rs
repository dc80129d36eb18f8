//! Servers that are not quite S3: endless answers, no ETags, limits, certificates.

use msight_node::health::Health;
use msight_s3_pusher::connection::{Addressing, Connection};
use msight_s3_pusher::http::MAX_ANSWER;
use msight_s3_pusher::retry::RetryPolicy;
use msight_s3_pusher::uploader::Uploader;
use msight_test_support::s3::{Fault, Server};
use msight_test_support::until;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{
    Log, STEM, both, bucket, connection, finish, json, mp4, options, policy, segment, stats, submit,
    uploader, uploader_with,
};

/// A server whose every answer begins with this head and goes on without end, and the bytes that it could send.
async fn endless(head: &'static str) -> (SocketAddr, Arc<AtomicUsize>, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, sent) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = sent.clone();
    let serving = tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let count = count.clone();
            tokio::spawn(async move {
                let mut request = vec![0; 64 * 1024];
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(head.as_bytes()).await;
                // As one chunk of 1 MiB after the other; in a plain body it is just text.
                let mut chunk = b"100000\r\n".to_vec();
                chunk.resize(chunk.len() + (1 << 20), b' ');
                chunk.extend_from_slice(b"\r\n");
                while socket.write_all(&chunk).await.is_ok() {
                    count.fetch_add(chunk.len(), Ordering::Relaxed);
                }
            });
        }
    });
    (address, sent, AbortOnDropHandle::new(serving))
}

#[tokio::test]
async fn endless_answers_are_cut() {
    for (head, reason) in [
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 100000000000\r\n\r\n<Error><Code>", "denied"),
        ("HTTP/1.1 403 Forbidden\r\ntransfer-encoding: chunked\r\n\r\n", "denied"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "transient"),
        ("HTTP/1.1 500 No\r\ncontent-length: 100000000000\r\n\r\n", "transient"),
    ] {
        let log = Log::capture();
        let (address, sent, _serving) = endless(head).await;
        let elsewhere = Server::start().await;
        let connection =
            Connection { endpoint_url: Some(format!("http://{address}")), ..connection(&elsewhere) };
        let policy =
            RetryPolicy { probe: Duration::from_secs(3600), first: Duration::from_secs(3600), ..policy() };
        let mut uploader = uploader_with(connection, options(), policy);
        submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
        until("the refusal is reported", async || !log.lines("upload ").is_empty()).await;
        let said = log.lines("upload ").remove(0);
        assert!(said.contains(&format!("reason=\"{reason}\"")), "{said}");
        // What is under way in the buffers of both sockets counts too.
        let bytes = sent.load(Ordering::Relaxed);
        assert!(bytes < MAX_ANSWER + (32 << 20), "{bytes} bytes were read");
        assert_eq!(uploader.finish(std::future::ready(())).await.len(), 1);
    }
}

#[tokio::test]
async fn a_server_without_etags_stores_as_well() {
    let log = Log::capture();
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::NoEtag, |seen| seen.method == "PUT");
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
    assert_eq!(
        (server.count(mp4), server.count(json), server.count(|seen| seen.method == "HEAD")),
        (1, 1, 2)
    );
    assert_eq!((log.lines("no ETag").len(), log.lines("failed").len()), (1, 0));
}

#[tokio::test]
async fn a_segment_that_is_too_large_gives_its_room_to_others() {
    let log = Log::capture();
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::Answer(413, ""), |seen| mp4(seen) && seen.path.contains("/17000000"));
    let policy = RetryPolicy { probe: Duration::from_secs(3600), ..policy() };
    // Room for two.
    let mut uploader =
        Uploader::start(bucket(connection(&server), policy), 1, 128 * 1024, stats(), Health::default());
    for second in 0..2 {
        submit(&mut uploader, segment(1_700_000_000.5 + f64::from(second), "too large")).await;
    }
    until("both are refused", async || {
        log.lines("client_max_body_size").len() == 1 && server.count(mp4) == 2
    })
    .await;
    for second in 0..4 {
        submit(&mut uploader, segment(1_700_000_100.5 + f64::from(second), "an mp4")).await;
    }
    until("the others are stored", async || server.keys().len() == 8).await;
    let lost = log.lines("segment lost");
    assert!(!lost.is_empty());
    for word in ["ERROR", "too large", "cam %C3%BC", "2023-11-14T22:13:20.500Z", "2023-11-14T22:13:30.400Z"] {
        assert!(lost[0].contains(word), "{lost:?}");
    }
    let left = uploader.finish(std::future::ready(())).await;
    // The answer for the last of the others may still be on its way.
    let refused = left.iter().filter(|(stem, _)| stem.contains("/17000000")).count();
    assert_eq!(refused + lost.len(), 2, "{left:?}");
}

#[tokio::test]
async fn the_bucket_is_in_the_host_name_if_asked_for() {
    let log = Log::capture();
    let server = Server::start().await;
    let port = server.address.port();
    let virtual_hosted = Connection {
        endpoint_url: Some(format!("http://localhost:{port}")),
        addressing: Addressing::VirtualHosted,
        ..connection(&server)
    };
    // A resolver that knows no names below localhost reports the name that it was asked for; others reach the server.
    let mut uploader = uploader_with(virtual_hosted, options(), policy());
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    let asked = || server.count(|seen| seen.header("host") == Some(&format!("videos.localhost:{port}")));
    until("the host is tried", async || asked() > 0 || !log.lines("cannot be resolved").is_empty()).await;
    assert_eq!(server.count(|seen| seen.path.starts_with("/videos/")), 0);
    uploader.finish(std::future::ready(())).await;

    server.fault(usize::MAX, Fault::Answer(403, "SecondLevelDomainForbidden"), mp4);
    let mut uploader = crate::support::uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    until("the flag is named", async || !log.lines("pass --virtual-hosted").is_empty()).await;
    uploader.finish(std::future::ready(())).await;
}
