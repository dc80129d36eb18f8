//! The store as an S3 client sees it that signs its requests (curl does).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Output, Stdio};
use std::time::Duration;

use msight_store::{Access, Error, Keys, Store, StoreConfig};
use msight_test_support::{can_run, is_installed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
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

/// A store with the bucket `b-1`, which accepts requests of anyone.
async fn store_without_keys(root: &std::path::Path) -> Store {
    let config =
        StoreConfig { access: Access::Anyone, buckets: vec!["b-1".into()], ..StoreConfig::new(root) };
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
    let store = store_without_keys(folder.path()).await;
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
    let beside: BTreeSet<String> = beside.collect();
    assert_eq!(beside, BTreeSet::from([".msight-store".to_owned(), "segments".to_owned()]));
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

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_any_signature_will_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_without_keys(folder.path()).await;
    let foreign = Keys { access_key: "AKIAFOREIGN".into(), secret_key: "x".into() };
    let put = ["--request", "PUT", "--data-binary", "x"];
    assert_eq!(status(&curl(&store, &foreign, &put, "b-1/a").await), "200");
    assert_eq!(std::fs::read(folder.path().join("b-1/a")).expect("a file"), b"x");
    let presigned = format!(
        "{}/b-1/a?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAFOREIGN%2F20260101%2Fus-east-1%2Fs3%2Faws4_request\
         &X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00",
        store.endpoint()
    );
    let get = Command::new("curl").args(["-sSf", "--max-time", "30", &presigned]).output();
    assert_eq!(get.await.expect("curl is installed").stdout, b"x");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_with_objects_is_not_deleted() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path()).await;
    let keys = keys(&store);
    let put = ["--request", "PUT", "--data-binary", "x"];
    let delete = ["--request", "DELETE"];
    assert_eq!(status(&curl(&store, &keys, &put, "segments/a/b").await), "200");
    let refused = curl(&store, &keys, &delete, "segments").await;
    assert_eq!(status(&refused), "409");
    assert!(String::from_utf8_lossy(&refused.stdout).contains("BucketNotEmpty"));
    assert!(folder.path().join("segments/a/b").exists());
    assert_eq!(status(&curl(&store, &keys, &delete, "segments/a/b").await), "204");
    let left = std::fs::read_dir(folder.path().join(".msight-store")).expect("a folder").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["segments"], "the metadata went with the object");
    assert_eq!(status(&curl(&store, &keys, &delete, "segments").await), "204");
    assert!(!folder.path().join("segments").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nul_in_a_key_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path()).await;
    let put = ["--request", "PUT", "--data-binary", "x"];
    assert_eq!(status(&curl(&store, &keys(&store), &put, "segments/a%00b").await), "400");
    assert_eq!(status(&curl(&store, &keys(&store), &put, "segments/a").await), "200");
    assert_eq!(status(&curl(&store, &keys(&store), &put, "segments/a/b").await), "400", "a is no folder");
}

/// A body of its own length and content for each number.
fn body(number: u8) -> Vec<u8> {
    // Letters: curl takes a body that begins with @ for the name of a file.
    vec![b'a' + number % 26; 10_000 + usize::from(number) * 1000]
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_at_once_one_is_the_object() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = std::sync::Arc::new(store(folder.path()).await);
    for (condition, expected) in [(None, 50), (Some("If-None-Match: *"), 1)] {
        let path = if condition.is_some() { "segments/first" } else { "segments/any" };
        let puts = (0..50_u8).map(|number| {
            let (store, keys) = (store.clone(), keys(&store));
            tokio::spawn(async move {
                let body = String::from_utf8(body(number)).expect("ASCII");
                let mut put = vec!["--request", "PUT", "--data-binary", &body];
                put.extend(condition.iter().flat_map(|condition| ["--header", condition]));
                (number, status(&curl(&store, &keys, &put, path).await))
            })
        });
        let mut stored = Vec::new();
        for put in puts.collect::<Vec<_>>() {
            let (number, status) = put.await.expect("a status");
            match status.as_str() {
                "200" => stored.push(number),
                other => assert_eq!(other, "412"),
            }
        }
        assert_eq!(stored.len(), expected);
        let object = std::fs::read(folder.path().join(path)).expect("an object");
        assert!(stored.iter().any(|number| body(*number) == object), "the object is one of those stored");
        let head = curl(&store, &keys(&store), &["--head"], path).await;
        let head = String::from_utf8_lossy(&head.stdout).to_lowercase();
        assert!(head.contains(&format!("content-length: {}", object.len())), "{head}");
        let etag =
            std::process::Command::new("md5sum").arg(folder.path().join(path)).output().expect("md5sum");
        let md5 = String::from_utf8_lossy(&etag.stdout[..32]).into_owned();
        assert!(head.contains(&md5), "the ETag is of another upload: {head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_digest_leaves_the_older_object() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path()).await;
    let keys = keys(&store);
    let put = ["--request", "PUT", "--data-binary", "older"];
    assert_eq!(status(&curl(&store, &keys, &put, "segments/a").await), "200");
    let digest = ["--header", "Content-MD5: AAAAAAAAAAAAAAAAAAAAAA=="];
    let put = [&["--request", "PUT", "--data-binary", "newer"][..], &digest].concat();
    assert_eq!(status(&curl(&store, &keys, &put, "segments/a").await), "400");
    assert_eq!(std::fs::read(folder.path().join("segments/a")).expect("a file"), b"older");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_has_all_keys_in_pages() {
    let folder = tempfile::tempdir().expect("a folder");
    for number in 0..2500 {
        let path = folder.path().join(format!("segments/cam {}/{number:05}%.mp4", number % 3));
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, "x").expect("a file");
    }
    let store = store(folder.path()).await;
    let (mut pages, mut token, mut found) = (0, String::new(), BTreeSet::new());
    loop {
        let path = format!("segments?{token}encoding-type=url&list-type=2");
        let page = curl(&store, &keys(&store), &[], &path).await;
        let page = String::from_utf8_lossy(&page.stdout).into_owned();
        pages += 1;
        let between = |text: &str, begin: &str| {
            text.split(begin)
                .skip(1)
                .map(|rest| rest.split('<').next().unwrap_or_default().to_owned())
                .collect::<Vec<_>>()
        };
        found.extend(between(&page, "<Key>"));
        let Some(next) = between(&page, "<NextContinuationToken>").pop() else { break };
        let next = next.replace('%', "%25").replace(' ', "%20").replace('/', "%2F");
        token = format!("continuation-token={next}&");
    }
    assert_eq!((pages, found.len()), (3, 2500));
    assert!(found.first().is_some_and(|key| key == "cam%200/00000%25.mp4"), "{:?}", found.first());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_earlier_versions_move_into_the_hidden_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("segments")).expect("a folder");
    std::fs::write(folder.path().join("segments/a"), "x").expect("a file");
    // As s3s-fs names it: `segments` and `a` in base64.
    let name = ".bucket-c2VnbWVudHM.object-YQ.metadata.json";
    std::fs::write(folder.path().join(name), r#"{"content_type":"video/old"}"#).expect("a file");
    let store = store(folder.path()).await;
    assert!(!folder.path().join(name).exists());
    let head = curl(&store, &keys(&store), &["--head"], "segments/a").await;
    assert!(String::from_utf8_lossy(&head.stdout).contains("video/old"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_object_is_on_the_disk() {
    if !can_run(is_installed("filefrag", &["-V"]), "filefrag (apt-get install e2fsprogs)") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path()).await;
    let body = "x".repeat(100_000);
    let put = ["--request", "PUT", "--data-binary", &body];
    assert_eq!(status(&curl(&store, &keys(&store), &put, "segments/cam/a.mp4").await), "200");
    // What only memory holds has no blocks as yet.
    let file = folder.path().join("segments/cam/a.mp4");
    let extents = Command::new("filefrag").arg("-v").arg(&file).output().await.expect("it is installed");
    if !can_run(extents.status.success(), "a file system that lists the blocks of a file (FIEMAP)") {
        return;
    }
    let extents = String::from_utf8_lossy(&extents.stdout);
    assert!(extents.contains("extent found") && !extents.contains("delalloc"), "{extents}");
}

fn address(store: &Store) -> SocketAddr {
    store.endpoint().trim_start_matches("http://").parse().expect("an address")
}

/// Uploads an object of one byte from another address of this machine, and returns the answer.
async fn upload_from_elsewhere(store: &Store, key: &str) -> String {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.2:0".parse().expect("an address")).expect("an address of this machine");
    let mut stream = socket.connect(address(store)).await.expect("it listens");
    let put =
        format!("PUT /b-1/{key} HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
    stream.write_all(put.as_bytes()).await.expect("writable");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("readable");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_a_byte_now_and_then_shut_out_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store_without_keys(folder.path()).await;
    // An upload that has begun.
    let mut begun = TcpStream::connect(address(&store)).await.expect("it listens");
    let head = b"PUT /b-1/begun HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\nx";
    begun.write_all(head).await.expect("writable");
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(address(&store)).await.expect("it listens");
        let _ = stream.write_all(b"PUT /b-1/slow HTTP/1.1\r\n").await;
        slow.push(stream);
    }
    for round in 0..10 {
        for stream in &mut slow {
            let _ = stream.write_all(b"X").await;
        }
        let key = format!("quick-{round}");
        let upload = upload_from_elsewhere(&store, &key);
        // Admission takes no time; the store answers when the disk has the object.
        let answer = tokio::time::timeout(Duration::from_secs(10), upload).await;
        let answer = answer.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    begun.write_all(b"y").await.expect("writable");
    let mut answer = String::new();
    begun.read_to_string(&mut answer).await.expect("readable");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(std::fs::read(folder.path().join("b-1/begun")).expect("a file"), b"xy");
}
