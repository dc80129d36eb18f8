//! `msight reset` and `msight_reset_redis`: delete the registry of nodes and topics.

use std::io::{self, BufRead as _, IsTerminal as _};

use anyhow::{Context as _, Result, bail};
use msight_node::flags::Secret;
use url::Url;

use super::{print, print_err, redis};

/// Delete the registry of nodes and topics: every Redis key that begins with MSIGHT
///
/// Running nodes are not stopped. The nodes of this project register again within seconds; MSight's Python nodes exit
/// when their record is gone.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Args {
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,

    /// URL of the Redis server, redis://host:6379/0 [default: the MSIGHT_REDIS_MESSAGE_BROKER_* variables]
    #[arg(long, value_name = "URL")]
    redis_url: Option<Secret>,
}

/// Delete the registry of MSight's bus
///
/// The server is that of the MSIGHT_REDIS_MESSAGE_BROKER_* variables. As in MSight, the options have no effect; an
/// option that differs from the variables causes a warning.
#[derive(clap::Parser, Clone, Debug)]
#[command(name = "msight_reset_redis", version)]
pub struct MsightArgs {
    /// Host of the server
    #[arg(long)]
    host: Option<String>,
    /// Port of the server
    #[arg(short, long)]
    port: Option<i64>,
    /// Number of the database
    #[arg(short, long)]
    db: Option<i64>,
}

/// Asks for confirmation on a terminal, then deletes.
///
/// # Errors
/// There is no terminal to ask on, the answer is no, or deleting fails.
pub async fn run(args: Args) -> Result<()> {
    let registry = redis(args.redis_url.as_deref()).await?.registry;
    if !args.yes {
        if !io::stdin().is_terminal() {
            bail!("nothing deleted: stdin is not a terminal; pass --yes to delete without confirmation");
        }
        print_err(format_args!("Delete the registry of nodes and topics on {}? [y/N] ", registry.describe()));
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).context("nothing deleted: cannot read the answer")?;
        if !["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
            bail!("nothing deleted");
        }
    }
    delete(&*registry).await
}

/// Deletes without confirmation on the server of the environment.
///
/// # Errors
/// Deleting fails.
pub async fn run_as_msight(args: MsightArgs) -> Result<()> {
    let registry = redis(None).await?.registry;
    for ignored in args.contradicting(&registry.describe()) {
        print_err(format_args!("msight_reset_redis: {ignored}\n"));
    }
    delete(&*registry).await
}

impl MsightArgs {
    /// Warnings about options that differ from the server that is used.
    fn contradicting(&self, place: &str) -> Vec<String> {
        let url = Url::parse(place).ok();
        let host = url.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
        let port = url.as_ref().and_then(Url::port);
        let db = url.as_ref().and_then(|url| url.path().trim_start_matches('/').parse::<i64>().ok());
        let same_host = self.host.as_deref().is_none_or(|asked| asked == host);
        let same_port = self.port.is_none_or(|asked| port.is_some_and(|port| asked == i64::from(port)));
        let same_db = self.db.is_none_or(|asked| Some(asked) == db);
        [("--host", "HOST", same_host), ("--port", "PORT", same_port), ("--db", "DB", same_db)]
            .into_iter()
            .filter(|(.., same)| !same)
            .map(|(option, variable, _)| {
                format!(
                    "{option} has no effect, as in MSight; using {place}; set MSIGHT_REDIS_MESSAGE_BROKER_{variable} instead"
                )
            })
            .collect()
    }
}

async fn delete(registry: &dyn msight_bus::Registry) -> Result<()> {
    let count = registry.reset().await.context("cannot delete the whole registry; a part may be gone")?;
    let keys = if count == 1 { "key" } else { "keys" };
    print(format_args!("Deleted {count} {keys} that begin with MSIGHT on {}\n", registry.describe()))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn options_that_msight_ignores_are_named_when_they_say_something_else() {
        let said = |args: &[&str], place: &str| {
            let args = MsightArgs::parse_from([&["msight_reset_redis"], args].concat());
            args.contradicting(place)
                .iter()
                .map(|line| line.split(' ').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        assert_eq!(said(&[], "redis://localhost:6379/0"), none);
        assert_eq!(said(&["--host", "localhost", "-p", "6379", "-d", "0"], "redis://localhost:6379/0"), none);
        assert_eq!(
            said(&["--host", "other", "-p", "6380", "-d", "1"], "redis://localhost:6379/0"),
            ["--host", "--port", "--db"]
        );
        assert_eq!(said(&["--port", "6379"], "unix:///run/redis.sock"), ["--port"]);
    }
}
