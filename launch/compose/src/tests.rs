//! Whole files: the project that is read, and the findings.

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn source(name: &str, text: &str) -> Source {
    Source::Text { name: name.into(), text: text.into() }
}

fn options(variables: &[(&str, &str)]) -> Options {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Options { variables: variables.collect(), folder: "/srv/graph".into(), ..Options::default() }
}

/// Reads a project that has no findings.
fn clean(text: &str) -> Project {
    let reading = read(&[source("compose.yaml", text)], &options(&[]));
    assert!(reading.findings.is_empty(), "{}", rendered(&reading));
    reading.project
}

fn rendered(reading: &Reading) -> String {
    reading.findings.iter().map(|finding| format!("{finding}\n")).collect()
}

/// Place, severity and code of each finding, as `c:4:5 error unknown-key`.
fn codes(text: &str) -> Vec<String> {
    let reading = read(&[source("c", text)], &options(&[]));
    reading.findings.iter().map(code).collect()
}

fn code(finding: &Finding) -> String {
    let place = finding.place.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{place} {} {}", finding.severity, finding.code)
}

fn words(words: impl IntoIterator<Item = impl std::ops::Deref<Target = Located<String>>>) -> Vec<String> {
    words.into_iter().map(|word| word.value.clone()).collect()
}

#[test]
fn one_image_for_all_nodes() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("msight.env"), "MSIGHT_EDGE_DEVICE_NAME=corner\nTZ='UTC'\n").unwrap();
    let text = r#"
x-node: &node
  image: ghcr.io/michigan-traffic-lab/msight:latest
  network_mode: host
  restart: unless-stopped
  env_file: msight.env
  environment: &variables
    MSIGHT_REDIS_MESSAGE_BROKER_HOST: localhost
    MSIGHT_REDIS_MESSAGE_BROKER_PORT: 6379

services:
  redis:
    image: redis:7
    network_mode: host
  camera:
    <<: *node
    entrypoint: ["msight_launch_rtsp"]
    command: ["-n", "camera", "-pt", "frames", "--url", "rtsp://localhost:8554/live.stream"]
    environment:
      <<: *variables
      TZ: Europe/Berlin
    depends_on:
      redis:
        condition: service_healthy
  video:
    <<: [*node]
    entrypoint: [msight_launch_image_to_video_aggregator]
    command: -n video -st frames -pt videos --buffer-size 100
"#;
    let options = Options { folder: folder.path().into(), ..options(&[]) };
    let reading = read(&[source("compose.yaml", text)], &options);
    assert!(reading.findings.is_empty(), "{}", rendered(&reading));
    let project = reading.project;
    assert_eq!(
        project.services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>(),
        ["redis", "camera", "video"]
    );
    let camera = project.service("camera").unwrap();
    assert_eq!(camera.restart, Restart::UnlessStopped);
    assert_eq!(words(camera.command_line())[..3], ["msight_launch_rtsp", "-n", "camera"]);
    let variables: Vec<_> =
        camera.environment.iter().map(|(name, value)| format!("{name}={}", value.value)).collect();
    assert_eq!(
        variables,
        [
            "MSIGHT_EDGE_DEVICE_NAME=corner",
            "TZ=Europe/Berlin",
            "MSIGHT_REDIS_MESSAGE_BROKER_HOST=localhost",
            "MSIGHT_REDIS_MESSAGE_BROKER_PORT=6379",
        ]
    );
    assert_eq!(camera.depends_on[0].condition, Condition::Healthy);
    // Where the words stand, in a list and in a text.
    let word = &camera.command.as_ref().unwrap()[3];
    assert_eq!(format!("{:?}", word.place), "compose.yaml:18:38 services.camera.command[3]");
    let video = project.service("video").unwrap();
    let word = &video.command.as_ref().unwrap()[3];
    assert_eq!(
        (word.as_str(), format!("{:?}", word.place)),
        ("frames", "compose.yaml:28:27 services.video.command[3]".into())
    );
    assert_eq!(
        format!("{:?}", video.image.as_ref().unwrap().place),
        "compose.yaml:3:10 services.video.image"
    );
}

#[test]
fn the_compose_file_of_the_tutorial() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose/tutorial.yml");
    let text = std::fs::read_to_string(&path).unwrap();
    let reading = read(&[Source::Path(path)], &options(&[("BUCKET", "videos")]));
    let only_notes = reading.findings.iter().all(|finding| finding.severity == Severity::Note);
    assert!(only_notes, "{}", rendered(&reading));
    let source = reading.project.service("video-source").unwrap();
    let command = words(source.command.as_ref().unwrap());
    assert_eq!(command[0], "-re");
    assert_eq!(command.last().unwrap(), "rtsp://rtsp-server:8554/live.stream");
    let line =
        1 + text.lines().position(|line| line.contains("rtsp://rtsp-server:8554/live.stream")).unwrap();
    assert_eq!(source.command.as_ref().unwrap().last().unwrap().place.line, line);
    assert!(matches!(&source.volumes[0].source, Mount::Path(path) if path.ends_with("compose")));
    let port = &reading.project.service("redis").unwrap().ports[0];
    assert_eq!((port.published, *port.target), (Some(6379), 6379));
}

#[test]
fn every_key_of_a_service() {
    let project = clean(
        r#"
name: corner-1
services:
  db: {image: redis}
  a:
    build: .
    container_name: the-a
    hostname: host-a
    scale: 2
    restart: on-failure:3
    stop_grace_period: 1m30s
    stop_signal: SIGINT
    working_dir: /work
    user: "1000:1000"
    profiles: [one, two]
    x-mine: {anything: [1, 2]}
    networks: {default: {aliases: [other-a]}}
    depends_on: [db]
    healthcheck: {test: redis-cli ping, interval: 1s, retries: 2, start_period: 500ms}
    labels: {a: b}
    ports: [554, "8554:554", {target: 80, published: "8080", host_ip: 127.0.0.1}]
    volumes: [./data:/data:ro, named:/n, {type: bind, source: /x, target: /y}]
volumes: {named: {}}
"#
        .replace("container_name: the-a\n    ", "")
        .as_str(),
    );
    assert_eq!(project.name, "corner-1");
    let a = project.service("a").unwrap();
    assert!(!a.active && project.active().count() == 1);
    assert_eq!(words(&a.profiles), ["one", "two"]);
    assert_eq!((a.replicas, a.restart), (2, Restart::OnFailure(Some(3))));
    assert_eq!(a.stop_grace_period.as_ref().unwrap().as_secs(), 90);
    assert_eq!(words(&a.aliases), ["host-a", "other-a"]);
    let health = a.healthcheck.as_ref().unwrap();
    assert!(matches!(health.test.as_ref().unwrap(), HealthTest::Shell(line) if **line == "redis-cli ping"));
    assert_eq!(health.start_period.unwrap().as_millis(), 500);
    assert_eq!(a.ports.iter().map(|port| port.published).collect::<Vec<_>>(), [None, Some(8554), Some(8080)]);
    assert_eq!(a.volumes[0].source, Mount::Path("/srv/graph/data".into()));
    assert!(a.volumes[0].read_only && a.volumes[1].source == Mount::Named("named".into()));
    assert_eq!(a.build.as_ref().unwrap().context.as_str(), ".");
}

#[test]
fn files_are_merged() {
    let base = "
services:
  a:
    image: one
    command: [a, b]
    environment: [A=1, B=2]
    ports: ['1:1', '2:2']
    volumes: ['./x:/x', './y:/y']
    depends_on: [b]
    healthcheck: {test: [CMD, x, y], retries: 3}
    profiles: [p]
    build: .
  b: {image: two, command: dropped, ports: ['3:3'], environment: {GONE: 1}}
";
    let over = "
services:
  a:
    image: three
    command: c
    environment: {B: 3, C: '4'}
    ports: ['2:2', '5:5']
    volumes: ['./z:/x']
    depends_on: {c: {condition: service_healthy}}
    healthcheck: {test: [CMD, z]}
    build: {target: final}
    profiles: [q]
  b: {command: !reset null, ports: !override ['4:4'], environment: {GONE: !reset null, B: 1}}
  c: {image: four}
";
    let reading = read(&[source("base", base), source("over", over)], &options(&[("COMPOSE_PROFILES", "q")]));
    assert!(reading.findings.is_empty(), "{}", rendered(&reading));
    let (a, b) = (reading.project.service("a").unwrap(), reading.project.service("b").unwrap());
    assert!(a.active);
    assert_eq!(a.image.as_ref().unwrap().as_str(), "three");
    assert_eq!(a.image.as_ref().unwrap().place.to_string(), "over:4:12");
    assert_eq!(words(a.command.as_ref().unwrap()), ["c"]);
    let variables: Vec<_> =
        a.environment.iter().map(|(name, value)| format!("{name}={}", value.value)).collect();
    assert_eq!(variables, ["A=1", "B=3", "C=4"]);
    assert_eq!(a.ports.iter().filter_map(|port| port.published).collect::<Vec<_>>(), [1, 2, 5]);
    let volumes: Vec<_> = a.volumes.iter().map(|volume| volume.source.clone()).collect();
    assert_eq!(volumes, ["/srv/graph/z", "/srv/graph/y"].map(|path| Mount::Path(path.into())));
    assert_eq!(a.depends_on.iter().map(|on| on.service.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    let health = a.healthcheck.as_ref().unwrap();
    assert!(matches!(health.test.as_ref().unwrap(), HealthTest::Command(test) if words(test) == ["z"]));
    assert_eq!(health.retries, Some(3));
    let build = a.build.as_ref().unwrap();
    assert_eq!((build.context.as_str(), build.target.as_ref().unwrap().as_str()), (".", "final"));
    assert_eq!(b.command, None);
    assert_eq!(b.ports.iter().filter_map(|port| port.published).collect::<Vec<_>>(), [4]);
    assert_eq!(b.environment.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["B"]);
}

#[test]
fn services_extend_each_other() {
    let project = clean(
        "
services:
  base: {image: i, command: [a], environment: {A: 1, B: 1}, profiles: [never]}
  mid: {extends: base, environment: {B: 2}}
  top: {extends: {service: mid}, command: [c], environment: {C: 3}}
",
    );
    let top = project.service("top").unwrap();
    let variables: Vec<_> =
        top.environment.iter().map(|(name, value)| format!("{name}={}", value.value)).collect();
    assert_eq!(variables, ["A=1", "B=2", "C=3"]);
    assert_eq!(words(top.command_line()), ["c"]);
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn files_include_and_extend_others() {
    let here = folder(&[
        (
            "compose.yaml",
            "
include:
  - sub/more.yaml
services:
  a:
    extends: {file: sub/base.yaml, service: base}
    environment: {B: 2}
",
        ),
        (
            "sub/more.yaml",
            "
services:
  included: {image: $IMAGE, env_file: vars, volumes: ['./data:/data', 'named:/x']}
volumes: {named: {}}
",
        ),
        (
            "sub/base.yaml",
            "
services:
  base: {extends: {file: deeper/lowest.yaml, service: lowest}, env_file: [vars], environment: {A: 1, B: 1}}
",
        ),
        ("sub/deeper/lowest.yaml", "services: {lowest: {image: low, volumes: ['.:/here']}}"),
        ("sub/.env", "IMAGE=from-sub"),
        ("sub/vars", "V=1"),
    ]);
    let options = Options { folder: here.path().into(), ..options(&[]) };
    let reading = read(&[], &options);
    assert!(reading.findings.is_empty(), "{}", rendered(&reading));
    let a = reading.project.service("a").unwrap();
    assert_eq!(a.image.as_ref().unwrap().as_str(), "low");
    let variables: Vec<_> =
        a.environment.iter().map(|(name, value)| format!("{name}={}", value.value)).collect();
    assert_eq!(variables, ["V=1", "A=1", "B=2"]);
    assert_eq!(a.volumes[0].source, Mount::Path(here.path().join("sub/deeper")));
    let included = reading.project.service("included").unwrap();
    assert_eq!(included.image.as_ref().unwrap().as_str(), "from-sub");
    assert_eq!(included.environment.get("V").unwrap().as_str(), "1");
    assert_eq!(included.volumes[0].source, Mount::Path(here.path().join("sub/data")));
}

#[test]
fn files_that_refer_to_each_other_have_an_end() {
    let table = [
        (("include: [compose.yaml]\nservices: {a: {image: i}}", ""), "file-cycle"),
        (("include: [b.yaml]\nservices: {a: {image: i}}", "include: [b.yaml]\nservices: {}"), "file-cycle"),
        (("include: [b.yaml]\nservices: {a: {image: i}}", "services: {a: {image: i}}"), "include-conflict"),
        (("include: [none.yaml]\nservices: {a: {image: i}}", ""), "unreadable-file"),
        (("include: [/dev/zero]\nservices: {a: {image: i}}", ""), "unreadable-file"),
        (
            (
                "services: {a: {extends: {file: b.yaml, service: b}}}",
                "services: {b: {extends: {file: b.yaml, service: b}}}",
            ),
            "file-cycle",
        ),
        (
            ("services: {a: {extends: {file: b.yaml, service: c}}}", "services: {b: {image: i}}"),
            "unknown-service",
        ),
    ];
    for ((first, second), expected) in table {
        let here = folder(&[("compose.yaml", first), ("b.yaml", second)]);
        let options = Options { folder: here.path().into(), ..options(&[]) };
        let reading = read(&[], &options);
        let found: Vec<&str> = reading.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(found, [expected], "{first}: {}", rendered(&reading));
    }
}

#[test]
fn variables_come_from_outside_then_from_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), "A=file\nB=file\nCOMPOSE_PROJECT_NAME=named\n").unwrap();
    std::fs::write(folder.path().join("other"), "A=other\n").unwrap();
    let text = "
services:
  a:
    image: ${IMAGE:-i}
    command: ['$A', '${B-none}', '$$A', \"${COMPOSE_PROJECT_NAME}\"]
    environment: [A, UNSET, 'C=${A}!']
    deploy: {replicas: '${N:-3}'}
";
    let mut options = Options { folder: folder.path().into(), ..options(&[("A", "outside")]) };
    let reading = read(&[source("c", text)], &options);
    let a = reading.project.service("a").unwrap();
    assert_eq!(words(a.command_line()), ["outside", "file", "$A", "named"]);
    let variables: Vec<_> =
        a.environment.iter().map(|(name, value)| format!("{name}={}", value.value)).collect();
    assert_eq!(variables, ["A=outside", "C=outside!"]);
    assert_eq!(a.replicas, 3);
    assert_eq!(reading.findings.len(), 1);
    assert_eq!(reading.findings[0].severity, Severity::Note);
    options.env_files = vec!["other".into()];
    options.variables.clear();
    let reading = read(&[source("c", text)], &options);
    assert_eq!(words(reading.project.service("a").unwrap().command_line())[..2], ["other", "none"]);
}

#[test]
fn problems_are_reported_at_their_place() {
    let service = |lines: &str| format!("services:\n  a:\n    image: i\n    {lines}\n");
    let table = [
        ("comand: x", "c:4:5 error unknown-key"),
        ("command: [a, 5]", "c:4:18 error wrong-type"),
        ("command: a 'b", "c:4:14 error unclosed-quote"),
        ("command: a | b", "c:4:16 warning shell-operator"),
        ("command: a $B", "c:4:16 warning variable-not-set"),
        ("command: ['${B:?set it}']", "c:4:16 error variable-required"),
        ("command: 'a $'", "c:4:17 error invalid-interpolation"),
        ("environment: {A: 1.50}", "c:4:22 warning number-rewritten"),
        ("environment: {A: [1]}", "c:4:22 error wrong-type"),
        ("environment: x", "c:4:18 error wrong-type"),
        ("env_file: none.env", "c:4:15 error unreadable-file"),
        ("depends_on: [b]", "c:4:18 error unknown-service"),
        ("depends_on: {b: {required: false}}", "c:4:18 warning unknown-service"),
        ("depends_on: [a]", "c:4:18 error dependency-cycle"),
        ("network_mode: host\n    healthcheck: {test: x, retries: x}", "c:5:37 error wrong-type"),
        ("restart: allways", "c:4:14 error invalid-value"),
        ("deploy: {replicas: 5000}", "c:4:24 error wrong-type"),
        ("deploy: {replica: 5}", "c:4:14 error unknown-key"),
        ("scale: many", "c:4:12 error wrong-type"),
        ("stop_grace_period: 10", "c:4:24 error wrong-type"),
        ("healthcheck: {test: [redis-cli]}", "c:4:26 error invalid-healthcheck"),
        ("ports: ['x:1']", "c:4:13 error invalid-port"),
        ("volumes: ['a:']", "c:4:15 error invalid-volume"),
        ("volumes: [{type: bin, target: /x}]", "c:4:22 error invalid-value"),
        ("secrets: [s]", "c:4:5 warning container-only"),
        ("mem_limit: 1g", "c:4:5 note container-limit"),
        ("post_start: [{command: x}]", "c:4:5 error unsupported-key"),
        ("extends: {file: other.yaml, service: b}", "c:4:21 error unreadable-file"),
        ("extends: b", "c:4:14 error unknown-service"),
        ("extends: a", "c:4:14 error extends-cycle"),
        ("user: 1000", "c:4:11 error wrong-type"),
        ("image: again", "c:4:5 error duplicate-key"),
        ("command: *nowhere", "c:4:14 error undefined-alias"),
        ("command: !mine x", "c:4:20 error unknown-tag"),
        ("<<: x", "c:4:9 error wrong-type"),
        ("? [a]\n    : b", "c:4:7 error wrong-type"),
    ];
    let mut wrong = Vec::new();
    for (lines, expected) in table {
        let found = codes(&service(lines));
        if found != [expected] {
            wrong.push(format!("{lines}: {found:?}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let table = [
        ("", "c error empty-file"),
        ("x", "c:1:1 error wrong-type"),
        ("version: '3'", "c:1:1 error no-services"),
        ("servces: {}\nservices: {}", "c:1:1 error unknown-key"),
        ("services: {}\ninclude: [x]", "c:2:11 error unreadable-file"),
        ("services: [", "c:1:11 error invalid-yaml"),
        ("services: {a: {}}", "c:1:12 error no-image"),
        ("services: {a b: {image: i}}", "c:1:12 error invalid-service-name"),
        ("services: {a: x}", "c:1:15 error wrong-type"),
        ("name: Upper\nservices: {}", "c:1:7 error invalid-project-name"),
        ("services: {}\n---\nservices: {}", "c:2:1 error second-document"),
    ];
    for (text, expected) in table {
        assert_eq!(codes(text), [expected], "{text}");
    }
}

#[test]
fn all_problems_are_reported_once() {
    let text = "
x-base: &base {image: i, comand: x}
services:
  b: {<<: *base, restart: x}
  a: {<<: *base, depends_on: [c]}
  c: {image: i, profiles: [p]}
";
    let expected =
        ["c:2:26 error unknown-key", "c:4:27 error invalid-value", "c:5:31 error inactive-dependency"];
    assert_eq!(codes(text), expected);
}

#[test]
fn dependency_cycles_are_reported() {
    let text = "
services:
  a: {image: i, depends_on: [b]}
  b: {image: i, depends_on: [c, d]}
  c: {image: i, depends_on: [b]}
  d: {image: i}
";
    assert_eq!(codes(text), ["c:5:30 error dependency-cycle"]);
}

#[test]
fn a_finding_shows_the_line_and_hides_its_secrets() {
    let text = "services:\n  a:\n    image: i\n    comand: rtsp://me:s3cret@host/x # ü\n    environment:\n      AWS_SECRET_ACCESS_KEY: s3cret$X\n";
    let reading = read(&[source("compose.yaml", text)], &options(&[]));
    let expected = "\
compose.yaml:4:5: error: unknown key `comand`
  4 |     comand: rtsp://**************** * *
    |     ^^^^^^
  at services.a.comand
  help: did you mean `command`?
compose.yaml:6:36: warning: the variable after `$` is not set and becomes an empty string
  6 |       AWS_SECRET_ACCESS_KEY: ********
    |                                    ^^
  at services.a.environment.AWS_SECRET_ACCESS_KEY
  help: set it in the environment or in .env; write `$$` for a dollar sign
";
    assert_eq!(rendered(&reading), expected);
    assert!(!format!("{reading:?}").contains("s3cret"), "{reading:?}");
    let coloured = reading.findings[0].render(true).to_string();
    assert!(coloured.contains("\x1b[1;31merror:\x1b[0m"), "{coloured:?}");
}

#[test]
fn hostile_files_have_an_end() {
    let mut laughs = String::from("x0: &x0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n");
    for level in 1..20 {
        let before = level - 1;
        laughs += &format!("x{level}: &x{level} [{}]\n", vec![format!("*x{before}"); 10].join(", "));
    }
    let deep = format!("services: {}{}", "[".repeat(5000), "]".repeat(5000));
    let block = (0..2000).map(|level| format!("{}a:\n", " ".repeat(level % 500))).collect::<String>();
    let itself = "services: &a {a: *a}".to_owned();
    let long = format!("services: {{a: {{image: i, command: \"{}\"}}}}", "$A".repeat(400_000));
    let many =
        format!("services:\n{}", (0..1500).map(|n| format!("  s{n}: {{image: i}}\n")).collect::<String>());
    let wrong =
        format!("services:\n{}", (0..900).map(|n| format!("  s{n}: {{imag: i}}\n")).collect::<String>());
    let heirs = format!(
        "services:\n  b: {{image: i, command: {}}}\n{}",
        "x".repeat(900_000),
        (0..900).map(|n| format!("  s{n}: {{extends: b}}\n")).collect::<String>()
    );
    let waits = format!(
        "services: {{a: {{image: i, depends_on: [{}]}}}}",
        (0..60_000).map(|n| format!("s{n},")).collect::<String>()
    );
    let quoted = format!("services: {{a: {{image: i, user: 1, command: '{}'}}}}", "\\a ".repeat(200_000));
    let value = "v".repeat(100_000);
    for text in [&laughs, &deep, &block, &itself, &long, &many, &wrong, &heirs, &waits, &quoted] {
        let reading = read(&[source("c", text)], &options(&[("A", &value)]));
        assert!(reading.has_errors() && reading.findings.len() <= 201, "{}", &text[..50]);
    }
}

proptest! {
    #[test]
    fn any_text_is_read(text in "(?s).{0,200}") {
        rendered(&read(&[source("c", &text)], &options(&[])));
    }

    #[test]
    fn any_mixture_of_what_compose_files_have_is_read(
        parts in prop::collection::vec(prop::sample::select(vec![
            "services:", "\n", "\n  ", "\n    ", "\n      ", "a:", "b:", "image:", "command:", "environment:", "env_file:",
            "depends_on:", "extends:", "ports:", "volumes:", "healthcheck:", "deploy:", "replicas:", "- ", "[", "]", "{",
            "}", ", ", "&x ", "*x", "<<: *x", "'", "\"", "${A:-", "}", "$", ": ", " i", " 1", " null", "!reset ",
            "!override ", "? ", "| ", "> ", "\u{202e}ü", "\t", "#", "8000-9000:1", "a:b:c", "A=1", "---", "service:",
        ]), 0..40),
        over in any::<bool>(),
    ) {
        let text = parts.concat();
        let around = format!("services:\n  a: &x\n    image: i\n    {text}\n");
        let sources = if over { vec![source("a", &around), source("b", &text)] } else { vec![source("c", &text)] };
        rendered(&read(&sources, &options(&[("A", "1")])));
    }
}
