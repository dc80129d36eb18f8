//! Whether a server of this machine answers, and as what.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::graph::ServerKind;

/// How long a server of this machine may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most that is read of an answer.
const MOST_BYTES: u64 = 16 * 1024;

/// What tells an S3 server from another HTTP server, of which one is in each of its answers.
const S3: [&str; 4] = ["x-amz-", "X-Amz-", "<ListAllMyBucketsResult", "<Error>"];

/// What is behind a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing takes connections.
    Nobody,
    /// A server of the kind.
    Server,
    /// A server of the kind, which does not take the password.
    Refuses,
    /// Something else, or something that says nothing.
    Other,
}

/// Asks what is at this port of the machine in the words of the kind of server that should be there. With a password it
/// is the one that this Redis is to take.
pub(super) async fn answer(port: u16, kind: ServerKind, password: Option<&str>) -> Answer {
    let authenticate =
        password.map(|password| format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\n", password.len()));
    let (question, beginnings): (&[u8], &[&str]) = match (kind, &authenticate) {
        (ServerKind::Redis, Some(authenticate)) => (authenticate.as_bytes(), &["+OK"]),
        // A server that wants a password first says so as an error.
        (ServerKind::Redis, None) => (b"PING\r\n", &["+PONG", "-"]),
        (ServerKind::Rtsp, _) => (b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", &["RTSP/"]),
        (ServerKind::S3 | ServerKind::S3Client | ServerKind::Player, _) => {
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", &["HTTP/"])
        }
    };
    let is_http = beginnings == ["HTTP/"];
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(Ok(mut tcp)) = timeout(PATIENCE, TcpStream::connect(address)).await else { return Answer::Nobody };
    let conversation = async {
        tcp.write_all(question).await?;
        let mut bytes = Vec::new();
        // The others leave the connection open, and say who they are at once.
        match is_http {
            true => tcp.take(MOST_BYTES).read_to_end(&mut bytes).await?,
            false => tcp.take(MOST_BYTES).read_buf(&mut bytes).await?,
        };
        std::io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match timeout(PATIENCE, conversation).await {
        // S3 answers with headers of its own, or at least with one of its documents.
        Ok(Ok(text)) if is_http && !S3.iter().any(|sign| text.contains(sign)) => Answer::Other,
        Ok(Ok(text)) if beginnings.iter().any(|beginning| text.starts_with(beginning)) => Answer::Server,
        // An error in Redis' protocol.
        Ok(Ok(text)) if authenticate.is_some() && text.starts_with('-') => Answer::Refuses,
        _ => Answer::Other,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::store::{Store, StoreConfig};

    #[tokio::test]
    async fn servers_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::start(StoreConfig::new(folder.path())).await.expect("a store");
        let port = store.endpoint().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        assert_eq!(answer(port, ServerKind::S3, None).await, Answer::Server);
        assert_eq!(answer(port, ServerKind::Redis, None).await, Answer::Other);
        let web = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = web.local_addr().expect("it is bound").port();
        let served = tokio::spawn(async move {
            let (mut client, _) = web.accept().await.expect("a client");
            let _ = client.read(&mut [0; 1024]).await;
            client.write_all(b"HTTP/1.0 200 OK\r\n\r\n<html>").await.expect("it listens");
        });
        assert_eq!(answer(port, ServerKind::S3, None).await, Answer::Other);
        served.await.expect("it has answered");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        assert_eq!(answer(port, ServerKind::Redis, None).await, Answer::Nobody);
    }
}
