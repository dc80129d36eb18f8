//! The check of the bucket at the start: what it reports before the first segment comes.

use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use msight_node::health::Health;
use msight_s3_pusher::bucket::Bucket;
use msight_s3_pusher::connection::{Connection, Credentials};
use msight_s3_pusher::retry::RetryPolicy;
use msight_s3_pusher::uploader::Uploader;
use msight_test_support::s3::{ACCESS_KEY, Fault, Server};
use msight_test_support::until;

use crate::support::{Log, connection, finish, options, policy, segment, stats, submit};

/// An uploader that checks its bucket, and the health that it reports.
fn probing(connection: Connection, policy: RetryPolicy) -> (Uploader, Health) {
    let health = Health::default();
    health.set_ready(true);
    let bucket = Bucket::new("videos", connection, options(), policy);
    let mut uploader = Uploader::start(bucket, 2, 1 << 20, stats(), health.clone());
    uploader.probe();
    (uploader, health)
}

fn with_secret(server: &Server, secret: &str) -> Connection {
    let keys = aws_credential_types::Credentials::new(ACCESS_KEY, secret, None, None, "test");
    Connection { credentials: Credentials::Given(SharedCredentialsProvider::new(keys)), ..connection(server) }
}

/// A machine without credentials.
#[derive(Debug)]
struct Missing;

impl ProvideCredentials for Missing {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let error = provider::error::CredentialsError::not_loaded("no providers in chain");
        future::ProvideCredentials::ready(Err(error))
    }
}

#[tokio::test]
async fn wrong_settings_are_reported_without_a_segment() {
    let server = Server::start().await;
    let missing = Connection {
        credentials: Credentials::Given(SharedCredentialsProvider::new(Missing)),
        ..connection(&server)
    };
    for (connection, cause) in
        [(missing, "no AWS credentials found"), (with_secret(&server, "another"), "wrong secret key")]
    {
        let log = Log::capture();
        let (uploader, health) = probing(connection, RetryPolicy::default());
        until("the node is not ready", async || health.unready().is_some()).await;
        let reason = health.unready().unwrap();
        assert!(reason.contains(cause) && reason.contains("bucket videos at http://127.0.0.1:"), "{reason}");
        let said = log.lines("bucket check failed");
        assert!(said.len() == 1 && said[0].contains("ERROR") && said[0].contains(cause), "{said:?}");
        drop(uploader);
    }
}

#[tokio::test]
async fn a_bucket_that_is_missing_is_reported_once_and_found_when_it_is_made() {
    let log = Log::capture();
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::Answer(404, "NoSuchBucket"), |_| true);
    let (uploader, health) = probing(connection(&server), policy());
    until("the node is not ready", async || health.unready().is_some()).await;
    assert!(health.unready().unwrap().contains("the bucket does not exist; create it"));
    until("several checks", async || server.count(|seen| seen.method == "GET") >= 4).await;
    assert_eq!(log.lines("bucket check failed").len(), 1);
    server.behave();
    until("the node is ready", async || health.unready().is_none()).await;
    assert_eq!(log.lines("uploads recovered").len(), 1);
    finish(uploader).await;
}

#[tokio::test]
async fn a_bucket_that_cannot_be_listed_is_no_fault() {
    for (status, code) in [(403, "AccessDenied"), (403, ""), (404, "NoSuchKey"), (501, "NotImplemented")] {
        let log = Log::capture();
        let server = Server::start().await;
        server.fault(usize::MAX, Fault::Answer(status, code), |seen| seen.method == "GET");
        let (mut uploader, health) = probing(connection(&server), policy());
        submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
        until("a check", async || server.count(|seen| seen.method == "GET") == 1).await;
        finish(uploader).await;
        assert_eq!((health.unready(), log.lines("failed")), (None, vec![]), "{code}");
    }
}

#[tokio::test]
async fn a_stored_segment_ends_the_check() {
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::Answer(400, ""), |seen| seen.method == "GET");
    let (mut uploader, health) = probing(connection(&server), policy());
    until("the node is not ready", async || health.unready().is_some()).await;
    assert!(health.unready().unwrap().contains("the endpoint is not an S3 server"));
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    until("the node is ready", async || health.unready().is_none()).await;
    finish(uploader).await;
}

#[tokio::test]
async fn the_region_is_corrected_before_the_first_segment() {
    let server = Server::start().await;
    server.fault(usize::MAX, Fault::Region("eu-north-1"), |_| true);
    let (mut uploader, health) = probing(connection(&server), policy());
    until("the region is known", async || server.count(|seen| seen.method == "GET") == 2).await;
    submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
    finish(uploader).await;
    assert_eq!(server.count(|seen| seen.method == "PUT"), 2, "no upload goes to the wrong region");
    assert_eq!(health.unready(), None);
}
