//! Each fault of the way to the bucket, provoked; what becomes of the segments, and what is said.

use msight_node::health::Health;
use msight_s3_pusher::connection::Connection;
use msight_s3_pusher::retry::RetryPolicy;
use msight_s3_pusher::uploader::Uploader;
use msight_test_support::s3::{Fault, Server};
use msight_test_support::{Clock, until};
use std::net::TcpListener;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use crate::support::{
    self, Log, STEM, both, bucket, connection, finish, mp4, options, policy, segment, stats, submit,
    uploader, uploader_with,
};

/// An uploader whose health is seen, and that says at once what it would say in time.
fn watched(server: &Server, policy: RetryPolicy) -> (Uploader, Health) {
    let health = Health::default();
    health.set_ready(true);
    let bucket = bucket(connection(server), policy);
    (Uploader::start(bucket, 2, 1 << 20, stats(), health.clone()), health)
}

#[tokio::test]
async fn a_server_that_is_busy_for_a_minute_costs_nothing_and_is_said_once() {
    // All tasks run on this thread, so this fixes the jitter of their waits. One draw in ten has short waits, and more
    // tries than the limit below.
    fastrand::seed(6);
    let log = Log::capture();
    let clock = Clock::stop();
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::Answer(503, "SlowDown"), |seen| seen.method == "PUT");
    let (mut uploader, health) =
        watched(&server, RetryPolicy { remind: Duration::from_secs(20), ..RetryPolicy::default() });
    let sent = 10;
    for second in 0..sent {
        submit(&mut uploader, segment(1_700_000_000.5 + f64::from(second), "an mp4")).await;
        clock.pass(Duration::from_secs(6)).await;
    }
    let tried = server.count(mp4);
    assert!(tried <= 3 + 2 + 12, "{tried} tries: three segments, then one probe after the other");
    let reason = health.unready().expect("it has been failing for a minute");
    for part in ["bucket videos at http://127.0.0.1:", "have failed for", "503 SlowDown", "segments"] {
        assert!(reason.contains(part), "{reason}");
    }
    server.behave();
    let are_stored = || server.keys().len() == 2 * sent as usize && health.unready().is_none();
    clock.until("all are stored and the node is ready", are_stored).await;
    drop(clock);
    finish(uploader).await;

    // The oldest first, behind the probe that came through.
    let stored: Vec<_> = server.seen(mp4).split_off(tried).iter().map(|seen| seen.path.clone()).collect();
    let begin = stored.len() - (sent as usize - 2);
    assert!(stored[begin..].windows(4).all(|few| few[0] < few[3]), "{stored:?}");

    assert_eq!(log.lines("upload failed").len(), 1, "{:?}", log.lines(""));
    let reminders = log.lines("all uploads have failed for");
    // The minute, and up to another one until the last probe comes through.
    assert!((1..=6).contains(&reminders.len()), "{reminders:?}");
    assert!(reminders[0].contains("WARN") && reminders[0].contains("% of the buffer"), "{reminders:?}");
    let ends = log.lines("uploads recovered after");
    assert!(ends.len() == 1 && ends[0].contains("endpoint=\"http://127.0.0.1:"), "{ends:?}");
}

#[tokio::test]
async fn a_denied_bucket_is_said_again_and_again_with_what_to_do_until_it_is_mended() {
    let log = Log::capture();
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::Answer(403, "AccessDenied"), mp4);
    let clock = Clock::stop();
    let (mut uploader, health) = watched(&server, RetryPolicy::default());
    for second in 0..4 {
        submit(&mut uploader, segment(1_700_000_000.5 + f64::from(second), "an mp4")).await;
    }
    clock.until("two reminders", || log.lines("all uploads have failed for").len() >= 2).await;
    let reason = health.unready().expect("nothing goes");
    assert!(reason.contains("allow s3:PutObject"), "{reason}");
    let reminder = log.lines("all uploads have failed for").remove(0);
    for part in [
        "ERROR",
        "4 segments (24 B) wait, 25 % of the buffer is used",
        "allow s3:PutObject",
        "reason=\"denied\"",
    ] {
        assert!(reminder.contains(part), "{reminder}");
    }
    assert_eq!(log.lines("upload rejected").len(), 1);
    assert_eq!(log.lines("uploads held").len(), 1);
    server.behave();
    clock.until("the node is ready", || health.unready().is_none()).await;
    drop(clock);
    finish(uploader).await;
    assert_eq!(server.keys().len(), 8);
    assert_eq!(log.lines("uploads recovered after").len(), 1);
}

#[tokio::test]
async fn one_denied_folder_does_not_make_the_node_unready_but_is_reminded_of() {
    let log = Log::capture();
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::Answer(403, "AccessDenied"), |seen| seen.path.contains("/17000000"));
    let clock = Clock::stop();
    let (mut uploader, health) = watched(&server, RetryPolicy::default());
    submit(&mut uploader, segment(1_700_000_000.5, "denied")).await;
    clock.until("the node is not ready", || health.unready().is_some()).await;
    submit(&mut uploader, segment(1_700_000_100.5, "an mp4")).await;
    clock.until("the node is ready", || health.unready().is_none()).await;
    clock.until("a reminder", || !log.lines("some uploads have failed for").is_empty()).await;
    assert_eq!(health.unready(), None);
    server.behave();
    drop(clock);
    finish(uploader).await;
    assert_eq!(server.keys().len(), 4);
}

#[tokio::test]
async fn a_full_buffer_is_said_as_an_error_and_nothing_in_it_is_lost() {
    let log = Log::capture();
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::Answer(503, "SlowDown"), mp4);
    let bucket = bucket(connection(&server), policy());
    let clock = Clock::stop();
    let mut uploader = Uploader::start(bucket, 2, 128 * 1024, stats(), Health::default());
    let stopping = CancellationToken::new();
    for second in [0.5, 10.5] {
        uploader.submit(segment(1_700_000_000.0 + second, "v"), &stopping).await;
    }
    assert_eq!(log.lines("upload buffer full").len(), 0);
    {
        let waiting = uploader.submit(segment(1_700_000_020.5, "v"), &stopping);
        tokio::pin!(waiting);
        tokio::select! {
            () = &mut waiting => panic!("there is no room"),
            () = clock.pass(Duration::from_secs(50)) => {}
        }
        let said = log.lines("upload buffer full");
        assert_eq!(said.len(), 1, "said at most once a minute: {said:?}");
        assert!(said[0].contains("ERROR") && said[0].contains("segments=2"), "{said:?}");
        server.behave();
        drop(clock);
        waiting.await;
    }
    finish(uploader).await;
    assert_eq!(server.keys().len(), 6);
}

#[tokio::test]
async fn retry_after_is_kept_by_all() {
    for asked in ["60", "date"] {
        let server = Server::start().await;
        let asked = match asked {
            "date" => {
                let then = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60);
                then.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string().leak()
            }
            seconds => seconds,
        };
        server.fault(1, Fault::Busy(asked), mp4);
        let clock = Clock::stop();
        let mut uploader = uploader(&server);
        submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
        clock.until("the first attempt", || server.count(mp4) == 1).await;
        clock.pass(Duration::from_millis(100)).await;
        submit(&mut uploader, segment(1_700_000_010.5, "another")).await;
        clock.until("two segments are stored", || server.keys().len() == 4).await;
        drop(clock);
        finish(uploader).await;
        let seen = server.seen(mp4);
        assert_eq!(seen.len(), 3);
        let waited = seen[1].at - seen[0].at;
        assert!(waited >= Duration::from_secs(58), "{asked}: the next request came after {waited:?}");
    }
}

#[tokio::test]
async fn a_reset_at_99_percent_sends_it_again() {
    let server = Server::start().await;
    let video: Vec<u8> = (0..2_000_000_u32).map(|i| (i / 251) as u8).collect();
    server.fault(2, Fault::BreakAfter(video.len() / 100 * 99), mp4);
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, video.clone())).await;
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
    assert!(server.object(&format!("{STEM}.mp4")) == video);
    assert_eq!(server.count(mp4), 3);
}

#[tokio::test]
async fn a_kilobyte_a_second_is_given_up_and_sent_again() {
    let server = Server::start().await;
    server.fault(1, Fault::Drip(1000), mp4);
    let policy = RetryPolicy { request: Duration::from_millis(500), ..policy() };
    let log = Log::capture();
    let mut uploader = uploader_with(connection(&server), options(), policy);
    submit(&mut uploader, segment(1_700_000_000.5, vec![7; 100_000])).await;
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
    assert!(log.lines("upload failed")[0].contains("--upload-timeout"));
}

#[tokio::test]
async fn a_slow_link_gets_everything_through_in_the_end() {
    let server = Server::start().await;
    // It takes a second, where at first 300 ms are allowed.
    server.fault(usize::MAX, Fault::Drip(40_000), mp4);
    let policy = RetryPolicy { request: Duration::from_millis(300), ..policy() };
    let mut uploader = uploader_with(connection(&server), options(), policy);
    for second in 0..4 {
        submit(&mut uploader, segment(1_700_000_000.5 + f64::from(second), vec![7; 40_000])).await;
    }
    finish(uploader).await;
    assert_eq!(server.keys().len(), 8);
    let tries = server.count(mp4);
    assert!(tries <= 16, "{tries} tries: how slow the link is, is learned once and not for each segment");
}

#[tokio::test]
async fn stored_without_a_reply_is_one_object() {
    let server = Server::start().await;
    server.fault(1, Fault::StoreAndStall, mp4);
    server.fault(1, Fault::StoreAndStall, support::json);
    let policy = RetryPolicy { request: Duration::from_millis(500), ..policy() };
    let mut uploader = uploader_with(connection(&server), options(), policy);
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
}

/// Waits for an endpoint's failure to be said with this advice, and keeps the segment.
pub(crate) async fn is_said(endpoint: &str, advice: &str) {
    let log = Log::capture();
    let elsewhere = Server::start().await;
    let connection = Connection { endpoint_url: Some(endpoint.to_owned()), ..connection(&elsewhere) };
    let mut uploader = uploader_with(connection, options(), policy());
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    until("the failure is logged", async || !log.lines("upload failed").is_empty()).await;
    let said = log.lines("upload failed").remove(0);
    assert!(said.contains(advice) && said.contains(&format!("endpoint=\"{endpoint}\"")), "{said}");
    assert_eq!(uploader.finish(std::future::ready(())).await, [(STEM.to_owned(), 6)]);
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    is_said(&format!("http://{free}"), "nothing listens").await;
}

#[tokio::test]
async fn a_name_that_is_not_known_says_so() {
    // RFC 6761: this name never resolves.
    is_said("http://bucket.invalid:9000", "DNS").await;
}

#[tokio::test]
async fn tls_to_a_server_without_says_so() {
    let server = Server::start().await;
    is_said(&format!("https://{}", server.address), "does not speak TLS").await;
}

#[tokio::test]
async fn a_captive_portal_says_so() {
    let log = Log::capture();
    let server = Server::start().await;
    server.fault(1, Fault::Portal, mp4);
    let mut uploader = uploader(&server);
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    finish(uploader).await;
    assert_eq!(server.keys(), both(STEM));
    assert!(log.lines("upload failed")[0].contains("log-in page"));
}

#[tokio::test]
async fn a_clock_that_is_off_is_made_up_for_and_said() {
    for ahead in [1200, -86_400] {
        let log = Log::capture();
        let server = Server::start().await;
        server.fault(usize::MAX, Fault::Clock(ahead), |_| true);
        let mut uploader = uploader(&server);
        for second in 0..4 {
            submit(&mut uploader, segment(1_700_000_000.5 + f64::from(second), "an mp4")).await;
        }
        finish(uploader).await;
        assert_eq!(server.keys().len(), 8);
        assert!(server.count(mp4) <= 6, "the offset is learned once");
        assert!(log.lines("upload failed")[0].contains("NTP"), "{:?}", log.lines(""));
    }
}

#[tokio::test]
async fn a_bucket_in_another_region_is_found_there() {
    let log = Log::capture();
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::Region("eu-north-1"), |_| true);
    let mut uploader = uploader_with(connection(&server), options(), policy());
    for second in 0..3 {
        submit(&mut uploader, segment(1_700_000_000.5 + f64::from(second), "an mp4")).await;
    }
    finish(uploader).await;
    assert_eq!(server.keys().len(), 6);
    let said = log.lines("the bucket is in another region");
    assert!(said.len() == 1 && said[0].contains("eu-north-1"), "{said:?}");
}
