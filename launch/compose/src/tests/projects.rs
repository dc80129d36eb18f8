//! What is read of a project.

use super::*;

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
