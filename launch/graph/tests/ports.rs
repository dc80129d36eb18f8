//! Nodes with several outputs and inputs: their edges are drawn, and the message types at both ends are compared.

#[path = "../../../nodes/node/examples/traffic_watch.rs"]
mod traffic_watch;

use std::collections::BTreeSet;

use msight_compose::{Finding, Options, Severity, Source};
use msight_graph::catalog::Catalog;
use msight_graph::{Format, Graph, GraphContext, draw, read};
use msight_node::{
    Accept, Context, Entry, Node, Output, Packed, Port, Result, Sink, Source as SourceNode, processor, sink,
    source,
};
use msight_proto::{AccessUnitData, DecodeError, ImageData, Message as _, Sample};
use traffic_watch::{Alarm, TrafficWatch};

/// Defines a sink that reads messages of one type.
macro_rules! reader {
    ($node:ident, $name:literal, $takes:ty) => {
        struct $node;
        impl Node for $node {
            const NAME: &'static str = $name;
            type Args = NoFlags;
            async fn open(_: NoFlags, _: &Context) -> Result<Self> {
                Ok(Self)
            }
        }
        impl Sink for $node {
            type In = $takes;
            async fn consume(&mut self, _: Sample<$takes>) -> Result<()> {
                Ok(())
            }
        }
    };
}

#[derive(Clone, clap::Args)]
struct NoFlags {}
reader!(Siren, "siren", Alarm);
reader!(Recorder, "recorder", AccessUnitData);
reader!(Viewer, "viewer", ImageData);

/// Publishes pictures, what the camera has encoded, or both.
struct Camera;
const PACKETS: Output<AccessUnitData> =
    Output::new("--packet-topic", "Publish the stream to this topic").waiting();
impl Node for Camera {
    const NAME: &'static str = "camera";
    const PORTS: &'static [Port] = &[PACKETS.port()];
    type Args = NoFlags;
    async fn open(_: NoFlags, _: &Context) -> Result<Self> {
        Ok(Self)
    }
}
impl SourceNode for Camera {
    type Out = ImageData;
    const NEEDS_PUBLISH_TOPIC: bool = false;
    async fn next(&mut self) -> Result<Option<Sample<ImageData>>> {
        Ok(None)
    }
}

const NODES: [Entry; 6] = [
    processor::<TrafficWatch>(),
    sink::<Siren>(),
    source::<Camera>(),
    sink::<Recorder>(),
    sink::<Viewer>(),
    sink::<Aggregator>(),
];

/// Reads a graph with these command lines, one for each service.
async fn graph(commands: &[&str]) -> (Graph, Vec<Finding>) {
    let mut text = "services:\n".to_owned();
    for (at, command) in commands.iter().enumerate() {
        let (program, flags) = command.split_once(' ').expect("a program and its flags");
        text += &format!("  s{at}:\n    image: x\n    entrypoint: [{program}]\n    command: {flags}\n");
        text += "    environment: { MSIGHT_EDGE_DEVICE_NAME: box }\n";
    }
    let source = Source::Text { name: "compose.yaml".into(), text };
    let project = msight_compose::read(&[source], &Options::default()).project;
    let external = BTreeSet::from(["users".to_owned()]);
    let context = GraphContext { external, ..GraphContext::default() };
    read(&project, &Catalog::new(NODES, None), &context).await
}

/// The errors: their codes, and the text at their places.
fn errors(findings: &[Finding]) -> Vec<(&'static str, String)> {
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
    let text = |finding: &Finding| {
        let place = finding.place.as_ref().expect("a place");
        let line = place.file.line(place.line).expect("a line");
        line.chars().skip(place.column - 1).take(place.length).collect()
    };
    errors.map(|finding| (finding.code, text(finding))).collect()
}

const WATCH: &str = "traffic_watch -n watch -st users -pt counts --alarm-topic alarms";

#[tokio::test]
async fn an_edge_begins_at_a_second_output_and_ends_at_a_second_input() {
    let second = "traffic_watch -n second -st users -pt others --limit-topic counts";
    let (graph, findings) = graph(&[WATCH, "siren -n siren -st alarms", second]).await;
    assert_eq!(errors(&findings), []);
    let drawn = draw(&graph, Format::Text);
    assert!(drawn.contains("  └─ alarms (Alarm) ─▶ s1\n"), "{drawn}");
    assert!(drawn.contains("  └─ counts (Count) ─▶ s2\n"), "{drawn}");
    assert_eq!(graph.ranks(), [0, 1, 1]);
    let mermaid = draw(&graph, Format::Mermaid);
    assert!(mermaid.contains("n0 -- \"alarms<br/>Alarm\" --> n1"), "{mermaid}");
}

#[tokio::test]
async fn the_types_of_further_ports_are_checked() {
    let (_, findings) = graph(&[WATCH, "siren -n siren -st counts"]).await;
    assert_eq!(errors(&findings), [("type-mismatch", "counts".to_owned())]);
    let message =
        &findings.iter().find(|finding| finding.code == "type-mismatch").expect("it is there").message;
    assert!(message.contains("example.Alarm") && message.contains("example.Count"), "{message}");

    let second = "traffic_watch -n second -st users -pt others --limit-topic alarms";
    let (_, findings) = graph(&[WATCH, second]).await;
    assert_eq!(errors(&findings), [("type-mismatch", "alarms".to_owned())]);
}

#[tokio::test]
async fn a_further_input_needs_a_writer_and_can_close_a_cycle() {
    let (_, findings) = graph(&[&format!("{WATCH} --limit-topic limit")]).await;
    assert_eq!(errors(&findings), [("unpublished-topic", "limit".to_owned())]);
    let first = "traffic_watch -n first -st users -pt counts --limit-topic others";
    let second = "traffic_watch -n second -st users -pt others --limit-topic counts";
    let (_, findings) = graph(&[first, second]).await;
    assert_eq!(errors(&findings), [("topic-cycle", "others".to_owned())]);
}

/// What the aggregator takes: pictures, or access units.
enum Frame {
    Picture(ImageData),
    Unit(AccessUnitData),
}

impl Accept for Frame {
    const TYPES: &'static [&'static str] = &[ImageData::TYPE, AccessUnitData::TYPE];
    fn accept(message: Packed) -> std::result::Result<Sample<Self>, DecodeError> {
        match message.data_type()? {
            AccessUnitData::TYPE => Ok(message.open()?.map(Self::Unit)),
            _ => Ok(message.open()?.map(Self::Picture)),
        }
    }
    fn memory(&self) -> usize {
        match self {
            Self::Picture(picture) => picture.weight(),
            Self::Unit(unit) => unit.weight(),
        }
    }
}

reader!(Aggregator, "aggregator", Frame);

#[tokio::test]
async fn a_reader_of_two_types_takes_either_and_no_other() {
    const CAMERA: &str = "camera -n camera -sn gate -pt frames --packet-topic packets";
    for topic in ["frames", "packets"] {
        let (_, findings) = graph(&[CAMERA, &format!("aggregator -n video -st {topic}")]).await;
        assert_eq!(errors(&findings), [], "{topic}");
    }
    let (_, findings) = graph(&[WATCH, "aggregator -n video -st counts"]).await;
    assert_eq!(errors(&findings), [("type-mismatch", "counts".to_owned())]);
    let finding = findings.iter().find(|finding| finding.code == "type-mismatch").expect("it is there");
    let names = [ImageData::TYPE, AccessUnitData::TYPE, "example.Count"];
    assert!(names.iter().all(|name| finding.message.contains(name)), "{}", finding.message);
}

const RECORDER: &str = "recorder -n recorder -st packets";

#[tokio::test]
async fn a_source_without_its_first_topic_feeds_the_reader_of_its_second_output() {
    let (graph, findings) = graph(&["camera -n camera -sn gate --packet-topic packets", RECORDER]).await;
    assert_eq!(errors(&findings), []);
    let drawn = draw(&graph, Format::Text);
    assert!(drawn.contains("  └─ packets (AccessUnitData) ─▶ s1\n"), "{drawn}");
    assert_eq!(graph.ranks(), [0, 1]);

    let (_, findings) = self::graph(&["camera -n camera -sn gate", RECORDER]).await;
    assert_eq!(
        errors(&findings),
        [("invalid-arguments", "camera".to_owned()), ("unpublished-topic", "packets".to_owned())]
    );
}

#[tokio::test]
async fn two_sources_of_one_sensor_clash_on_a_second_output() {
    let camera = |name: &str| format!("camera -n {name} -sn gate --packet-topic packets");
    let (_, findings) = graph(&[&camera("one"), &camera("two"), RECORDER]).await;
    assert_eq!(errors(&findings), [("duplicate-sensor", "packets".to_owned())]);
}

#[tokio::test]
async fn a_reader_of_pictures_is_told_where_they_are_if_it_reads_access_units() {
    const CAMERA: &str = "camera -n camera -sn gate -pt frames --packet-topic packets";
    for (reader, code) in [
        ("viewer -n viewer -st packets", "type-mismatch"),
        ("msight_launch_image_viewer -n viewer -st packets", "python-crash"),
        ("msight_launch_http -n http -u http://127.0.0.1/ -st packets", "python-crash"),
    ] {
        let (_, findings) = graph(&[CAMERA, reader]).await;
        assert_eq!(errors(&findings), [(code, "packets".to_owned())]);
        let finding = findings.iter().find(|finding| finding.code == code).expect("it is there");
        let names = ["`s0`", "`s1`", AccessUnitData::TYPE];
        assert!(names.iter().all(|name| finding.message.contains(name)), "{}", finding.message);
        let help = finding.help.as_deref().unwrap_or_default();
        assert!(help.contains("\"frames\"") && help.contains("ImageData"), "{help}");
    }
    // Nothing is known of a better topic.
    let without = CAMERA.replace("-pt frames ", "");
    let (_, findings) =
        graph(&[&without, "msight_launch_http -n http -u http://127.0.0.1/ -st packets"]).await;
    assert_eq!(errors(&findings), [("python-crash", "packets".to_owned())]);
    assert!(findings.iter().all(|finding| finding.code != "python-crash" || finding.help.is_none()));
}
