use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, value_parser};
use proptest::prelude::*;

use super::*;

/// MSight's options and two additions, one of which shares prefixes with MSight's.
fn command() -> Command {
    let option = |long: &'static str| Arg::new(long).long(long);
    Command::new("prog")
        .arg(option("name").short('n').required(true))
        .arg(option("publish-topic").alias("pt"))
        .arg(option("gap").short('g').value_parser(int))
        .arg(option("group-id"))
        .arg(option("fast").short('f').action(ArgAction::SetTrue))
        .arg(option("quick").short('q').action(ArgAction::SetTrue))
        .arg(option("many").num_args(1..))
        .arg(option("tag").action(ArgAction::Append))
        .arg(option("maybe").num_args(0..=1).default_missing_value("yes"))
        .arg(option("path").short('p').value_parser(value_parser!(OsString)))
        .arg(option("gather").help_heading("Ours"))
        .arg(option("publish-rate").help_heading("Ours"))
}

fn args(line: &[&str]) -> Vec<OsString> {
    line.iter().map(OsString::from).collect()
}

fn normalised(line: &[&str]) -> Result<Vec<String>, String> {
    match normalise(&command(), args(line)) {
        Ok(line) => Ok(line.into_iter().map(|arg| arg.into_string().unwrap()).collect()),
        Err(error) => Err(error.to_string()),
    }
}

#[track_caller]
fn becomes(line: &[&str], canonical: &[&str]) {
    assert_eq!(normalised(line), Ok(canonical.iter().map(|arg| (*arg).to_owned()).collect()));
}

#[track_caller]
fn fails(line: &[&str], message: &str) {
    assert_eq!(normalised(line), Err(message.to_owned()));
}

#[test]
fn every_spelling_becomes_the_long_one() {
    becomes(&["-n", "x", "-nx", "-n=x", "--name", "x"], &["--name=x"; 4]);
    becomes(&["-pt", "x", "-pt=x", "--publish-t=x"], &["--publish-topic=x"; 3]);
    becomes(
        &["-g", "-1", "-g-1", "--gap", "-1.5", "-g", "-.5"],
        &["--gap=-1", "--gap=-1", "--gap=-1.5", "--gap=-.5"],
    );
    becomes(
        &["-n", "", "-n", "-", "-n", "-a b", "-n=-x", "-n==", "-n="],
        &["--name=", "--name=-", "--name=-a b", "--name=-x", "--name==", "--name="],
    );
    becomes(
        &["-h", "--help", "--fast", "-f", "-fqnx"],
        &["-h", "--help", "--fast", "-f", "-f", "-q", "--name=x"],
    );
    becomes(
        &["--many", "a", "b", "--maybe", "--maybe", "b", "--tag", "c"],
        &["--many", "a", "b", "--maybe", "--maybe=b", "--tag=c"],
    );
}

#[test]
fn prefixes_are_msights_first() {
    becomes(&["--publish", "x"], &["--publish-topic=x"]);
    becomes(&["--ga", "1"], &["--gap=1"]);
    becomes(&["--gath", "1", "--publish-r", "2"], &["--gather=1", "--publish-rate=2"]);
    fails(&["--g", "1"], "ambiguous option: --g could match --gap, --group-id");
    fails(&["--g=1"], "ambiguous option: --g could match --gap, --group-id");
    fails(&["--pt", "x"], "unrecognized arguments: --pt x");
}

#[test]
fn leftovers_and_missing_values() {
    fails(&["-n", "x", "extra", "-st", "q"], "unrecognized arguments: extra -st q");
    fails(&["-n", "x", "--", "-g"], "unrecognized arguments: -- -g");
    fails(&["-n"], "argument -n/--name: expected one argument");
    fails(&["-n", "--"], "argument -n/--name: expected one argument");
    fails(&["-pt", "-x"], "argument -pt/--publish-topic: expected one argument");
    fails(&["-g", "-1e5"], "argument -g/--gap: expected one argument");
    fails(&["--many", "a", "-1"], "unrecognized arguments: -1");
    fails(&["--many"], "argument --many: expected at least one argument");
    fails(&["--fast=1"], "argument -f/--fast: ignored explicit argument '1'");
    fails(&["-fx"], "argument -f/--fast: ignored explicit argument 'x'");
    fails(&["rtsp://user:word@camera/"], "unrecognized arguments: rtsp://***@camera/");
}

#[test]
fn errors_come_in_argparse_order() {
    let error = |line: &[&str]| parse(&command(), args(line)).unwrap_err().to_string();
    assert_eq!(error(&["-g", "x", "-n"]), "argument -g/--gap: invalid int value: 'x'");
    assert_eq!(error(&["-g", "", "-n"]), "argument -g/--gap: invalid int value: ''");
    assert_eq!(error(&["-n", "-g", "x"]), "argument -n/--name: expected one argument");
    assert_eq!(error(&[]), "the following arguments are required: -n/--name");
    assert_eq!(
        error(&["--nmae", "x"]),
        "the following arguments are required: -n/--name; unrecognized arguments: --nmae x"
    );
    assert!(matches!(parse(&command(), args(&["-h", "-g", "x"])), Err(Error::Asked(_))));
}

#[test]
fn the_last_of_a_repeated_option_counts() {
    let matches = parse(&command(), args(&["-n", "a", "-g", "1", "-n", "b", "-g2", "--tag=x", "--tag", "y"]));
    let matches = matches.unwrap();
    assert_eq!(matches.get_one::<String>("name").unwrap(), "b");
    assert_eq!(matches.get_one::<i64>("gap"), Some(&2));
    // A list is what clap calls it, not a repetition.
    assert_eq!(matches.get_many::<String>("tag").unwrap().collect::<Vec<_>>(), ["x", "y"]);
}

#[cfg(unix)]
#[test]
fn a_value_need_not_be_text() {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let raw = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    for line in [vec![raw(b"-p"), raw(b"/\xff")], vec![raw(b"-p/\xff")], vec![raw(b"--pat=/\xff")]] {
        assert_eq!(normalise(&command(), line).unwrap()[0].as_bytes(), b"--path=/\xff");
    }
    assert!(normalise(&command(), [raw(b"--\xff")]).is_err());
    assert!(normalise(&command(), [raw(b"-\xff")]).is_err());
}

/// Pieces that mean something to the parser, in any order and glued to anything.
fn argument() -> impl Strategy<Value = OsString> {
    let meaning = prop::sample::select(vec![
        "-",
        "--",
        "=",
        "-n",
        "-g",
        "-pt",
        "-p",
        "--na",
        "--g",
        "--gap",
        "--publish",
        "-f",
        "-fq",
        "-h",
        "--many",
        "--maybe",
        "-1",
        "-.5",
        "",
        " ",
        "é",
        "x",
        "://u:p@h",
    ]);
    let glued = prop::collection::vec(meaning, 0..4).prop_map(|pieces| OsString::from(pieces.concat()));
    prop_oneof![4 => glued, 1 => any::<String>().prop_map(OsString::from)]
}

proptest! {
    #[test]
    fn any_line_is_answered_and_its_rewriting_is_final(line in prop::collection::vec(argument(), 0..8)) {
        if let Ok(canonical) = normalise(&command(), line.clone()) {
            prop_assert_eq!(normalise(&command(), canonical.clone()).unwrap(), canonical);
        }
        // clap behind it must not panic either, and must agree that the canonical line has options only.
        if let Err(Error::Usage { message, .. }) = parse(&command(), line) {
            prop_assert!(!message.contains("unexpected argument"), "{}", message);
        }
    }
}
