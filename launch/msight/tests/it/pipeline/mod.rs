//! The real programs end to end: a Redis, a bucket, the built-in camera, and each node a process of its own.
//!
//! Every secret that the programs are given holds the text [`SECRET`], so that a test can look for it wherever
//! it must not be.

mod video;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use msight_camera::{Camera, CameraConfig};
use msight_store::{Access, Keys, Store, StoreConfig};
use tempfile::TempDir;

use msight_test_support::Program;
use msight_test_support::redis::RedisServer;
pub(crate) use video::{frames_and_seconds, plays, sidecar, tool};

pub(crate) const BUCKET: &str = "segments";
pub(crate) const DEVICE: &str = "edge1";
/// In every password, and nowhere else.
pub(crate) const SECRET: &str = "geheimnis";
const PREFIX: &str = "msight";

/// What the programs need around them. Its parts end when it is dropped.
pub(crate) struct Pipeline {
    pub(crate) redis: RedisServer,
    pub(crate) store: Store,
    folder: TempDir,
}

impl Pipeline {
    /// A Redis in which the user `node` may do everything, and a bucket.
    pub(crate) async fn start() -> Self {
        Self::around(RedisServer::start(&[
            "--user",
            "node",
            "on",
            &format!(">{SECRET}"),
            "~*",
            "&*",
            "+@all",
        ]))
        .await
    }

    /// A bucket beside this Redis.
    pub(crate) async fn around(redis: RedisServer) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let keys = Keys { access_key: "AKIATEST".to_owned(), secret_key: format!("{SECRET}/{SECRET}") };
        let config = StoreConfig {
            buckets: vec![BUCKET.to_owned()],
            access: Access::Keys(keys),
            ..StoreConfig::new(folder.path().join("store"))
        };
        let store = Store::start(config).await.expect("the store starts");
        Self { redis, store, folder }
    }

    /// A program of the workspace that finds Redis, bucket and device in its environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(crate::nodes::program(program));
        self.environment(&mut command);
        command
    }

    /// Gives a command the environment of the nodes.
    pub(crate) fn environment(&self, command: &mut Command) {
        let keys = self.store.keys();
        command
            .env("MSIGHT_EDGE_DEVICE_NAME", DEVICE)
            .env("MSIGHT_REDIS_MESSAGE_BROKER_HOST", "127.0.0.1")
            .env("MSIGHT_REDIS_MESSAGE_BROKER_PORT", self.redis.port.to_string())
            .env("MSIGHT_REDIS_MESSAGE_BROKER_USERNAME", "node")
            .env("MSIGHT_REDIS_MESSAGE_BROKER_PASSWORD", SECRET)
            .env("AWS_ENDPOINT_URL_S3", self.store.endpoint())
            .env("AWS_ACCESS_KEY_ID", &keys.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &keys.secret_key)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null());
    }

    /// Runs a command as a program that is watched.
    pub(crate) fn run(&self, name: &str, command: Command) -> Program {
        Program::start(name, command)
    }

    /// A node with its name, metrics, and a log for people.
    pub(crate) fn node(&self, program: &str, name: &str, flags: &str) -> Command {
        let mut command = self.command(program);
        command.args(["-n", name, "--metrics", "0", "--log-format", "text"]).args(flags.split_whitespace());
        command
    }

    /// The source `camera` of the sensor `gate`, whose frames go to the topic `frames`.
    pub(crate) fn source(&self, camera: &Camera, flags: &str) -> Program {
        let mut command = self.node("msight_launch_rtsp", "camera", &format!("-pt frames -sn gate {flags}"));
        // The built-in camera lets everybody in.
        command.env("MSIGHT_RTSP_URL", camera.url().replace("rtsp://", &format!("rtsp://viewer:{SECRET}@")));
        self.run("camera", command)
    }

    /// The aggregator `aggregator`, from the topic `frames` to the topic `segments`.
    pub(crate) fn aggregator(&self, flags: &str) -> Program {
        let flags = format!("-st frames -pt segments --overlap-size 0 {flags}");
        self.run("aggregator", self.node("msight_launch_image_to_video_aggregator", "aggregator", &flags))
    }

    /// The pusher `pusher`, from the topic `segments` into the bucket.
    pub(crate) fn pusher(&self, flags: &str) -> Program {
        let flags = format!("-st segments --bucket-name {BUCKET} --prefix {PREFIX} {flags}");
        self.run("pusher", self.node("msight_launch_aws_video_pusher", "pusher", &flags))
    }

    /// The folder of what the pusher has stored.
    pub(crate) fn objects(&self) -> PathBuf {
        self.store.root().join(BUCKET).join(PREFIX)
    }

    /// The objects with this extension, in the order of their keys.
    pub(crate) fn stored(&self, extension: &str) -> Vec<PathBuf> {
        files(&self.objects(), extension)
    }

    /// A folder for what a test needs.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The status that the registry has of a node.
    pub(crate) fn status(&self, node: &str) -> Option<String> {
        let record = self.redis.cli(&["HGET", "MSIGHT:NODES", node]);
        let record: serde_json::Value = serde_json::from_str(&record).ok()?;
        record["status"].as_str().map(str::to_owned)
    }

    /// Whether all of these are at work, by the registry.
    pub(crate) fn are_running(&self, nodes: &[&str]) -> bool {
        nodes.iter().all(|node| self.status(node).as_deref() == Some("RUNNING"))
    }

    /// Looks for [`SECRET`] in all that programs leave behind and show.
    pub(crate) fn assert_no_secret(&self, programs: &[&Program]) {
        let shown = |place: &str, text: &str| {
            assert!(!text.contains(SECRET), "a secret is in {place}:\n{text}");
        };
        for program in programs {
            shown(&format!("the log of {}", program.name), &program.log());
            shown("metrics", &program.get("/metrics").unwrap_or_default());
            shown("readyz", &program.get("/readyz").unwrap_or_default());
            shown("the process list", &program.proc("cmdline"));
        }
        for key in ["MSIGHT:NODES", "MSIGHT:TOPICS"] {
            shown(key, &self.redis.cli(&["HGETALL", key]));
        }
        for sidecar in self.stored("json") {
            shown("a sidecar", &std::fs::read_to_string(sidecar).expect("a sidecar"));
        }
    }
}

/// A camera whose pictures cost little: 320x180.
pub(crate) async fn small_camera(fps: f32) -> Camera {
    let config = CameraConfig { width: 320, height: 180, fps, bitrate: 300_000, ..CameraConfig::default() };
    Camera::start(config).await.expect("the camera starts")
}

/// The files with an extension below a folder, in the order of their names.
pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let entry = entry.expect("an entry");
            let path = entry.path();
            // The store's hidden folder links to the buckets.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
