//! Properties of every drawing: labels are free, edges end where they should, and every server that a node names is
//! connected with it.

use std::path::{Path, PathBuf};

use msight_compose::{Options, Project, Source};
use proptest::prelude::*;

use super::layout::Point;
use super::*;
use crate::catalog::Catalog;
use crate::graph::{Graph, GraphContext};
use crate::tutorial::BUILT_IN;

/// Reads a graph, whether it has mistakes or not.
fn read(source: Source, variables: &[(&str, &str)]) -> (Project, Graph) {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let options = Options { variables: variables.collect(), folder: "/".into(), ..Options::default() };
    let project = msight_compose::read(&[source], &options).project;
    let catalog = Catalog::new(BUILT_IN, None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (graph, _) = runtime.block_on(crate::read::read(&project, &catalog, &GraphContext::default()));
    (project, graph)
}

/// The points of an edge, about a pixel apart.
fn points(line: &Line) -> Vec<Point> {
    let mut points = vec![line.start];
    for step in &line.steps {
        let from = points[points.len() - 1];
        let (one, two, to) = match *step {
            Step::Straight(to) => (from, to, to),
            Step::Curve(one, two, to) => (one, two, to),
        };
        let count = ((to.x - from.x).abs() + (to.y - from.y).abs()) as usize + 1;
        points.extend((1..=count).map(|at| {
            let t = at as f64 / count as f64;
            let mixed = |a: f64, b: f64, c: f64, d: f64| {
                let s = 1.0 - t;
                s * s * s * a + 3.0 * s * s * t * b + 3.0 * s * t * t * c + t * t * t * d
            };
            Point { x: mixed(from.x, one.x, two.x, to.x), y: mixed(from.y, one.y, two.y, to.y) }
        }));
    }
    points
}

fn overlap(one: &Rect, other: &Rect) -> bool {
    one.x < other.right() && other.x < one.right() && one.y < other.bottom() && other.y < one.bottom()
}

/// Whether a point lies in a place, and not at its border.
fn holds(place: &Rect, point: Point) -> bool {
    (place.x + 0.5..place.right() - 0.5).contains(&point.x) && (place.y..place.bottom()).contains(&point.y)
}

/// Fails if a label is not free, or an edge enters a place.
fn check(picture: &Picture) {
    let layout = Layout::of(picture);
    let mut places: Vec<(Rect, &str, &str)> = Vec::new();
    let boxes = picture.boxes.iter().zip(&layout.boxes);
    places.extend(boxes.map(|(one, place)| (*place, one.title.as_str(), one.short_text())));
    let channels = picture.channels.iter().zip(&layout.channels);
    places.extend(channels.map(|(one, place)| (*place, one.name.as_str(), one.text.as_str())));
    for (place, title, text) in &places {
        let wide = text_width::width(title, TEXT).max(text_width::width(text, SMALL));
        assert!(wide < place.width, "{title} needs {wide} of {}", place.width);
        assert!(place.x >= 0.0 && place.right() <= layout.size.0, "{title}: {place:?}");
        assert!(place.y >= 0.0 && place.bottom() <= layout.size.1, "{title}: {place:?}");
    }
    let caption = layout.frame.map(|frame| {
        assert!(frame.x >= 0.0 && frame.right() < layout.size.0 && frame.bottom() < layout.size.1);
        let height = layout::CAPTION_HEIGHT;
        Rect { x: frame.x, y: frame.y, width: frame.width, height }
    });
    places.extend(caption.map(|place| (place, "the name of Redis", "")));
    for (at, (one, title, _)) in places.iter().enumerate() {
        for (other, other_title, _) in &places[..at] {
            assert!(!overlap(one, other), "{title} at {one:?} overlaps {other_title} at {other:?}");
        }
    }
    for line in &layout.lines {
        for point in points(line) {
            let inside = places.iter().find(|(place, ..)| holds(place, point));
            assert!(inside.is_none(), "an edge enters {:?} at {point:?}", inside.map(|(_, title, _)| title));
            let (width, height) = layout.size;
            assert!((0.0..width).contains(&point.x) && (0.0..height).contains(&point.y), "{point:?}");
        }
    }
    let edges = picture.channels.iter().map(|channel| channel.writers.len() + channel.readers.len());
    assert_eq!(layout.lines.len(), edges.sum::<usize>() + picture.links.len());
}

/// Fails if a node names a server of the file that the drawing does not connect with it.
fn check_servers(project: &Project, graph: &Graph, picture: &Picture) {
    let at = |title: &str| picture.boxes.iter().position(|one| one.title == title);
    for node in &graph.nodes {
        let service = project.service(&node.service).expect("its service");
        let variables: Vec<&str> = service.environment.iter().map(|(_, value)| value.as_str()).collect();
        let words = service.command_line().map(|word| word.as_str()).chain(variables.iter().copied());
        let words: Vec<&str> = words.collect();
        for server in &graph.servers {
            let name = server.service.as_str();
            let is_named =
                variables.contains(&name) || words.iter().any(|word| word.contains(&format!("://{name}:")));
            if !is_named {
                continue;
            }
            if picture.bus.as_ref().is_some_and(|bus| bus.title == name) {
                continue;
            }
            let (node, server) = (at(&node.service).expect("its box"), at(name).expect("its box"));
            let linked = picture.links.iter().any(|link| (link.from, link.to) == (server, node));
            let stores = picture
                .channels
                .iter()
                .any(|channel| channel.writers.contains(&node) && channel.readers.contains(&server));
            assert!(linked || stores, "no edge between `{}` and `{name}`", picture.boxes[node].title);
        }
    }
}

fn check_graph(source: Source, variables: &[(&str, &str)]) -> Graph {
    let (project, graph) = read(source, variables);
    let picture = Picture::of(&graph);
    check(&picture);
    check_servers(&project, &graph, &picture);
    graph
}

/// The compose files below a folder.
fn compose_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            compose_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
            && std::fs::read_to_string(&path).is_ok_and(|text| text.contains("\nservices:"))
        {
            files.push(path);
        }
    }
}

#[test]
fn the_graphs_of_this_repository_are_drawn_without_overlap() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    compose_files(&root.join("compose"), &mut files);
    compose_files(&root.join("launch/compose/tests"), &mut files);
    compose_files(&root.join("launch/msight/src"), &mut files);
    assert!(files.len() >= 6, "{files:?}");
    let variables = [
        ("BUCKET", "videos"),
        ("NORTH_URL", "rtsp://10.0.0.11/"),
        ("SOUTH_URL", "rtsp://10.0.0.12:8554/stream"),
        ("CAMERA", "rtsp://10.0.0.11/"),
    ];
    let nodes = files.iter().map(|file| check_graph(Source::Path(file.clone()), &variables).nodes.len());
    assert!(nodes.sum::<usize>() >= 12);
}

const TOPICS: [&str; 6] =
    ["frames", "segments", "x", "a_topic_with_a_name_that_is_rather_long", "WWWWWWWW", "視頻"];
const CAMERAS: [&str; 4] = ["street:8554", "yard:8554", "10.0.0.11", "camera.example:554"];
const STORES: [&str; 4] = [
    "",
    "--endpoint-url http://s3:9000",
    "--endpoint-url http://minio:9000",
    "--endpoint-url http://elsewhere",
];
const REDIS: [&str; 3] =
    ["", "MSIGHT_REDIS_MESSAGE_BROKER_HOST: redis", "MSIGHT_REDIS_MESSAGE_BROKER_HOST: other"];

const SERVERS: &str = "services:
  redis: { image: redis }
  other: { image: redis, ports: ['6380:6379'] }
  street: { image: x, entrypoint: [msight, camera] }
  yard: { image: mediamtx }
  player: { image: ffmpeg, command: '-i /data/x.mp4 -f rtsp rtsp://yard:8554/live' }
  s3: { image: x, entrypoint: [msight, store] }
  minio: { image: minio/minio }
  setup: { image: minio/mc, entrypoint: 'mc alias set it http://minio:9000 u p' }
  broken: { image: x, entrypoint: [msight_launch_rtps], command: '-n b' }
";

/// A node: its kind, two topics, and the servers that it names.
fn node() -> impl Strategy<Value = (usize, usize, usize, usize, usize)> {
    (0..3_usize, 0..TOPICS.len(), 0..TOPICS.len(), 0..4_usize, prop_oneof![4 => 1..2_usize, 1 => 0..3_usize])
}

fn compose_text(nodes: &[(usize, usize, usize, usize, usize)]) -> String {
    let mut text = SERVERS.to_owned();
    for (at, (kind, one, two, server, redis)) in nodes.iter().enumerate() {
        let (one, two, redis) = (TOPICS[*one], TOPICS[*two], REDIS[*redis]);
        let (program, flags) = match kind {
            0 => ("rtsp", format!("-pt {one} -sn s{at} -u rtsp://{}/live", CAMERAS[*server])),
            1 => (
                "image_to_video_aggregator",
                format!("-st {one} -pt {two} --fps 10 --buffer-size 10 --overlap-size 0"),
            ),
            _ => (
                "aws_video_pusher",
                format!("-st {one} --bucket-name {} {}", ["a", "videos"][server % 2], STORES[*server]),
            ),
        };
        text += &format!(
            "  n{at}: {{ image: x, entrypoint: [msight_launch_{program}], command: '-n n{at} {flags}', environment: {{ {redis} }} }}\n"
        );
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_graph_is_drawn_without_overlap(nodes in prop::collection::vec(node(), 0..14)) {
        let source = Source::Text { name: "compose.yaml".into(), text: compose_text(&nodes) };
        let graph = check_graph(source, &[]);
        prop_assert_eq!(graph.nodes.len(), nodes.len());
    }
}

#[test]
fn a_large_graph_is_drawn_in_time() {
    // Two sources for each aggregator, and all segments in one topic.
    let nodes: Vec<_> = (0..300).map(|at| (usize::from(at % 3 == 2), at % 6, 1, at % 4, 1)).collect();
    let source = Source::Text { name: "compose.yaml".into(), text: compose_text(&nodes) };
    let begun = std::time::Instant::now();
    let (_, graph) = read(source, &[]);
    let picture = Picture::of(&graph);
    assert!(draw(&picture).ends_with("</svg>\n"));
    assert!(begun.elapsed() < std::time::Duration::from_secs(60));
}

#[test]
fn a_mistake_is_visible() {
    let text = compose_text(&[(0, 0, 0, 0, 1), (1, 2, 1, 0, 1)]);
    let (_, graph) = read(Source::Text { name: "compose.yaml".into(), text }, &[]);
    let picture = Picture::of(&graph);
    let boxes = |role: Role| picture.boxes.iter().filter(move |one| one.role == role);
    assert_eq!(boxes(Role::Missing).count(), 1);
    assert_eq!(boxes(Role::Unreadable).map(|one| one.title.as_str()).collect::<Vec<_>>(), ["broken"]);
    assert_eq!(draw(&picture).matches("class=\"m\"").count(), 2);
}

#[test]
fn nodes_on_several_redis_are_connected_with_theirs() {
    let text = compose_text(&[(0, 0, 0, 0, 1), (1, 0, 1, 0, 2)]);
    let (_, graph) = read(Source::Text { name: "compose.yaml".into(), text }, &[]);
    let picture = Picture::of(&graph);
    assert!(picture.bus.is_none());
    let links = picture.links.iter().filter(|link| !link.is_directed);
    let titles = |at: usize| picture.boxes[at].title.as_str();
    let links: Vec<_> = links.map(|link| (titles(link.from), titles(link.to))).collect();
    assert_eq!(links, [("redis", "n0"), ("other", "n1")]);
}

#[test]
fn the_picture_of_the_guide_is_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (_, graph) = read(Source::Path(folder.join("../../compose/local.yml")), &[]);
    let stored = std::fs::read_to_string(folder.join("local.svg")).unwrap_or_default();
    let is_current = stored == draw(&Picture::of(&graph));
    assert!(is_current, "run `msight graph --format svg compose/local.yml > launch/graph/local.svg`");
}
