//! What the programs run on: a folder, a Redis server, an S3 server, and the stream that the cameras show.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use msight_bus::{Bus, Table};
use msight_node::metrics::Usage;
use redis::IntoConnectionInfo as _;
use rustix::process::Signal;
use tempfile::TempDir;

use super::flags::Args;
use super::programs::{Program, find};
use msight_camera::{Camera, CameraConfig, LoopVideo};
use msight_store::{Access, Store, StoreConfig};
use msight_supervise::Guard;

/// The bucket that segments go to.
pub(super) const BUCKET: &str = "bench";

/// What the names of topics, nodes and keys begin with, which nobody else has in a shared Redis.
pub(super) fn prefix() -> String {
    format!("bench-{}-", std::process::id())
}

/// The names of the node programs.
pub(super) const SOURCE: &str = "msight_launch_rtsp";
pub(super) const AGGREGATOR: &str = "msight_launch_image_to_video_aggregator";
pub(super) const PUSHER: &str = "msight_launch_aws_video_pusher";

/// The programs that are measured.
pub(super) struct Executables {
    pub(super) source: PathBuf,
    pub(super) aggregator: PathBuf,
    pub(super) pusher: PathBuf,
    /// `msight`, which has all of them in one process; only where that is measured.
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
            launcher: args.one_process.then(|| find("msight")).transpose()?,
        })
    }
}

/// Where topics are.
enum Redis {
    /// A server of our own.
    Private(Program),
    /// Somebody's, at this URL.
    Given(redis::aio::MultiplexedConnection),
}

/// Everything but the programs themselves.
pub(super) struct Rig {
    pub(super) executables: Executables,
    pub(super) store: Store,
    pub(super) recording: Arc<LoopVideo>,
    pub(super) bus: Arc<dyn Bus>,
    /// What each program finds in its environment.
    pub(super) environment: BTreeMap<String, String>,
    /// Flags that each program of ours has.
    pub(super) flags: Vec<String>,
    redis: Redis,
    pub(super) guard: Guard,
    folder: TempDir,
}

impl Rig {
    /// Where the segments of the chain of this name are.
    pub(super) fn segments_of(&self, chain: &str) -> PathBuf {
        self.store.root().join(BUCKET).join(chain)
    }

    /// Looks for the programs first, because that is what may fail, then starts the servers. `recording` is made last.
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
        let (redis, bus) = match &args.redis {
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
                let bus = msight_bus::connect(Some(url)).await.with_context(unavailable)?;
                let client = redis::Client::open(&**url).with_context(unavailable)?;
                let connection = client.get_multiplexed_async_connection().await.with_context(unavailable)?;
                (Redis::Given(connection), bus)
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
        Ok(Self { executables, store, recording, bus, environment, flags, redis, guard, folder })
    }

    /// Where programs write their logs, and others their segments.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A camera that shows the stream, on a port of its own.
    pub(super) async fn camera(&self) -> Result<Camera> {
        Ok(Camera::replay(CameraConfig::default(), self.recording.clone()).await?)
    }

    /// What the Redis server has used so far.
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

    /// What the Redis server is.
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

    /// An error if there is no Redis server any more.
    pub(super) async fn check(&self) -> Result<()> {
        self.bus.read(Table::Nodes).await.context("the Redis server is gone")?;
        Ok(())
    }

    /// Stops what was started here, and leaves somebody's registry without our topics.
    pub(super) async fn take_down(self) -> Result<()> {
        if let Redis::Given(_) = self.redis {
            for (topic, record) in self.bus.read(Table::Topics).await? {
                if topic.starts_with(&prefix()) {
                    // Whoever has rewritten it meanwhile is welcome to it.
                    let _ = self.bus.swap(Table::Topics, &topic, Some(&record), None).await?;
                }
            }
        }
        drop(self.bus);
        if let Redis::Private(server) = self.redis {
            server.stop(Signal::TERM).await?;
        }
        Ok(())
    }
}

/// A server with the settings it comes with, but for the files it would write.
async fn private_redis(folder: &Path, guard: &Guard) -> Result<(Program, u16)> {
    const ATTEMPTS: usize = 5;
    const PATIENCE: Duration = Duration::from_secs(20);
    let executable = find("redis-server", None).context(
        "redis-server is not in PATH; install it (on Debian: apt-get install redis-server), or name a running one: \
         --redis redis://127.0.0.1:6379",
    )?;
    let mut outcome = Ok(());
    for _ in 0..ATTEMPTS {
        // Somebody may take the port before the server does.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .context("no free port")?
            .port();
        let args = ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let mut server = Program::start("redis-server", &executable, args, &BTreeMap::new(), folder, guard)?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
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
