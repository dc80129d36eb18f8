//! Reads the Redis settings of a service that a local `redis-server` can use.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::volumes;
use crate::server::words_of;
use msight_compose::Service;

/// Settings to apply. The others are about the container, its disk or other servers.
const TAKEN: [&str; 25] = [
    "requirepass",
    "maxmemory",
    "maxmemory-policy",
    "maxmemory-samples",
    "maxclients",
    "timeout",
    "tcp-keepalive",
    "tcp-backlog",
    "databases",
    "client-output-buffer-limit",
    "client-query-buffer-limit",
    "proto-max-bulk-len",
    "notify-keyspace-events",
    "loglevel",
    "hz",
    "dynamic-hz",
    "io-threads",
    "io-threads-do-reads",
    "slowlog-log-slower-than",
    "slowlog-max-len",
    "latency-monitor-threshold",
    "activedefrag",
    "lazyfree-lazy-eviction",
    "rename-command",
    "user",
];

/// Settings that msight determines: nodes know the port, and the server is only local.
const GIVEN: [&str; 4] = ["port", "bind", "protected-mode", "daemonize"];

/// Variables that images use as password.
const PASSWORDS: [&str; 2] = ["REDIS_PASSWORD", "VALKEY_PASSWORD"];

/// The settings of a service. There is no `Debug`, because they contain the password.
#[derive(Default)]
pub(super) struct Settings {
    /// A settings file, overridden by the others.
    file: Option<PathBuf>,
    taken: Vec<(String, Vec<String>)>,
    left_out: Vec<String>,
}

impl Settings {
    /// Reads the command of a service: that of a server, or arguments for the image's entry point.
    pub(super) fn of(service: &Service) -> Self {
        let mut settings = Self::default();
        for name in PASSWORDS {
            if let Some(password) = service.environment.get(name).filter(|value| !value.is_empty()) {
                settings.taken.push(("requirepass".to_owned(), vec![password.value.clone()]));
            }
        }
        let words = words_of(service);
        let program = words.iter().position(|word| word.rsplit('/').next().is_some_and(is_server));
        let mut words = words.get(program.map_or(0, |at| at + 1)..).unwrap_or_default();
        if program.is_none() && words.first().is_some_and(|word| !word.starts_with("--")) {
            // The command may contain a password.
            settings.left_out.push("its command, which starts no redis-server by itself".to_owned());
            return settings;
        }
        if let Some((file, rest)) = words.split_first().filter(|(word, _)| !word.starts_with("--")) {
            match volumes::outside(file, &service.volumes).filter(|file| file.is_file()) {
                Some(outside) => settings.file = Some(outside),
                None => settings.left_out.push((*file).to_owned()),
            }
            words = rest;
        }
        while let Some((name, rest)) = words.split_first() {
            let end = rest.iter().position(|word| word.starts_with("--")).unwrap_or(rest.len());
            let (values, after) = rest.split_at(end);
            settings.set(name, values);
            words = after;
        }
        settings
    }

    fn set(&mut self, flag: &str, values: &[&str]) {
        let name = flag.trim_start_matches('-').to_ascii_lowercase();
        let keeps_nothing = matches!((&*name, values), ("save", [""]) | ("appendonly", ["no"]));
        if TAKEN.contains(&&*name) {
            self.taken.push((name, values.iter().map(|value| (*value).to_owned()).collect()));
        } else if !GIVEN.contains(&&*name) && !keeps_nothing {
            // Its value, or a word that only looks like a flag, may be a password.
            let name = flag.split('=').next().unwrap_or_default();
            let is_name = name.chars().all(|c| c.is_ascii_alphabetic() || c == '-');
            self.left_out.push(if is_name { name } else { "a word of its command" }.to_owned());
        }
    }

    /// The password of the server.
    pub(super) fn password(&self) -> Option<&str> {
        let set = self.taken.iter().rev().find(|(name, _)| name == "requirepass");
        set.and_then(|(_, values)| values.first()).map(String::as_str).filter(|password| !password.is_empty())
    }

    /// The settings that a started server does not have.
    pub(super) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The settings that a running server may not have, without the password.
    pub(super) fn not_told(&self) -> Vec<String> {
        let file = self.file.iter().map(|file| file.display().to_string());
        let taken = self.taken.iter().filter(|(name, _)| name != "requirepass");
        file.chain(taken.map(|(name, _)| format!("--{name}"))).chain(self.left_out.iter().cloned()).collect()
    }

    /// The settings as a configuration for standard input: every user of the machine can read command lines.
    pub(super) fn configuration(&self, address: SocketAddr) -> String {
        // Segments are messages of several megabytes: the default limit of 32 MB is too low for a slow reader.
        let mut text = "client-output-buffer-limit pubsub 256mb 64mb 60\n".to_owned();
        if let Some(file) = &self.file {
            let _ = writeln!(text, "include {}", quoted(&file.to_string_lossy()));
        }
        for (name, values) in &self.taken {
            let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
            let _ = writeln!(text, "{name} {}", values.join(" "));
        }
        let _ = writeln!(
            text,
            "port {}\nbind {}\nsave \"\"\nappendonly no\ndaemonize no",
            address.port(),
            address.ip()
        );
        text
    }
}

fn is_server(program: &str) -> bool {
    Path::new(program).file_name().is_some_and(|name| name.as_encoded_bytes().ends_with(b"-server"))
}

/// Quotes a word for Redis' `sdssplitargs`.
fn quoted(word: &str) -> String {
    let mut text = "\"".to_owned();
    for c in word.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_ascii_control() => {
                let _ = write!(text, "\\x{:02x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::catalog::Catalog;
    use crate::graph::GraphContext;
    use crate::machine::plan;
    use msight_compose::{Options, Source, read};
    use msight_supervise::{Phase, Supervisor};

    fn settings(service: &str) -> Settings {
        let text = format!("services: {{ redis: {{ image: redis, {service} }} }}");
        let source = Source::Text { name: "compose.yaml".into(), text };
        Settings::of(&read(&[source], &Options::default()).project.services[0])
    }

    #[test]
    fn what_means_the_same_here_is_taken_and_the_rest_is_named() {
        let table: [(&str, &[&str], &[&str]); 9] = [
            ("command: redis-server --maxmemory 64mb --save '' --port 6380", &["maxmemory \"64mb\""], &[]),
            ("command: --hz 5 --save 60 1 --dir /data", &["hz \"5\""], &["--save", "--dir"]),
            ("command: [valkey-server, --requirepass, 'a \"b\\c']", &["requirepass \"a \\\"b\\\\c\""], &[]),
            ("entrypoint: /usr/bin/redis-server, command: --appendonly yes", &[], &["--appendonly"]),
            ("command: redis-server /etc/redis.conf --timeout 3", &["timeout \"3\""], &["/etc/redis.conf"]),
            (
                "command: sh -c 'redis-server --requirepass secret'",
                &[],
                &["its command, which starts no redis-server by itself"],
            ),
            ("environment: { REDIS_PASSWORD: p }", &["requirepass \"p\""], &[]),
            ("command: redis-server", &[], &[]),
            ("command: redis-server --requirepass=hunter2", &[], &["--requirepass"]),
        ];
        for (service, lines, left_out) in table {
            let settings = settings(service);
            let configuration = settings.configuration(([127, 0, 0, 1], 1).into());
            let between = configuration.lines().skip(1).take_while(|line| *line != "port 1");
            assert_eq!(between.collect::<Vec<_>>(), lines, "{service}");
            assert_eq!(settings.left_out(), left_out, "{service}");
        }
    }

    #[test]
    fn a_server_that_is_there_is_told_nothing_and_must_have_the_password() {
        let settings = settings("command: --requirepass one --requirepass two --maxmemory 1gb --dir /d");
        assert_eq!(settings.password(), Some("two"));
        assert_eq!(settings.not_told(), ["--maxmemory", "--dir"]);
    }

    #[tokio::test]
    async fn a_password_is_the_servers_and_stays_out_of_sight() {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let text = format!(
            "services: {{ redis: {{ image: redis, ports: ['{port}:6379'],
                command: redis-server --requirepass 'very secret' --maxmemory 64mb --dir /data }} }}"
        );
        let planned = async |text: &str| {
            let source = Source::Text { name: "compose.yaml".into(), text: text.into() };
            let options = Options { folder: std::env::temp_dir(), ..Options::default() };
            let project = read(&[source], &options).project;
            let catalog = Catalog::new([], None);
            let (graph, _) = crate::read::read(&project, &catalog, &GraphContext::default()).await;
            plan(&project, &graph, &catalog, &["/usr/bin".into()], None).await
        };
        let first = planned(&text).await;
        assert_eq!(first.aside, [("redis".to_owned(), "started without --dir".to_owned())]);
        assert!(!format!("{first:?}").contains("secret"));
        let (supervisor, _lines) = Supervisor::start(first.jobs).expect("it starts");
        let ready = async {
            loop {
                let state = supervisor.states().iter().next().map(|(_, state)| state).expect("a job");
                if state.phase == Phase::Ready {
                    break state.pid;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        let pid = timeout(Duration::from_secs(60), ready).await.expect("it is ready").expect("it runs");
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("its command line");
        assert!(line.contains("redis-server") && !line.contains("secret"), "{line}");

        let again = planned(&text).await;
        let [(service, note)] = &again.aside[..] else { panic!("{:?}", again.aside) };
        assert_eq!(service, "redis");
        assert!(note.contains(&format!("127.0.0.1:{port}")) && note.contains("--maxmemory, --dir"), "{note}");
        let other = planned(&text.replace("very secret", "another")).await;
        assert!(other.findings[0].message.contains("password"), "{:?}", other.findings);
        supervisor.stop().await;
    }
}
