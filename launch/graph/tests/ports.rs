//! Nodes with several outputs and inputs: their edges are drawn, and the message types at both ends are compared.

#[path = "../../../nodes/node/examples/traffic_watch.rs"]
mod traffic_watch;

use std::collections::BTreeSet;

use msight_compose::{Finding, Options, Severity, Source};
use msight_graph::catalog::Catalog;
use msight_graph::{Format, Graph, GraphContext, draw, read};
use msight_node::{Context, Entry, Node, Result, Sink, processor, sink};
use msight_proto::Sample;
use traffic_watch::{Alarm, TrafficWatch};

/// Reads the alarms of [`TrafficWatch`].
struct Siren;
#[derive(Clone, clap::Args)]
struct NoFlags {}
impl Node for Siren {
    const NAME: &'static str = "siren";
    type Args = NoFlags;
    async fn open(_: NoFlags, _: &Context) -> Result<Self> {
        Ok(Self)
    }
}
impl Sink for Siren {
    type In = Alarm;
    async fn consume(&mut self, _: Sample<Alarm>) -> Result<()> {
        Ok(())
    }
}

const NODES: [Entry; 2] = [processor::<TrafficWatch>(), sink::<Siren>()];

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
