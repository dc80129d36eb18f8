//! The environment of the programs: a folder, a Redis server, an S3 server, and the stream of the cameras.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use msight_bus::{Bus, Connection, Registry, Table};
use msight_node::metrics::Usage;
use redis::IntoConnectionInfo as _;
use rustix::process::Signal;
use tempfile::TempDir;

use super::flags::Args;
use super::programs::{Program, find};
use msight_camera::{Camera, CameraConfig, LoopVideo};
use msight_store::{Access, Store, StoreConfig};
use msight_supervise::Guard;

/// The bucket of the segments.
pub(super) const BUCKET: &str = "bench";

/// The prefix of topics, nodes and keys, unique in a shared Redis.
pub(super) fn prefix() -> String {
    format!("bench-{}-", std::process::id())
}

/// The names of the node programs.
pub(super) const SOURCE: &str = "msight_launch_rtsp";
pub(super) const AGGREGATOR: &str = "msight_launch_image_to_video_aggregator";
pub(super) const PUSHER: &str = "msight_launch_aws_video_pusher";
pub(super) const RECORDER: &str = "msight_launch_recorder";

/// The programs that are measured.
pub(super) struct Executables {
    pub(super) source: PathBuf,
    pub(super) aggregator: PathBuf,
    pub(super) pusher: PathBuf,
    /// Only if recording is measured.
    recorder: Option<PathBuf>,
    /// `msight`, only if one process is measured.
    pub(super) launcher: Option<PathBuf>,
}

impl Executables {
    fn find(args: &Args) -> Result<Self> {
        let folder = args.programs.as_deref();
        let find = |program: &str| {
            find(program, folder).with_context(|| {
                let place = match folder {
                    Some(folder) => format!("not in {}", folder.display()),
                    None => "neither beside this program nor in PATH".to_owned(),
                };
                format!(
                    "{program} is {place}; build it with cargo build --release --bins, or install it with cargo install \
                     --path nodes/..."
                )
            })
        };
        Ok(Self {
            source: find(SOURCE)?,
            aggregator: find(AGGREGATOR)?,
            pusher: find(PUSHER)?,
            recorder: args.copy.then(|| find(RECORDER)).transpose()?,
            launcher: (args.one_process || args.copy).then(|| find("msight")).transpose()?,
        })
    }

    /// The program of a node by its name.
    pub(super) fn of(&self, program: &str) -> Result<&Path> {
        let found = match program {
            SOURCE => Some(&self.source),
            AGGREGATOR => Some(&self.aggregator),
            PUSHER => Some(&self.pusher),
            RECORDER => self.recorder.as_ref(),
            _ => None,
        };
        found.map(PathBuf::as_path).with_context(|| format!("the program {program} was not searched for"))
    }
}

/// The Redis server.
enum Redis {
    /// A private server.
    Private(Program),
    /// The user's server at this URL.
    Given(redis::aio::MultiplexedConnection),
}

/// The environment of the programs.
pub(super) struct Rig {
    pub(super) executables: Executables,
    pub(super) store: Store,
    pub(super) recording: Arc<LoopVideo>,
    pub(super) bus: Arc<dyn Bus>,
    registry: Arc<dyn Registry>,
    /// The variables of each program.
    pub(super) environment: BTreeMap<String, String>,
    /// The common flags of our programs.
    pub(super) flags: Vec<String>,
    redis: Redis,
    pub(super) guard: Guard,
    folder: TempDir,
}

impl Rig {
    /// The folder of the segments of the chain with this name.
    pub(super) fn segments_of(&self, chain: &str) -> PathBuf {
        self.store.root().join(BUCKET).join(chain)
    }

    /// Finds the programs first, because that may fail, then starts the servers. `recording` is made last.
    pub(super) async fn set_up(
        args: &Args,
        recording: impl Future<Output = Result<LoopVideo>>,
    ) -> Result<Self> {
        let executables = Executables::find(args)?;
        let folder = tempfile::Builder::new()
            .prefix("msight-bench-")
            .tempdir()
            .context("cannot create a temporary folder")?;
        let guard = Guard::of_folder(folder.path())?;
        let mut environment = BTreeMap::from([("MSIGHT_EDGE_DEVICE_NAME".to_owned(), "bench".to_owned())]);
        let mut flags = ["--metrics", "127.0.0.1:0", "--log-format", "text"].map(str::to_owned).to_vec();
        let (redis, Connection { bus, registry }) = match &args.redis {
            None => {
                let (server, port) = private_redis(folder.path(), &guard).await?;
                let place = [("HOST", "127.0.0.1".to_owned()), ("PORT", port.to_string())];
                for (name, value) in place {
                    environment.insert(format!("MSIGHT_REDIS_MESSAGE_BROKER_{name}"), value);
                }
                (
                    Redis::Private(server),
                    msight_bus::connect(Some(&format!("redis://127.0.0.1:{port}"))).await?,
                )
            }
            Some(url) => {
                // Every user of the machine can read the programs' command lines.
                let secret = (&**url).into_connection_info().is_ok_and(|info| {
                    let login = info.redis_settings();
                    login.username().is_some() || login.password().is_some()
                });
                if secret || url.contains('@') {
                    bail!(
                        "--redis takes no user name and password; a server on this machine for the bench needs none"
                    );
                }
                flags.extend(["--redis-url".to_owned(), url.to_string()]);
                let unavailable = || format!("no Redis server at {}", &**url);
                let ours = msight_bus::connect(Some(url)).await.with_context(unavailable)?;
                let client = redis::Client::open(&**url).with_context(unavailable)?;
                let connection = client.get_multiplexed_async_connection().await.with_context(unavailable)?;
                (Redis::Given(connection), ours)
            }
        };
        let root = folder.path().join("store");
        let store = StoreConfig {
            buckets: vec![BUCKET.to_owned()],
            access: Access::Anyone,
            ..StoreConfig::new(root)
        };
        let store = Store::start(store).await?;
        let recording = Arc::new(recording.await?);
        Ok(Self { executables, store, recording, bus, registry, environment, flags, redis, guard, folder })
    }

    /// The folder of logs and of the compared programs' segments.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts a camera that streams the recording, on its own port.
    pub(super) async fn camera(&self) -> Result<Camera> {
        Ok(Camera::replay(CameraConfig::default(), self.recording.clone()).await?)
    }

    /// The CPU and memory of the Redis server so far.
    pub(super) async fn redis_usage(&self) -> Result<(Duration, u64)> {
        match &self.redis {
            Redis::Private(server) => server.usage().map(|Usage { cpu, peak_bytes, .. }| (cpu, peak_bytes)),
            Redis::Given(connection) => {
                let mut connection = connection.clone();
                let info: redis::InfoDict = redis::cmd("INFO")
                    .query_async(&mut connection)
                    .await
                    .context("cannot read the Redis server's CPU and memory")?;
                let number = |key| info.get::<f64>(key).unwrap_or(0.0);
                let cpu = number("used_cpu_sys") + number("used_cpu_user");
                Ok((Duration::from_secs_f64(cpu.max(0.0)), number("used_memory_peak") as u64))
            }
        }
    }

    /// The description of the Redis server.
    pub(super) async fn redis_version(&self) -> Option<String> {
        match &self.redis {
            Redis::Private(_) => super::programs::version(&find("redis-server", None)?, "--version").await,
            Redis::Given(connection) => {
                let info: redis::InfoDict =
                    redis::cmd("INFO").query_async(&mut connection.clone()).await.ok()?;
                Some(format!("Redis server v={}", info.get::<String>("redis_version")?))
            }
        }
    }

    /// Fails if the Redis server has ended.
    pub(super) async fn check(&self) -> Result<()> {
        self.registry.read(Table::Nodes).await.context("the Redis server is gone")?;
        Ok(())
    }

    /// Stops the servers, and removes our topics from the user's registry.
    pub(super) async fn take_down(self) -> Result<()> {
        if let Redis::Given(_) = self.redis {
            for (topic, record) in self.registry.read(Table::Topics).await? {
                if topic.starts_with(&prefix()) {
                    // If another program has changed the record, it stays.
                    let _ = self.registry.swap(Table::Topics, &topic, Some(&record), None).await?;
                }
            }
        }
        drop((self.bus, self.registry));
        if let Redis::Private(server) = self.redis {
            server.stop(Signal::TERM).await?;
        }
        Ok(())
    }
}

/// A server with default settings, except that it writes no files.
async fn private_redis(folder: &Path, guard: &Guard) -> Result<(Program, u16)> {
    const ATTEMPTS: usize = 5;
    const TIME_LIMIT: Duration = Duration::from_secs(20);
    let executable = find("redis-server", None).context(
        "redis-server is not in PATH; install it (on Debian: apt-get install redis-server), or name a running one: \
         --redis redis://127.0.0.1:6379",
    )?;
    let mut outcome = Ok(());
    for _ in 0..ATTEMPTS {
        // Another program may take the port first.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .context("no free port")?
            .port();
        let args = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let mut server = Program::start("redis-server", &executable, args, &BTreeMap::new(), folder, guard)?;
        let begun = Instant::now();
        while begun.elapsed() < TIME_LIMIT {
            outcome = server.check();
            if outcome.is_err() {
                break;
            }
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok((server, port));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    outcome.and_then(|()| bail!("redis-server does not answer"))
}
