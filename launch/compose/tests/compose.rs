//! Compose files mean here what Docker Compose says they mean: commands and variables are compared with what
//! `docker-compose config` makes of the same files.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use msight_compose::{Located, Options, Project, Source, read};
use msight_test_support::{can_run, is_installed};
use serde::Deserialize;

/// A service as both sides see it.
#[derive(Debug, Default, PartialEq, Deserialize)]
struct Seen {
    entrypoint: Option<Vec<String>>,
    command: Option<Vec<String>>,
    environment: BTreeMap<String, String>,
}

type Services = BTreeMap<String, Seen>;

/// The variables that both sides are given.
const VARIABLES: [(&str, &str); 8] = [
    ("SET", "value"),
    ("EMPTY", ""),
    ("CAMERA_URL", "rtsp://me:pass@localhost:8554/a?b=1&c=$d"),
    ("FROM_OUTSIDE", "from outside"),
    ("BUCKET", "videos"),
    ("CAMERA", "rtsp://10.0.0.11/"),
    ("NORTH_URL", "rtsp://10.0.0.11/"),
    ("SOUTH_URL", "rtsp://me:pa$$s@10.0.0.12/"),
];

/// What Docker Compose prints, read by the YAML library that it is written with. It doubles dollar signs, so that
/// what it prints can be read again; a command that is one text it splits where it runs it, with `shlex`.
const INTERPRETER: &str = r#"
import json, shlex, sys, yaml
def plain(value):
    return value.replace("$$", "$") if isinstance(value, str) else "" if value is None else str(value)
def words(value):
    return value and shlex.split(plain(value)) if isinstance(value, str) else value and [plain(word) for word in value]
services = yaml.safe_load(sys.stdin)["services"]
json.dump({name: {
    "entrypoint": words(service.get("entrypoint")),
    "command": words(service.get("command")),
    "environment": {key: plain(value) for key, value in service.get("environment", {}).items() if value is not None},
} for name, service in services.items()}, sys.stdout)
"#;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn options() -> Options {
    let variables = VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Options { variables: variables.into(), folder: data(""), ..Options::default() }
}

/// What we make of the files; an empty command and none are one thing to Docker Compose.
fn ours(project: &Project) -> Services {
    let words = |words: &Option<Vec<Located<String>>>| {
        let words: Vec<String> = words.iter().flatten().map(|word| word.value.clone()).collect();
        (!words.is_empty()).then_some(words)
    };
    let seen = project.services.iter().map(|service| {
        let environment =
            service.environment.iter().map(|(name, value)| (name.to_owned(), value.value.clone()));
        let seen = Seen {
            entrypoint: words(&service.entrypoint),
            command: words(&service.command),
            environment: environment.collect(),
        };
        (service.name.value.clone(), seen)
    });
    seen.collect()
}

fn run(program: impl AsRef<OsStr>, args: &[&OsStr], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(VARIABLES)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What Docker Compose makes of the files, as it prints it.
fn config(files: &[PathBuf]) -> Vec<u8> {
    let mut args: Vec<&OsStr> = Vec::new();
    for file in files {
        args.extend([OsStr::new("-f"), file.as_os_str()]);
    }
    args.push(OsStr::new("config"));
    run("docker-compose", &args, b"")
}

#[test]
fn docker_compose_agrees_on_commands_and_variables() {
    let shown = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose")).unwrap();
    let shown = shown.map(|file| file.unwrap().path());
    let shown: Vec<PathBuf> =
        shown.filter(|file| file.extension().is_some_and(|ending| ending == "yml")).collect();
    assert!(!shown.is_empty());
    let mut projects = vec![
        vec![data("one_image.yaml")],
        vec![data("quotes.yaml")],
        vec![data("variables.yaml")],
        vec![data("base.yaml"), data("override.yaml")],
    ];
    projects.extend(shown.into_iter().map(|file| vec![file]));
    let is_there = is_installed("docker-compose", &["version"]);
    let is_compared = can_run(is_there, "docker-compose (apt-get install docker-compose)");
    for files in projects {
        let sources: Vec<Source> = files.iter().cloned().map(Source::Path).collect();
        let reading = read(&sources, &options());
        assert!(!reading.has_errors(), "{:?}", reading.findings);
        let ours = ours(&reading.project);
        assert!(!ours.is_empty());
        if !is_compared {
            continue;
        }
        let printed = config(&files);
        // The Python that docker-compose itself runs on.
        let json = run("/usr/bin/python3", &[OsStr::new("-c"), OsStr::new(INTERPRETER)], &printed);
        let theirs: Services = serde_json::from_slice(&json).unwrap();
        let theirs: Services = theirs.into_iter().map(|(name, seen)| (name, without_empty(seen))).collect();
        assert_eq!(ours, theirs, "{files:?}");
        // The way out for what is not supported here: what Docker Compose prints is read as well, and is the same.
        let text = String::from_utf8(printed).unwrap();
        let again = read(&[Source::Text { name: "<stdin>".into(), text }], &options());
        assert!(!again.has_errors(), "{files:?}: {:?}", again.findings);
        assert_eq!(self::ours(&again.project), ours, "{files:?}, printed by docker-compose");
    }
}

fn without_empty(seen: Seen) -> Seen {
    let filled = |words: Option<Vec<String>>| words.filter(|words| !words.is_empty());
    Seen { entrypoint: filled(seen.entrypoint), command: filled(seen.command), environment: seen.environment }
}
