//! Uploads to a real S3 server through everything that goes wrong on the way.

use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use msight_node::health::Health;
use msight_s3_pusher::bucket::ObjectOptions;
use msight_s3_pusher::connection::{Connection, Credentials};
use msight_s3_pusher::retry::RetryPolicy;
use msight_s3_pusher::uploader::Uploader;
use msight_test_support::s3::{ACCESS_KEY, Fault, SECRET_KEY, Server};
use msight_test_support::{DEADLINE, until};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::support::{
    STEM, both, bucket, connection, finish, json, mp4, options, policy, segment, stats, submit, uploader,
    uploader_with,
};

#[tokio::test]
async fn the_video_then_its_sidecar() {
    let server = Server::start().await;
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
    assert_eq!(server.object(&format!("{STEM}.mp4")), b"an mp4");
    let sidecar: serde_json::Value = serde_json::from_slice(&server.object(&format!("{STEM}.json"))).unwrap();
    assert_eq!(sidecar["video_key"], format!("{STEM}.mp4"));
    assert_eq!(sidecar["video_bytes"], 6);
    assert_eq!(sidecar["capture_timestamps"][0], 1_700_000_000.5);

    let puts = server.seen(|seen| seen.method == "PUT");
    assert!(mp4(&puts[0]) && json(&puts[1]), "{puts:?}");
    let header = |index: usize, name| puts[index].header(name);
    assert_eq!(header(0, "content-type"), Some("video/mp4"));
    assert_eq!(header(1, "content-type"), Some("application/json"));
    assert_eq!(header(0, "x-amz-meta-sensor"), Some("cam %C3%BC"));
    assert_eq!(header(0, "x-amz-meta-start"), Some("2023-11-14T22:13:20.500Z"));
    // What older servers do not take is not sent to a server of one's own, and no ACL to anybody.
    for name in ["x-amz-acl", "x-amz-checksum-crc32", "x-amz-trailer", "content-encoding", "x-amz-tagging"] {
        assert_eq!(header(0, name), None, "{name}");
    }
}

#[tokio::test]
async fn the_signature_covers_the_video() {
    let server = Server::start().await;
    let mut uploader = uploader(&server);
    let segment = segment(1_700_000_000.5, "video");
    let sha256 = segment.sha256.clone();
    submit(&mut uploader, segment).await;
    finish(uploader).await;
    assert_eq!(server.seen(mp4)[0].header("x-amz-content-sha256"), Some(sha256.as_str()));
}

#[tokio::test]
async fn every_object_gets_what_was_asked_for() {
    let server = Server::start().await;
    let asked = ObjectOptions {
        encryption: Some("AES256".into()),
        storage_class: Some("REDUCED_REDUNDANCY".into()),
        tagging: Some("site=a%20b".to_owned()),
        acl: Some("bucket-owner-full-control".into()),
        ..options()
    };
    let connection = Connection {
        checksum: Some(msight_s3_pusher::connection::Checksum::WhenSupported),
        ..connection(&server)
    };
    let mut uploader = uploader_with(connection, asked, policy());
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    finish(uploader).await;
    let puts = server.seen(|seen| seen.method == "PUT");
    assert_eq!(puts.len(), 2);
    for put in puts {
        for (name, value) in [
            ("x-amz-server-side-encryption", "AES256"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("x-amz-tagging", "site=a%20b"),
            ("x-amz-acl", "bucket-owner-full-control"),
        ] {
            assert_eq!(put.headers.get(name).unwrap(), value);
        }
        assert!(put.headers.contains_key("x-amz-checksum-crc32"));
    }
}

#[tokio::test]
async fn transient_answers_are_waited_out() {
    let server = Server::start().await;
    server.fault(3, Fault::Answer(503, "SlowDown"), mp4);
    server.fault(1, Fault::Answer(429, "TooManyRequests"), mp4);
    server.fault(1, Fault::BreakAfter(1), mp4);
    server.fault(1, Fault::Portal, mp4);
    server.fault(2, Fault::Answer(500, "InternalError"), json);
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, vec![7; 300_000])).await;
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
    assert_eq!(server.object(&format!("{STEM}.mp4")), vec![7; 300_000]);
    assert_eq!(
        (server.count(mp4), server.count(json)),
        (7, 3),
        "the video is not sent again for its sidecar"
    );
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_object() {
    let server = Server::start().await;
    server.fault(1, Fault::LoseAnswer, mp4);
    server.fault(1, Fault::LoseAnswer, json);
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
    assert_eq!(server.count(|seen| seen.method == "HEAD"), 1);
}

#[tokio::test]
async fn a_lost_answer_and_no_right_to_look_keep_the_segment_too() {
    let server = Server::start().await;
    server.fault(1, Fault::LoseAnswer, mp4);
    server.fault(usize::MAX, Fault::Answer(403, ""), |seen| seen.method == "HEAD");
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    finish(uploader).await;
    let keys = server.keys();
    assert_eq!(keys.len(), 3, "a copy more, but nothing lost and nothing overwritten: {keys:?}");
}

#[tokio::test]
async fn a_stall_is_noticed() {
    let server = Server::start().await;
    server.fault(1, Fault::Stall, mp4);
    server.fault(1, Fault::Stall, json);
    let policy = RetryPolicy { request: Duration::from_millis(300), ..policy() };
    let mut uploader = uploader_with(connection(&server), options(), policy);
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
}

/// Nothing is probed in the time of a test.
fn no_probes() -> RetryPolicy {
    RetryPolicy { probe: Duration::from_secs(3600), ..policy() }
}

#[tokio::test]
async fn a_denied_bucket_is_held_and_every_segment_gets_its_turn() {
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::Answer(403, "AccessDenied"), |seen| seen.method == "PUT");
    let mut uploader = uploader(&server);
    for second in 0..6 {
        submit(&mut uploader, segment(1_700_000_000.5 + f64::from(second), "an mp4")).await;
    }
    let tried = || server.seen(mp4).iter().map(|seen| seen.path.clone()).collect::<BTreeSet<_>>().len();
    until("each was tried", async || tried() == 6 && server.count(mp4) >= 12).await;
    assert_eq!(server.keys(), [""; 0]);
    server.behave();
    finish(uploader).await;
    assert_eq!(server.keys().len(), 12);
}

#[tokio::test]
async fn a_denied_bucket_is_not_asked_for_each_segment() {
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::Answer(403, "AccessDenied"), |seen| seen.method == "PUT");
    let mut uploader = uploader_with(connection(&server), options(), no_probes());
    for second in 0..20 {
        submit(&mut uploader, segment(1_700_000_000.5 + f64::from(second), "an mp4")).await;
    }
    until("three attempts", async || server.count(mp4) >= 3).await;
    tokio::time::timeout(
        Duration::from_millis(300),
        until("a fifth attempt", async || server.count(mp4) > 4),
    )
    .await
    .expect_err("three, and what the other worker had begun");
    assert_eq!(uploader.finish(std::future::ready(())).await.len(), 20);
}

#[tokio::test]
async fn a_denied_folder_does_not_hold_the_others() {
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::Answer(403, "AccessDenied"), |seen| seen.path.contains("/17000000"));
    let mut uploader = uploader_with(connection(&server), options(), no_probes());
    for second in 0..5 {
        submit(&mut uploader, segment(1_700_000_000.5 + f64::from(second), "denied")).await;
        submit(&mut uploader, segment(1_700_000_100.5 + f64::from(second), "an mp4")).await;
        until("the segment is stored", async || server.keys().len() == 2 * (second as usize + 1)).await;
    }
    let left = uploader.finish(std::future::ready(())).await;
    // The answer for the last of the others may still be on its way.
    assert_eq!(left.iter().filter(|(stem, _)| stem.contains("/17000000")).count(), 5, "{left:?}");
}

#[tokio::test]
async fn a_denied_folder_is_tried_again() {
    let server = Server::start().await;
    server.fault(5, Fault::Answer(403, "AccessDenied"), |seen| seen.path.contains("/17000000"));
    let mut uploader = uploader(&server);
    for second in [0.5, 100.5, 1.5, 101.5] {
        submit(&mut uploader, segment(1_700_000_000.0 + second, "an mp4")).await;
    }
    finish(uploader).await;
    assert_eq!(server.keys().len(), 8);
}

#[tokio::test]
async fn answers_that_are_not_s3s_lose_nothing() {
    let server = Server::start().await;
    server.fault(8, Fault::Answer(400, ""), |seen| seen.method == "PUT");
    server.fault(2, Fault::Answer(407, ""), |seen| seen.method == "PUT");
    server.fault(2, Fault::Answer(400, "SomethingNew"), |seen| seen.method == "PUT");
    let mut uploader = uploader(&server);
    for second in 0..4 {
        submit(&mut uploader, segment(1_700_000_000.5 + f64::from(second), "an mp4")).await;
    }
    finish(uploader).await;
    assert_eq!(server.keys().len(), 8);
}

#[tokio::test]
async fn a_segment_that_always_fails_lets_others_go_first() {
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::Answer(500, "InternalError"), |seen| seen.path.contains("/17000000"));
    let bucket = bucket(connection(&server), policy());
    let mut uploader = Uploader::start(bucket, 1, 1 << 20, stats(), Health::default());
    submit(&mut uploader, segment(1_700_000_000.5, "fails")).await;
    submit(&mut uploader, segment(1_700_000_100.5, "an mp4")).await;
    until("a segment is stored", async || server.keys().len() == 2).await;
    server.behave();
    finish(uploader).await;
    assert_eq!(server.keys().len(), 4);
}

#[tokio::test]
async fn a_bucket_may_come_later() {
    let server = Server::start().await;
    // s3s-fs makes missing buckets, so it is told to say what others say.
    server.fault(usize::MAX, Fault::Answer(404, "NoSuchBucket"), mp4);
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    until("three attempts", async || server.count(mp4) >= 3).await;
    server.behave();
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
}

/// Credentials that are corrected during the test.
#[derive(Debug, Clone)]
struct Mended(Arc<Mutex<&'static str>>);

impl ProvideCredentials for Mended {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let secret = *self.0.lock().unwrap();
        future::ProvideCredentials::ready(if secret.is_empty() {
            Err(provider::error::CredentialsError::not_loaded("nothing there yet"))
        } else {
            Ok(aws_credential_types::Credentials::new(ACCESS_KEY, secret, None, None, "test"))
        })
    }
}

#[tokio::test]
async fn credentials_may_come_later() {
    let server = Server::start().await;
    let secret = Mended(Arc::new(Mutex::new("")));
    let credentials = Credentials::Given(SharedCredentialsProvider::new(secret.clone()));
    let mut uploader = uploader_with(Connection { credentials, ..connection(&server) }, options(), policy());
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    *secret.0.lock().unwrap() = "wrong";
    until("two attempts", async || server.count(mp4) >= 2).await;
    assert_eq!(server.keys(), [""; 0]);
    *secret.0.lock().unwrap() = SECRET_KEY;
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
}

#[tokio::test]
async fn a_server_may_come_later() {
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let elsewhere = Server::start().await;
    let connection = Connection { endpoint_url: Some(format!("http://{address}")), ..connection(&elsewhere) };
    let mut uploader = uploader_with(connection, options(), policy());
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    let server = Server::start_at(address, true).await;
    assert_eq!(uploader.finish(tokio::time::sleep(DEADLINE)).await, []);
    assert_eq!(server.keys(), both(STEM));
}

#[tokio::test]
async fn segments_of_the_same_seconds_both_stay() {
    let server = Server::start().await;
    let mut first = uploader(&server);
    submit(&mut first, segment(1_700_000_000.1, "one")).await;
    submit(&mut first, segment(1_700_000_000.2, "two")).await;
    finish(first).await;
    // The next start knows nothing of them, but the server does.
    let mut second = uploader(&server);
    submit(&mut second, segment(1_700_000_000.3, "three")).await;
    finish(second).await;
    let keys = server.keys();
    assert_eq!(keys.len(), 6, "{keys:?}");
    let mut videos: Vec<_> =
        keys.iter().filter(|key| key.ends_with(".mp4")).map(|key| server.object(key)).collect();
    videos.sort();
    assert_eq!(videos, [&b"one"[..], b"three", b"two"]);
    for key in keys.iter().filter(|key| key.ends_with(".json")) {
        let sidecar: serde_json::Value = serde_json::from_slice(&server.object(key)).unwrap();
        assert_eq!(sidecar["video_key"], key.replace(".json", ".mp4"));
    }
}

#[tokio::test]
async fn a_video_that_a_server_stored_without_its_metadata_is_sent_again() {
    let server = Server::start_unsigned().await;
    // As of a server that keeps metadata apart, after a killed pusher or a power cut.
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let path = format!("/videos/{}.mp4", STEM.replace(' ', "%20").replace('ü', "%C3%BC"));
    let request =
        format!("PUT {path} HTTP/1.1\r\nhost: s3\r\nconnection: close\r\ncontent-length: 5\r\n\r\nvideo");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert_eq!(server.keys(), [format!("{STEM}.mp4")]);

    let unsigned = Connection { credentials: Credentials::Unsigned, ..connection(&server) };
    let mut uploader = uploader_with(unsigned, options(), policy());
    submit(&mut uploader, segment(1_700_000_000.5, "video")).await;
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
    assert_eq!(server.count(mp4), 3, "the first one, a refused one, and the one with metadata");
}

#[tokio::test]
async fn a_server_without_conditional_writes_will_do() {
    for (status, code) in [(501, "NotImplemented"), (400, "InvalidArgument"), (400, "InvalidRequest")] {
        let server = Server::start().await;
        server.fault(usize::MAX, Fault::Answer(status, code), |seen| {
            seen.headers.contains_key("if-none-match")
        });
        let mut uploader = uploader(&server);
        for video in ["one", "two"] {
            submit(&mut uploader, segment(1_700_000_000.1, video)).await;
        }
        finish(uploader).await;
        assert_eq!(server.keys().len(), 4, "{code}");
    }
}

#[tokio::test]
async fn what_is_not_for_the_condition_does_not_cost_it() {
    let server = Server::start().await;
    // A bucket with Object Lock says so of every request without a checksum.
    server.fault(6, Fault::Answer(400, "InvalidRequest"), mp4);
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
    let conditional: Vec<_> =
        server.seen(mp4).iter().map(|seen| seen.headers.contains_key("if-none-match")).collect();
    assert_eq!(conditional, [true, false, true, false, true, false, true]);
}

#[tokio::test]
async fn lost_parts_are_sent_again() {
    let server = Server::start().await;
    server.fault(1, Fault::Answer(400, "InvalidPart"), |seen| {
        seen.method == "POST" && seen.query.starts_with("uploadId=")
    });
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, vec![1; (16 << 20) + 1])).await;
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
    assert_eq!(server.count(|seen| seen.query.contains("partNumber=1")), 2);
    assert_eq!(server.count(|seen| seen.method == "DELETE"), 1, "the first upload's parts are removed");
}

#[tokio::test]
async fn a_wrong_etag_is_sent_again() {
    let server = Server::start().await;
    server.fault(1, Fault::Etag("\"00000000000000000000000000000000\""), mp4);
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
    assert_eq!(server.count(mp4), 2);
}

#[tokio::test]
async fn etags_that_are_always_wrong_are_disbelieved() {
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::Etag("\"00000000000000000000000000000000\""), mp4);
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    until("the first is stored", async || server.keys() == both(STEM)).await;
    submit(&mut uploader, segment(1_700_000_010.5, "another")).await;
    finish(uploader).await;
    assert_eq!(server.count(mp4), 4, "three for the first, one for the second");
}

#[tokio::test]
async fn a_torn_video_is_never_called_complete() {
    let server = Server::start().await;
    server.fault(5, Fault::Tear(3), mp4);
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    finish(uploader).await;
    assert_eq!(server.object(&format!("{STEM}.mp4")), b"an mp4");
    assert_eq!(server.keys(), both(STEM));
    assert_eq!((server.count(mp4), server.count(json)), (6, 1));
}

/// ETags are disbelieved for three wrong ones in a row, not for a few in an hour.
#[tokio::test]
async fn a_wrong_etag_now_and_then_does_not_cost_the_check() {
    let server = Server::start().await;
    for _ in 0..4 {
        server.fault(1, Fault::Etag("\"00000000000000000000000000000000\""), mp4);
        server.fault(1, Fault::Answer(503, "SlowDown"), mp4);
    }
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
    assert_eq!(server.count(mp4), 9);
}

#[tokio::test]
async fn one_refused_segment_does_not_stop_the_others() {
    let server = Server::start().await;
    server.fault(1, Fault::Answer(400, "EntityTooLarge"), mp4);
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, "one")).await;
    until("the first attempt", async || server.count(mp4) == 1).await;
    submit(&mut uploader, segment(1_700_000_010.5, "two")).await;
    finish(uploader).await;
    assert_eq!(server.keys(), both("p/edge1/cam ü/2023-11-14/22/1700000010_1700000020"));
}

#[tokio::test]
async fn large_videos_go_in_parts_and_go_on_after_a_failure() {
    let server = Server::start().await;
    server.fault(1, Fault::Answer(503, "SlowDown"), |seen| seen.query.contains("partNumber=2"));
    server.fault(1, Fault::LoseAnswer, |seen| seen.method == "POST" && seen.query.starts_with("uploadId="));
    let mut uploader = uploader(&server);
    let video: Vec<u8> = (0..(16 << 20) + 1000).map(|i| (i / 251) as u8).collect();
    submit(&mut uploader, segment(1_700_000_000.5, video.clone())).await;
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
    assert!(server.object(&format!("{STEM}.mp4")) == video);
    assert_eq!(
        server.count(|seen| seen.query.contains("partNumber=1")),
        1,
        "what is stored is not sent again"
    );
    assert_eq!(server.count(|seen| seen.query.contains("partNumber=2")), 2);
}

#[tokio::test]
async fn parts_of_a_video_that_is_given_up_are_removed() {
    let server = Server::start().await;
    server.fault(1, Fault::Answer(400, "EntityTooLarge"), |seen| seen.query.contains("partNumber=2"));
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, vec![1; (16 << 20) + 1])).await;
    finish(uploader).await;
    assert_eq!(server.count(|seen| seen.method == "DELETE" && seen.query.contains("uploadId=")), 1);
    assert_eq!(server.keys(), [""; 0]);
}

#[tokio::test]
async fn what_is_left_at_the_stop_is_named() {
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::Answer(403, "AccessDenied"), |seen| {
        mp4(seen) && !seen.query.contains("partNumber")
    });
    server.fault(usize::MAX, Fault::Stall, |seen| seen.query.contains("partNumber=2"));
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, vec![1; (16 << 20) + 1])).await;
    until("the first part is sent", async || server.count(|seen| seen.query.contains("partNumber=1")) >= 1)
        .await;
    submit(&mut uploader, segment(1_700_000_010.5, "two")).await;
    let left = uploader.finish(std::future::ready(())).await;
    let second = "p/edge1/cam ü/2023-11-14/22/1700000010_1700000020";
    assert_eq!(left, [(STEM.to_owned(), (16 << 20) + 1), (second.to_owned(), 3)]);
}

#[tokio::test]
async fn a_full_budget_makes_the_sender_wait() {
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::Answer(503, "SlowDown"), mp4);
    let bucket = bucket(connection(&server), policy());
    let mut uploader = Uploader::start(bucket, 2, 128 * 1024, stats(), Health::default());
    let stopping = CancellationToken::new();
    for second in [0.5, 10.5] {
        uploader.submit(segment(1_700_000_000.0 + second, "v"), &stopping).await;
    }
    {
        let third = uploader.submit(segment(1_700_000_020.5, "v"), &stopping);
        tokio::pin!(third);
        assert!(futures_util::poll!(&mut third).is_pending());
        server.behave();
        third.await;
    }
    finish(uploader).await;
    assert_eq!(server.keys().len(), 6);
}

#[tokio::test]
async fn fifty_at_once() {
    let server = Server::start().await;
    server.fault(10, Fault::Answer(503, "SlowDown"), |seen| seen.method == "PUT");
    let mut uploader = uploader(&server);
    for second in 0..50 {
        submit(&mut uploader, segment(1_700_000_000.5 + f64::from(second), vec![second as u8; 10_000])).await;
    }
    finish(uploader).await;
    assert_eq!(server.keys().len(), 100);
}
