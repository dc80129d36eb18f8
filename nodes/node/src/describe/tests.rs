use msight_proto::{ImageData, Sample};

use std::collections::BTreeMap;

use super::*;
use crate::{Context, Entry, Node, Publisher, Result, Settings, bail};

/// Finds the cars in a picture
///
/// As many as there are.
#[derive(clap::Args)]
struct Args {
    /// Where the model is
    #[arg(long, value_name = "FILE", env = "FIND_CARS_MODEL")]
    model: String,
    /// How to look
    #[arg(long, default_value = "close", value_enum)]
    look: Look,
    #[arg(long, hide = true)]
    secret: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Look {
    /// With care
    Close,
    Away,
}

/// The model, which is read once.
#[derive(Clone)]
struct Model;
impl Settings for Model {
    type Flags = Args;
    fn parse(args: Args) -> Result<Self> {
        if args.model == "none" {
            bail!("--model must name one");
        }
        std::fs::metadata(&args.model)?;
        Ok(Self)
    }
}

struct FindCars;

impl Node for FindCars {
    const NAME: &'static str = "find_cars";
    const CLASS: &'static str = "FindCarsNode";
    type Args = Model;
    async fn open(_: Model, _: &Context) -> Result<Self> {
        Ok(Self)
    }
}

impl crate::Processor for FindCars {
    type In = ImageData;
    type Out = ImageData;
    async fn process(&mut self, _: Sample<ImageData>, _: &Publisher<ImageData>) -> Result<()> {
        Ok(())
    }
}

const ENTRY: Entry = crate::processor::<FindCars>();

fn understand(line: &str) -> Result<Invocation, Mistake> {
    ENTRY.understand(line.split_whitespace(), &|_| None)
}

fn flag(name: &str) -> Flag {
    let found = ENTRY.describe().flags.into_iter().find(|flag| flag.name() == name);
    found.unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn a_description_is_what_the_help_says() {
    let description = ENTRY.describe();
    assert_eq!(description.program, "find_cars");
    assert_eq!(description.class, "FindCarsNode");
    assert_eq!(description.kind, Kind::Processor);
    assert_eq!(description.takes(), Some("msight_core.data.image.ImageData"));
    assert_eq!(description.summary, "Finds the cars in a picture");
    assert_eq!(description.details, "As many as there are.");
    assert_eq!(description.needs, ["MSIGHT_EDGE_DEVICE_NAME"]);

    let topic = flag("--subscribe-topic");
    assert_eq!((topic.names, topic.required), (vec!["-st".to_owned(), "--subscribe-topic".to_owned()], true));
    let model = flag("--model");
    assert_eq!((model.value_name.as_deref(), model.env.as_deref()), (Some("FILE"), Some("FIND_CARS_MODEL")));
    let look = flag("--look");
    assert_eq!((look.default.as_deref(), look.choices[0].help.as_str()), (Some("close"), "With care"));
    assert_eq!(flag("--describe").value_name, None);
    assert!(description.flags.iter().all(|flag| flag.name() != "--secret"));
}

#[test]
fn a_line_means_what_the_programs_own_parser_makes_of_it() {
    let line = "-pt cars --subs=frames -ncounter --mod x";
    let meant = understand(line).unwrap();
    assert_eq!((meant.name.as_str(), meant.name_argument), ("counter", Some(3)));
    let end = |topic: &str, argument| TopicUse {
        topic: topic.to_owned(),
        data_type: Some("msight_core.data.image.ImageData".to_owned()),
        further_types: vec![],
        argument: Some(argument),
    };
    assert_eq!((meant.reads, meant.writes), (vec![end("frames", 2)], vec![end("cars", 1)]));
}

#[test]
fn a_mistake_is_said_as_at_a_start_and_where_it_is() {
    let good = "-n n -st a -pt b --model x";
    for (line, message, argument) in [
        ("-n n -st a -pt b", "the following arguments are required: --model", None),
        (
            "-n n -st a -pt b --modle x",
            "the following arguments are required: --model; unrecognized",
            Some(6),
        ),
        (&format!("{good} --look sideways"), "argument --look: invalid choice: 'sideways'", Some(9)),
        (&format!("{good} --gap 1 --gap x --gap 2"), "argument -g/--gap: invalid int value: 'x'", Some(11)),
        (&format!("{good} --heart 3"), "ambiguous option: --heart could match", Some(8)),
        (&format!("{good} -st"), "argument -st/--subscribe-topic: expected one argument", Some(8)),
        (
            "-n n -st a -pt a --model x",
            "arguments --publish-topic and --subscribe-topic: both are 'a'",
            Some(5),
        ),
        ("-n n -st a -pt b --model none", "--model must name one", Some(7)),
        (&format!("{good} --describe"), "argument --describe: must be the first", Some(8)),
        (&format!("{good} --help"), "the arguments ask for help", None),
    ] {
        let mistake = understand(line).unwrap_err();
        assert!(mistake.message.starts_with(message), "{line}: {mistake}");
        assert_eq!(mistake.argument, argument, "{line}: {mistake}");
    }
    let secret =
        understand(&format!("{good} --redis-url redis://:word@h --gap rtsp://u:word@h")).unwrap_err();
    assert!(!secret.message.contains("word"), "{secret}");
}

#[test]
fn a_file_that_is_not_here_may_be_where_the_node_runs() {
    understand("-n n -st a -pt b --model /no/such/file").unwrap();
}

#[test]
fn the_environment_is_that_of_the_service() {
    let args = ["-n", "n", "-st", "a", "-pt", "b"];
    ENTRY.understand(args, &|name| (name == "FIND_CARS_MODEL").then(|| "x".into())).unwrap();
    let bad = |name: &str| match name {
        "FIND_CARS_MODEL" => Some("x".into()),
        "MSIGHT_LOGGING_LEVEL" => Some("loud".into()),
        _ => None,
    };
    let mistake = ENTRY.understand(args, &bad).unwrap_err();
    assert_eq!((mistake.argument, mistake.variable.as_deref()), (None, Some("MSIGHT_LOGGING_LEVEL")));
}

#[test]
fn a_document_reads_as_it_was_written_and_later_keys_are_ignored() {
    let invocation = Some(understand("-n n -st a -pt b --model x").unwrap());
    let document = Document { msight_node: FORMAT, description: ENTRY.describe(), invocation, mistake: None };
    let mut json = serde_json::to_value(&document).unwrap();
    json["later"] = true.into();
    assert_eq!(serde_json::from_value::<Document>(json).unwrap(), document);
}

#[test]
fn the_value_of_a_flag_is_found_in_any_spelling() {
    let value = |line: &str| {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let variables = [("FIND_CARS_MODEL".to_owned(), "variable".to_owned())].into();
        ENTRY.describe().value_of("--model", &args, &variables).expect("a value")
    };
    for line in ["-n m --model given", "--model=given -n m", "--mo given", "--model other --mod=given"] {
        assert_eq!(value(line), "given", "{line}");
    }
    for line in ["-n=--model=x -pt model", "", "--model"] {
        assert_eq!(value(line), "variable", "{line}");
    }
    let look = |args: &[String]| ENTRY.describe().value_of("--look", args, &BTreeMap::new());
    assert_eq!(look(&[]).as_deref(), Some("close"));
    assert_eq!(ENTRY.describe().value_of("--no-such", &[], &BTreeMap::new()), None);
}
