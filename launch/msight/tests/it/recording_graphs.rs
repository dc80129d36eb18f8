//! The graphs of `compose/` that record a camera, as they stand: as processes and in one process.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use msight_bus::{Receivers, Topic};
use msight_camera::Camera;
use msight_proto::{Head, ImageData, Sample, encode, unix_now};
use msight_store::{Access, Keys, Store, StoreConfig};
use msight_test_support::blocking::until;

use crate::graph::Up;
use crate::pipeline::{files, frames_and_seconds, plays, sidecar, small_camera};

const BUCKET: &str = "recordings";
/// The size of the camera's pictures.
const SIZE: (i64, i64) = (320, 180);

/// A graph of `compose/` that runs on a camera and a bucket of the test.
struct Recording {
    up: Up,
    redis: u16,
    store: Store,
    _camera: Camera,
}

impl Recording {
    async fn start(file: &str, flags: &[&str]) -> Self {
        let camera = small_camera(10.0).await;
        let folder = tempfile::tempdir().expect("a folder");
        let keys = Keys { access_key: "AKIATEST".to_owned(), secret_key: "very-secret".to_owned() };
        let config = StoreConfig {
            buckets: vec![BUCKET.to_owned()],
            access: Access::Keys(keys),
            ..StoreConfig::new(folder.path().join("store"))
        };
        let store = Store::start(config).await.expect("the store starts");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose").join(file);
        fs::copy(shipped, folder.path().join("compose.yaml")).expect("a copy");
        // What the first lines of each file ask for.
        let settings = [
            format!("CAMERA={}", camera.url()),
            format!("BUCKET={BUCKET}"),
            format!("AWS_ENDPOINT_URL_S3={}", store.endpoint()),
            "AWS_ACCESS_KEY_ID=AKIATEST\nAWS_SECRET_ACCESS_KEY=very-secret\nAWS_REGION=us-east-1".to_owned(),
        ];
        fs::write(folder.path().join(".env"), settings.join("\n")).expect("a file");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let redis = free.local_addr().expect("it is bound").port();
        let ports = format!("services: {{ redis: {{ ports: [\"127.0.0.1:{redis}:6379\"] }} }}\n");
        fs::write(folder.path().join("ports.yml"), ports).expect("a file");
        drop(free);
        let up = Up::in_prepared(folder, &[&["compose.yaml", "ports.yml"], flags].concat());
        Self { up, redis, store, _camera: camera }
    }

    fn spool(&self) -> PathBuf {
        self.up.folder.path().join("spool-data")
    }

    /// Whether a segment is being written.
    fn is_recording(&self) -> bool {
        !files(&self.spool(), "part").is_empty()
    }

    /// Stops the graph, which finishes and uploads the open segments, and checks those below a folder of the bucket. Gives
    /// the capture times of their frames.
    fn stop(&mut self, prefix: &str) -> Vec<f64> {
        assert_eq!(self.up.stop(), Some(0), "{}", self.up.log());
        for extension in ["part", "mp4", "json"] {
            let left = files(&self.spool(), extension);
            assert_eq!(left, Vec::<PathBuf>::new(), "all is uploaded and deleted: {}", self.up.log());
        }
        let log = self.up.log();
        assert!(!log.contains("very-secret"), "{log}");
        let stored = files(&self.store.root().join(BUCKET).join(prefix), "mp4");
        assert!(!stored.is_empty(), "{log}");
        let mut captured = Vec::new();
        for video in &stored {
            plays(video);
            let (shown, _) = frames_and_seconds(video, SIZE);
            let sidecar = sidecar(video);
            let times = sidecar["capture_timestamps"].as_array().expect("a list").iter();
            let times: Vec<f64> = times.map(|time| time.as_f64().expect("a time")).collect();
            assert_eq!(times.len(), shown as usize, "{}", video.display());
            captured.extend(times);
        }
        captured
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_is_recorded_into_a_bucket() {
    for flags in [&[][..], &["--one-process"]] {
        let mut recording = Recording::start("recorder.yml", flags).await;
        tokio::task::block_in_place(|| {
            until("a segment is written", || recording.is_recording());
            assert!(!recording.stop("").is_empty());
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_gives_pictures_and_a_recording() {
    for flags in [&[][..], &["--one-process"]] {
        let mut recording = Recording::start("pictures.yml", flags).await;
        tokio::task::block_in_place(|| {
            until("a segment is written", || recording.is_recording());
            until("the preview has a frame", || recording.up.log().contains("encoding H.264"));
            // The preview has a prefix of its own.
            assert!(!recording.stop("roadside-1").is_empty());
            let previews = files(&recording.store.root().join(BUCKET).join("previews"), "mp4");
            assert_eq!(previews.len(), 1, "{}", recording.up.log());
            plays(&previews[0]);
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_recorded_with_what_came_before_it() {
    for flags in [&[][..], &["--one-process"]] {
        let mut recording = Recording::start("events.yml", flags).await;
        let url = format!("redis://127.0.0.1:{}", recording.redis);
        tokio::task::block_in_place(|| {
            until("the camera plays", || recording.up.log().contains("camera plays"));
        });
        assert!(!recording.is_recording());
        let bus = msight_bus::connect(Some(&url)).await.expect("a Redis").bus;
        let topic = Topic::new("events").expect("a topic");
        let deadline = Instant::now() + Duration::from_secs(60);
        let time = loop {
            // A second ahead, so that the camera has frames before it however lately it began to play.
            let time = unix_now() + 1.0;
            let event = Sample::new(Head::new("gate".to_owned(), time), ImageData::default());
            let event = encode(&event).expect("a message");
            match bus.publish(&topic, event).await.expect("it is published") {
                Receivers::Known(0) => assert!(Instant::now() < deadline, "the recorder listens for events"),
                _ => break time,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        tokio::task::block_in_place(|| {
            until("the clip is written", || recording.is_recording());
            let captured = recording.stop("");
            assert!(captured.first().is_some_and(|first| *first < time), "{time}: {captured:?}");
        });
    }
}
