//! MSight's programs, option by option, and 95 command lines with what Python's argparse made of them.
//!
//! `data/cli_options.json` lists the options that MSight's programs declare; `data/argparse_cases.json` has, for
//! each line, the parsed values or the exit code and the last line on stderr. Where ours differ on purpose, the
//! test says so by name.

use std::ffi::OsString;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command};
use msight_node::argparse::{self, Error};
use msight_node::flags::{self, ActionOnError, Kind, Topics};
use msight_node::logs::Level;
use serde_json::{Map, Value, json};

const OPTIONS: &str = include_str!("../data/cli_options.json");
const CASES: &str = include_str!("../data/argparse_cases.json");

#[derive(Args)]
struct Nothing {}

/// On the RTSP source `-g` is the GPU's index, as MSight's tutorial has it, and only `--gap` is the gap.
#[derive(Args)]
struct Gpu {
    /// GPU to decode on
    #[arg(short = 'g', long, help_heading = "Decoding", value_parser = argparse::int)]
    gpu: Option<i64>,
}

fn options(program: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(OPTIONS).unwrap();
    all[program].as_array().unwrap_or_else(|| panic!("{program} has no options")).clone()
}

fn has_gpu(program: &str) -> bool {
    program == "msight_launch_rtsp"
}

/// The command line of an MSight program: the kit's flags if it is a node, and the rest of its options.
fn command(program: &str) -> Command {
    let options = options(program);
    let has = |dest: &str| options.iter().any(|option| option["dest"] == dest);
    let name = forever(&program.into());
    let command = match (has("heartbeat_tolerance"), has("publish_topic"), has("subscribe_topic")) {
        (false, ..) => Command::new(name),
        (true, true, false) if has_gpu(program) => flags::command::<Gpu>(name, Topics::of(Kind::Source)),
        (true, true, false) => flags::command::<Nothing>(name, Topics::of(Kind::Source)),
        (true, true, true) => flags::command::<Nothing>(name, Topics::of(Kind::Processor)),
        (true, false, _) => flags::command::<Nothing>(name, Topics::of(Kind::Sink)),
    };
    let known: Vec<String> = command.get_arguments().map(|arg| arg.get_id().to_string()).collect();
    let own = options.iter().filter(|option| !known.iter().any(|id| option["dest"] == id.as_str()));
    command.args(own.map(declared))
}

/// An option as upstream declares it, in the way nodes do it here.
fn declared(option: &Value) -> Arg {
    let mut arg = Arg::new(forever(&option["dest"]));
    for name in option["options"].as_array().unwrap() {
        let name = forever(name);
        arg = match (name.strip_prefix("--"), name.strip_prefix('-').unwrap()) {
            (Some(long), _) => arg.long(long),
            (None, short) if short.len() == 1 => arg.short(short.chars().next()),
            (None, short) => arg.alias(short),
        };
    }
    if option["action"] == "_StoreTrueAction" {
        return arg.action(ArgAction::SetTrue);
    }
    arg = match option["type"].as_str() {
        Some("int") => arg.value_parser(argparse::int),
        Some("float") => arg.value_parser(argparse::float),
        _ => arg,
    };
    if let Some(choices) = option["choices"].as_array() {
        arg = arg.value_parser(PossibleValuesParser::new(choices.iter().map(forever)));
    }
    if option["nargs"] == "+" {
        arg = arg.num_args(1..);
    }
    match &option["default"] {
        Value::Null => arg.required(option["required"] == true),
        default => arg.default_value(forever(default)),
    }
}

/// The text of a value, for clap, which wants it for as long as the program runs.
fn forever(value: &Value) -> &'static str {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned).leak()
}

/// The parsed values by upstream's names and types.
fn values(program: &str, matches: &ArgMatches) -> Map<String, Value> {
    let value = |option: &Value| {
        let id = option["dest"].as_str().unwrap();
        let text = || matches.get_one::<String>(id);
        match (id, option["type"].as_str()) {
            // Only an error that the user asks to stop at stops a node here, so the default is left open.
            ("action_on_error", _) => match matches.get_one(id) {
                Some(ActionOnError::Continue) => json!("continue"),
                Some(ActionOnError::Stop) | None => json!("stop"),
            },
            ("logging_level", _) => {
                json!(
                    format!("{:?}", matches.get_one::<Level>(id).copied().unwrap_or_default()).to_uppercase()
                )
            }
            _ if option["nargs"] == "+" => {
                json!(matches.get_many::<String>(id).map(Iterator::collect::<Vec<_>>))
            }
            _ if option["action"] == "_StoreTrueAction" => json!(matches.get_flag(id)),
            (_, Some("int")) => json!(matches.get_one::<i64>(id)),
            (_, Some("float")) => json!(matches.get_one::<f64>(id)),
            // A Python Path has no leading dot.
            (_, Some("Path")) => json!(text().map(|path| path.trim_start_matches("./"))),
            _ => json!(text()),
        }
    };
    options(program)
        .iter()
        .map(|option| (option["dest"].as_str().unwrap().to_owned(), value(option)))
        .collect()
}

/// A message with the names of each option in one order, `-g/--gap`: upstream's depends on the declaration.
fn with_sorted_names(message: &str) -> String {
    let word = |word: &str| {
        let (names, end) = word.split_at(word.trim_end_matches([':', ',']).len());
        let mut names: Vec<&str> = names.split('/').collect();
        if names.iter().all(|name| name.starts_with('-')) {
            names.sort_unstable_by_key(|name| name.len());
        }
        names.join("/") + end
    };
    message.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_line_means_what_it_means_to_msight() {
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    assert_eq!(cases.len(), 95);
    let (mut parsed, mut refused, mut different, mut broken_upstream) = (0, 0, 0, 0);
    for case in &cases {
        let program = case["program"].as_str().unwrap();
        if case.get("import_error").is_some() || case.get("exception").is_some() {
            broken_upstream += 1;
            continue;
        }
        let argv: Vec<&str> =
            case["argv"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        let outcome = argparse::parse(&command(program), argv.iter().map(OsString::from));
        let shown = format!("{program} {argv:?}");

        match (outcome, &case["ok"], case["exit"].as_u64()) {
            // MSight finds out after parsing, with a traceback.
            (Err(Error::Usage { message, .. }), Value::Object(theirs), _)
                if theirs["logging_level"] == "bogus" =>
            {
                assert!(
                    message.starts_with("argument --logging-level: unknown logging level: 'bogus'"),
                    "{message}"
                );
                different += 1;
            }
            // MSight has no --version.
            (Err(Error::Asked(text)), Value::Null, Some(2)) if argv == ["--version"] => {
                assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
                different += 1;
            }
            (Ok(matches), Value::Object(theirs), _) => {
                let mut ours = values(program, &matches);
                if has_gpu(program) && argv.iter().any(|arg| arg.starts_with("-g")) {
                    assert_eq!(ours["gap"], Value::Null, "{shown}");
                    ours["gap"] = json!(matches.get_one::<i64>("gpu"));
                }
                assert_eq!(&ours, theirs, "{shown}");
                parsed += 1;
            }
            (Err(Error::Asked(_)), Value::Null, Some(0)) => parsed += 1,
            (Err(Error::Usage { message, usage, .. }), Value::Null, Some(2)) => {
                assert!(usage.starts_with(&format!("usage: {program} ")), "{usage}");
                let theirs = case["last_stderr_line"].as_str().unwrap();
                let theirs = with_sorted_names(theirs.strip_prefix(&format!("{program}: error: ")).unwrap());
                let theirs = if has_gpu(program) { theirs.replace("-g/--gap", "-g/--gpu") } else { theirs };
                // Ours goes on with what was not understood, the usual reason for an option to be missing.
                let ours = with_sorted_names(&message);
                let ours = match ours.split_once("; unrecognized arguments: ") {
                    Some((missing, _)) if theirs.starts_with("the following arguments are required") => {
                        missing
                    }
                    _ => &ours,
                };
                assert_eq!(ours, theirs, "{shown}");
                refused += 1;
            }
            (outcome, ..) => panic!("{shown}: {outcome:?}, but upstream: {case}"),
        }
    }
    assert_eq!((parsed + refused + different, different, broken_upstream), (93, 2, 2));
}

/// What MSight accepts today stays unambiguous, whatever is added here: every prefix of every option means the
/// same with our additions as without them.
#[test]
fn additions_change_no_abbreviation() {
    let all: Map<String, Value> = serde_json::from_str(OPTIONS).unwrap();
    let mut prefixes = 0;
    for program in all.iter().filter(|(_, options)| options.is_array()).map(|(program, _)| program) {
        let ours = command(program);
        let options = options(program);
        let theirs = options.iter().fold(Command::new("theirs"), |command, option| {
            // Whether a value fits is not the question here.
            command.arg(
                declared(option)
                    .value_parser(clap::value_parser!(OsString))
                    .default_value(None)
                    .required(false),
            )
        });
        for name in options.iter().flat_map(|option| option["options"].as_array().unwrap()) {
            let name = name.as_str().unwrap();
            // "--" alone is no option.
            for end in if name.starts_with("--") { 3 } else { 2 }..=name.len() {
                let line = [OsString::from(&name[..end]), OsString::from("1")];
                let normalise =
                    |command| argparse::normalise(command, line.clone()).map_err(|error| error.to_string());
                let (ours, theirs) = (normalise(&ours), normalise(&theirs));
                if has_gpu(program) && &name[..end] == "-g" {
                    assert_eq!(ours, Ok(vec!["--gpu=1".into()]));
                } else {
                    assert_eq!(ours, theirs, "{program} {line:?}");
                }
                prefixes += 1;
            }
        }
    }
    assert!(prefixes > 1000, "{prefixes}");
}
