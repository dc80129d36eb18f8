//! The store as an S3 client sees it that signs its requests (curl does).

use std::process::{Output, Stdio};

use msight_store::{Access, Error, Keys, Store, StoreConfig};
use tokio::process::Command;

fn keys(store: &Store) -> Keys {
    store.keys().clone()
}

async fn curl(store: &Store, keys: &Keys, arguments: &[&str], path: &str) -> Output {
    Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "30",
            "--output",
            "-",
            "--write-out",
            "\n%{http_code}",
        ])
        // S3 demands this header, which older versions of curl sign but do not send by themselves.
        .args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"])
        .args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user"])
        .arg(format!("{}:{}", keys.access_key, keys.secret_key))
        .args(arguments)
        .arg(format!("{}/{path}", store.endpoint()))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("curl is installed")
}

fn status(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().last().unwrap_or_default().to_owned()
}

async fn store(root: &std::path::Path) -> Store {
    let config = StoreConfig { buckets: vec!["segments".into()], ..StoreConfig::new(root) };
    Store::start(config).await.expect("the store starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_upload_becomes_a_file_and_can_be_fetched() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder.path().join("new/root")).await;
    let keys = keys(&store);
    let body = "x".repeat(100_000);
    let put = ["--request", "PUT", "--header", "Content-Type: video/mp4", "--data-binary", &body];
    assert_eq!(status(&curl(&store, &keys, &put, "segments/cam/2026/a.mp4").await), "200");
    let stored = std::fs::read(store.root().join("segments/cam/2026/a.mp4")).expect("a file");
    assert_eq!(stored, body.as_bytes());
    let got = curl(&store, &keys, &[], "segments/cam/2026/a.mp4").await;
    assert_eq!(got.stdout.len(), body.len() + "\n200".len());
    assert_eq!(status(&curl(&store, &keys, &put, "no-such-bucket/a.mp4").await), "404");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_key_opens_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path()).await;
    let wrong = Keys { secret_key: "wrong".into(), ..keys(&store) };
    let put = ["--request", "PUT", "--data-binary", "x"];
    assert_eq!(status(&curl(&store, &wrong, &put, "segments/a").await), "403");
    assert!(!folder.path().join("segments/a").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_nothing_need_be_signed() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = StoreConfig {
        access: Access::Anyone,
        buckets: vec!["b-1".into()],
        ..StoreConfig::new(folder.path())
    };
    let store = Store::start(config).await.expect("the store starts");
    let url = format!("{}/b-1/a", store.endpoint());
    let put = Command::new("curl").args(["-sSf", "--max-time", "30", "-X", "PUT", "-d", "x", &url]).output();
    assert!(put.await.expect("curl is installed").status.success());
    assert_eq!(std::fs::read(folder.path().join("b-1/a")).expect("a file"), b"x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_cannot_leave_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder.path().join("root")).await;
    let keys = keys(&store);
    let put = ["--path-as-is", "--request", "PUT", "--data-binary", "x"];
    assert_eq!(status(&curl(&store, &keys, &put, "segments/within").await), "200");
    curl(&store, &keys, &put, "segments/../../outside").await;
    curl(&store, &keys, &put, "segments/%2e%2e/%2e%2e/outside").await;
    let entries = std::fs::read_dir(folder.path().join("root")).expect("a folder").flatten();
    let beside = entries.map(|entry| entry.file_name().into_string().expect("text"));
    let beside: Vec<String> = beside.filter(|name| !name.starts_with(".bucket-")).collect();
    assert_eq!(beside, ["segments"]);
    assert!(!folder.path().join("outside").exists());
}

#[tokio::test]
async fn secrets_and_bad_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = store(folder.path()).await;
    let other = store(folder.path()).await;
    assert_ne!(keys(&one).secret_key, keys(&other).secret_key);
    assert!(!format!("{one:?}").contains(&keys(&one).secret_key));
    let config = StoreConfig { buckets: vec!["../up".into()], ..StoreConfig::new(folder.path()) };
    assert!(matches!(Store::start(config).await, Err(Error::Bucket(_))));
    let config = StoreConfig::new("/proc/no/such/folder");
    assert!(matches!(Store::start(config).await, Err(Error::Folder { .. })));
}
