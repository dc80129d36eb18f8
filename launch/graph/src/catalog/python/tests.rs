use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::*;

/// The options that MSight's programs declare, and command lines with what MSight made of them.
const OPTIONS: &str = include_str!("../../../../../nodes/node/tests/data/cli_options.json");
const CASES: &str = include_str!("../../../../../nodes/node/tests/data/argparse_cases.json");

#[test]
fn the_options_are_those_that_msight_declares() {
    let all: serde_json::Map<String, Json> = serde_json::from_str(OPTIONS).unwrap();
    let mut compared = 0;
    for (program, theirs) in all.iter().filter(|(name, _)| name.starts_with("msight_launch_")) {
        let Some(theirs) = theirs.as_array() else {
            assert!(broken(program).is_some(), "{program} cannot run");
            continue;
        };
        let script = script(program).unwrap_or_else(|| panic!("{program} is not in the table"));
        let ours: Vec<Opt> = script.options().collect();
        assert_eq!(ours.len(), theirs.len(), "{program}");
        for (ours, theirs) in ours.iter().zip(theirs) {
            let names = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
            let their_names = theirs["options"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
            assert_eq!(names(ours.names.split('/').collect()), names(their_names.collect()), "{program}");
            let shown = format!("{program} {}", ours.names);
            assert_eq!(theirs["required"], ours.required, "{shown}");
            let default = match &theirs["default"] {
                Json::Null | Json::Bool(_) => None,
                Json::String(text) => Some(text.clone()),
                number => Some(number.to_string()),
            };
            assert_eq!(ours.default.map(str::to_owned), default, "{shown}");
            let value =
                match (theirs["action"].as_str(), theirs["type"].as_str(), theirs["choices"].as_array()) {
                    (Some("_StoreTrueAction"), ..) => "Nothing".to_owned(),
                    (_, _, Some(choices)) => {
                        format!(
                            "OneOf({:?})",
                            choices.iter().map(|c| c.as_str().unwrap()).collect::<Vec<_>>()
                        )
                    }
                    (_, Some("int"), _) => "Int".to_owned(),
                    (_, Some("float"), _) => "Float".to_owned(),
                    _ if ours.names == "--logging-level" => "Level".to_owned(),
                    _ => "Text".to_owned(),
                };
            assert_eq!(format!("{:?}", ours.value), value, "{shown}");
            compared += 1;
        }
    }
    assert!(compared > 200, "{compared}");
}

#[test]
fn every_line_is_understood_as_msight_understands_it() {
    let cases: Vec<Json> = serde_json::from_str(CASES).unwrap();
    let (mut understood, mut refused) = (0, 0);
    for case in &cases {
        let Some(script) = script(case["program"].as_str().unwrap()) else { continue };
        let args: Vec<String> =
            case["argv"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap().to_owned()).collect();
        let theirs = &case["ok"];
        match script.understand(&args) {
            Ok(meant) => {
                assert_eq!(theirs["name"], meant.name, "{case}");
                let topic = |end: &[describe::TopicUse]| {
                    end.first().map_or(Json::Null, |end| end.topic.clone().into())
                };
                assert_eq!(theirs["publish_topic"], topic(&meant.writes), "{case}");
                assert_eq!(theirs["subscribe_topic"], topic(&meant.reads), "{case}");
                understood += 1;
            }
            // There, an invalid level raises an exception later.
            Err(mistake) => {
                assert!(theirs.is_null() || theirs["logging_level"] == "bogus", "{case}: {mistake}");
                refused += 1;
            }
        }
    }
    assert!(understood > 40 && refused > 20, "{understood} understood, {refused} refused");
}

#[test]
fn a_description_has_what_a_graph_needs() {
    let description = script("msight_launch_image_to_video_aggregator").unwrap().describe();
    assert_eq!(description.publishes(), Some("msight_core.data.video.VideoData"));
    let fps = description.flags.iter().find(|flag| flag.name() == "--fps").unwrap();
    assert_eq!(fps.default.as_deref(), Some("20"));
    for script in &SCRIPTS {
        let described = script.describe();
        assert!(!described.summary.is_empty(), "{}", script.name);
        assert_eq!(described.publishes().is_some(), script.kind != Kind::Sink && script.crash.is_none());
    }
}
