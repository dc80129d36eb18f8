//! The JSON of `--describe`: its keys and their order, and the output of programs with fewer or more keys.

use msight_contract::{
    Description, Document, FORMAT, Flag, Kind, Label, Metric, MetricKind, Mistake, Port, TopicUse, Unit,
};
use serde_json::{Value, json};

const FRAME: &str = "msight_core.data.image.ImageData";

const LOST: Metric = Metric::loss("frames_lost_total", Unit::Frames, "Frames lost")
    .with_labels(&[Label { name: "reason", values: &["late"] }]);

fn description() -> Description {
    Description {
        program: "find_cars".to_owned(),
        version: "1.2".to_owned(),
        class: "FindCarsNode".to_owned(),
        kind: Kind::Processor,
        summary: "Finds the cars in a picture".to_owned(),
        details: String::new(),
        needs: vec!["MSIGHT_EDGE_DEVICE_NAME".to_owned()],
        flags: Vec::new(),
        inputs: vec![Port::subscribe(Some(FRAME))],
        outputs: vec![Port::publish(None), Port::further("--event-topic", Some("example.Event"))],
        metrics: vec![(&LOST).into()],
    }
}

/// The output of a program from before ports and metrics were described.
fn older() -> Value {
    json!({
        "msight_node": 1, "program": "find_cars", "version": "1.2", "class": "FindCarsNode", "kind": "processor",
        "takes": FRAME, "publishes": null, "summary": "Finds the cars in a picture", "flags": [],
    })
}

#[test]
fn keys_keep_their_order() {
    let document = Document::new(description(), Some(Err(Mistake::new("no"))));
    let text = serde_json::to_string(&document).unwrap();
    let keys = [
        "msight_node",
        "program",
        "version",
        "class",
        "kind",
        "takes",
        "publishes",
        "summary",
        "needs",
        "flags",
        "inputs",
        "outputs",
        "metrics",
        "mistake",
    ];
    let places: Vec<_> = keys.iter().map(|key| text.find(&format!("\"{key}\":")).expect(key)).collect();
    assert!(places.is_sorted(), "{text}");
    assert!(text.starts_with("{\"msight_node\":1,\"program\":\"find_cars\""), "{text}");
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&value["takes"], &value["publishes"]), (&json!(FRAME), &Value::Null));
    let lost = json!({
        "name": "frames_lost_total", "kind": "loss", "unit": "frames", "help": "Frames lost",
        "labels": [{"name": "reason", "values": ["late"]}],
    });
    assert_eq!(value["metrics"], json!([lost]));
    assert_eq!(value["outputs"][1]["flag"], "--event-topic");
}

#[test]
fn a_document_is_parsed_as_it_was_written() {
    let invocation = serde_json::from_value(
        json!({"name": "n", "reads": [{"topic": "a", "data_type": null}], "writes": []}),
    );
    let document = Document::new(description(), Some(Ok(invocation.unwrap())));
    let mut json = serde_json::to_value(&document).unwrap();
    json["later"] = true.into();
    let read: Document = serde_json::from_value(json).unwrap();
    assert_eq!(read, document);
    let topic = TopicUse { topic: "a".to_owned(), data_type: None, further_types: vec![], argument: None };
    assert_eq!(read.invocation.unwrap().reads, [topic]);
}

#[test]
fn an_older_document_has_the_ports_of_its_kind() {
    let read: Document = serde_json::from_value(older()).unwrap();
    assert_eq!(read.msight_node, FORMAT);
    let description = read.description;
    assert_eq!((description.takes(), description.publishes()), (Some(FRAME), None));
    assert_eq!(description.inputs, [Port::subscribe(Some(FRAME))]);
    assert_eq!(description.outputs, [Port::publish(None)]);
    assert!(description.metrics.is_empty() && description.needs.is_empty() && read.mistake.is_none());

    for (kind, inputs, outputs) in [("source", 0, 1), ("sink", 1, 0)] {
        let mut older = older();
        older["kind"] = kind.into();
        let description = serde_json::from_value::<Document>(older).unwrap().description;
        assert_eq!((description.inputs.len(), description.outputs.len()), (inputs, outputs), "{kind}");
    }
}

#[test]
fn unknown_kinds_and_units_are_accepted() {
    let mut later = older();
    later["metrics"] = json!([{"name": "heat", "kind": "summary", "unit": "kelvins", "age": 3}]);
    let description = serde_json::from_value::<Document>(later).unwrap().description;
    let heat = description.metric("heat").unwrap();
    assert_eq!((heat.kind, heat.unit), (MetricKind::Other, Unit::Other));
}

#[test]
fn a_flag_takes_precedence_over_its_variable_and_that_over_its_default() {
    let flag: Flag = serde_json::from_value(json!({
        "names": ["-b", "--bucket-name"], "value_name": "NAME", "env": "BUCKET", "default": "videos",
    }))
    .unwrap();
    let description = Description { flags: vec![flag], ..description() };
    let value = |line: &[&str], variables: &[(&str, &str)]| {
        let line: Vec<String> = line.iter().map(|&word| word.to_owned()).collect();
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        description.value_of("--bucket-name", &line, &variables).unwrap()
    };
    let variables = [("BUCKET", "variable")];
    for line in [&["-b", "x", "--buck=given"][..], &["-bgiven"], &["--bucket-name", "given"]] {
        assert_eq!(value(line, &variables), "given", "{line:?}");
    }
    assert_eq!(value(&[], &variables), "variable");
    assert_eq!(value(&[], &[]), "videos");
    let line = ["--buck".to_owned(), "x".to_owned()];
    assert_eq!(description.position_of("--bucket-name", &line), Some(1));
}
