//! Checks what kind of server answers at a port.

use std::net::SocketAddr;
use std::time::Duration;

use msight_compose::terminal::cell;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::server::ServerKind;

/// The time limit for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The time limit for the rest of an answer, which has the server's name.
const NAME_PATIENCE: Duration = Duration::from_millis(300);

/// The maximum number of bytes read of an answer.
const MAX_BYTES: usize = 16 * 1024;

/// The signs of an S3 server: each of its answers contains one.
const S3: [&str; 4] = ["x-amz-", "X-Amz-", "<ListAllMyBucketsResult", "<Error>"];

/// The kind of answer at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// No server listens.
    NoServer,
    /// A server of the expected kind.
    Server,
    /// A server of the expected kind that rejects the password.
    Refuses,
    /// Another server, or no answer.
    Other,
}

/// Sends a request of the expected protocol to this address, and also returns what the server calls itself. A Redis is
/// asked to accept `password`, if there is one.
pub(super) async fn answer(
    address: SocketAddr,
    kind: ServerKind,
    password: Option<&str>,
) -> (Answer, String) {
    let (question, beginnings): (String, &[&str]) = match (kind, password) {
        (ServerKind::Redis, Some(password)) => {
            (format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\nINFO server\r\n", password.len()), &["+OK"])
        }
        // A server that requires a password answers with an error.
        (ServerKind::Redis, None) => ("PING\r\nINFO server\r\n".to_owned(), &["+PONG", "-"]),
        (ServerKind::Rtsp, _) => ("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_owned(), &["RTSP/"]),
        (ServerKind::S3 | ServerKind::S3Client | ServerKind::Player, _) => {
            ("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(), &["HTTP/"])
        }
    };
    let judge = |said: &[u8]| {
        let text = String::from_utf8_lossy(said);
        let is_kind = beginnings.iter().any(|beginning| text.starts_with(beginning));
        // S3 servers send headers or documents of their own.
        let is_s3 = beginnings != ["HTTP/"] || S3.iter().any(|sign| text.contains(sign));
        match is_kind && is_s3 {
            true => Answer::Server,
            // An error in Redis' protocol.
            false if password.is_some() && text.starts_with('-') => Answer::Refuses,
            false => Answer::Other,
        }
    };
    let Ok(Ok(mut tcp)) = timeout(PATIENCE, TcpStream::connect(address)).await else {
        return (Answer::NoServer, String::new());
    };
    let mut said = Vec::new();
    let conversation = async {
        tcp.write_all(question.as_bytes()).await?;
        // The server may leave the connection open: check what it has sent so far.
        while said.len() < MAX_BYTES && judge(&said) == Answer::Other && tcp.read_buf(&mut said).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = timeout(PATIENCE, conversation).await;
    let answer = judge(&said);
    if answer == Answer::Server {
        let rest = async {
            let end = if kind == ServerKind::Redis { "\r\nprocess_id:" } else { "\r\n\r\n" };
            while said.len() < MAX_BYTES && !String::from_utf8_lossy(&said).contains(end) {
                if tcp.read_buf(&mut said).await? == 0 {
                    break;
                }
            }
            std::io::Result::Ok(())
        };
        let _ = timeout(NAME_PATIENCE, rest).await;
    }
    (answer, program(kind, &String::from_utf8_lossy(&said)))
}

/// What a server calls itself: the version of a Redis, or the `Server` header of the others.
fn program(kind: ServerKind, said: &str) -> String {
    let value = |name: &str| {
        let line = said
            .lines()
            .find(|line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))?;
        Some(cell(line[name.len()..].trim())).filter(|value| !value.is_empty())
    };
    let (kind, name) = match kind {
        ServerKind::Redis => {
            return value("redis_version:")
                .map_or_else(|| "Redis".to_owned(), |version| format!("Redis {version}"));
        }
        ServerKind::Rtsp | ServerKind::Player => ("RTSP server", value("server:")),
        ServerKind::S3 | ServerKind::S3Client => ("S3 server", value("server:")),
    };
    name.map_or_else(|| kind.to_owned(), |name| format!("{kind} ({name})"))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;
    use msight_store::{Store, StoreConfig};

    #[tokio::test]
    async fn servers_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::start(StoreConfig::new(folder.path())).await.expect("a store");
        let port = store.endpoint().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        assert_eq!(answer((Ipv4Addr::LOCALHOST, port).into(), ServerKind::S3, None).await.0, Answer::Server);
        assert_eq!(
            answer((Ipv4Addr::LOCALHOST, port).into(), ServerKind::Redis, None).await.0,
            Answer::Other
        );
        let web = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = web.local_addr().expect("it is bound").port();
        let served = tokio::spawn(async move {
            let (mut client, _) = web.accept().await.expect("a client");
            let _ = client.read(&mut [0; 1024]).await;
            client.write_all(b"HTTP/1.0 200 OK\r\n\r\n<html>").await.expect("it listens");
        });
        assert_eq!(answer((Ipv4Addr::LOCALHOST, port).into(), ServerKind::S3, None).await.0, Answer::Other);
        served.await.expect("it has answered");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        assert_eq!(
            answer((Ipv4Addr::LOCALHOST, port).into(), ServerKind::Redis, None).await.0,
            Answer::NoServer
        );
    }
}
