//! Options that a variable of the environment can give, read from any environment: that of this process for a start,
//! that of a service for a launcher that asks what its command line means.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgMatches, Command};

use msight_contract::Detail;

use crate::argparse::{Error, Parser};
use crate::describe::flags_of;

/// The width of the help.
const HELP_COLUMNS: usize = 100;

/// Looks up a variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// This process's environment.
pub fn process(variable: &str) -> Option<OsString> {
    std::env::var_os(variable)
}

/// The parser of a command without its variables: clap itself would look into this process's environment.
pub(super) fn parser(command: &Command) -> Parser {
    Parser::new(command.clone().mut_args(|arg| arg.env(None::<&str>)))
}

/// Parses a line with the options in front of it that variables give and the line does not.
pub(super) fn parse(
    command: &Command,
    parser: &mut Parser,
    args: &[OsString],
    environment: Environment<'_>,
) -> Result<ArgMatches, Error> {
    let (mut variables, mut whole) = (Vec::new(), Vec::new());
    let line = parser.line(args);
    let is_given = |arg: &&Arg| {
        let long = arg.get_long().map(|long| format!("--{long}"));
        long.is_some_and(|long| line.position(&long).is_some())
    };
    for arg in command.get_arguments().filter(|arg| arg.get_env().is_some()).filter(|arg| !is_given(arg)) {
        let Some(variable) = arg.get_env().and_then(OsStr::to_str) else { continue };
        if let Some(option) = environment(variable).and_then(|value| as_option(arg, &value)) {
            variables.push(variable.to_owned());
            whole.push(option);
        }
    }
    whole.extend_from_slice(args);
    parser.parse(&whole).map_err(|error| match error {
        Error::Asked(version) => Error::Asked(help(command, parser, args).unwrap_or(version)),
        Error::Usage { program, usage, message, argument, meant, .. } => Error::Usage {
            program,
            usage,
            message,
            meant,
            variable: argument.and_then(|at| variables.get(at).cloned()),
            argument: argument.and_then(|at| at.checked_sub(variables.len())),
        },
    })
}

/// The help that the line asks for; `None` where it asks for the version.
fn help(command: &Command, parser: &Parser, args: &[OsString]) -> Option<String> {
    let line = parser.line(args);
    let asked = line.canonical().iter().filter_map(|word| word.to_str());
    let mut detail = asked.filter_map(|word| match word {
        "-h" => Some(Detail::Brief),
        "--help" => Some(Detail::Full),
        _ => None,
    });
    let detail = detail.next_back()?;
    let about = match detail {
        Detail::Brief => command.get_about(),
        Detail::Full => command.get_long_about().or(command.get_about()),
    };
    let about = about.map(ToString::to_string).unwrap_or_default();
    Some(msight_contract::help(command.get_name(), &about, &flags_of(command.clone()), detail, HELP_COLUMNS))
}

/// The option with this value; an option without one is given unless the value says no, as clap has it.
fn as_option(arg: &Arg, value: &OsStr) -> Option<OsString> {
    let mut option = OsString::from(format!("--{}", arg.get_long()?));
    if arg.get_action().takes_values() {
        option.push("=");
        option.push(value);
        return Some(option);
    }
    let value = value.to_string_lossy().to_lowercase();
    (!["", "0", "f", "false", "n", "no", "off"].contains(&value.as_str())).then_some(option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Args)]
    struct Flags {
        #[arg(long, env = "TEST_LEVEL", value_parser = clap::value_parser!(u8))]
        level: Option<u8>,
        #[arg(long, env = "TEST_LOUD")]
        loud: bool,
        // Always set, and must not be seen.
        #[arg(long, env = "PATH")]
        path: Option<String>,
    }

    fn read(args: &[&str], environment: &[(&str, &str)]) -> Result<Flags, Error> {
        use clap::{Args as _, FromArgMatches as _};
        let command = Flags::augment_args(Command::new("test"));
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let look_up =
            |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
        let matches = parse(&command, &mut parser(&command), &args, &look_up)?;
        Ok(Flags::from_arg_matches(&matches).expect("it is complete"))
    }

    #[test]
    fn only_the_environment_that_is_given_counts() {
        let flags = read(&[], &[]).unwrap();
        assert!(flags.level.is_none() && !flags.loud && flags.path.is_none());
        let flags =
            read(&["--path", "x"], &[("TEST_LEVEL", "3"), ("TEST_LOUD", "yes"), ("PATH", "y")]).unwrap();
        assert_eq!((flags.level, flags.loud, flags.path.as_deref()), (Some(3), true, Some("x")));
        assert!(!read(&[], &[("TEST_LOUD", "off")]).unwrap().loud);
    }

    #[test]
    fn an_error_is_about_the_variable_or_the_argument() {
        let about = |args: &[&str], environment: &[(&str, &str)]| match read(args, environment) {
            Err(Error::Usage { argument, variable, .. }) => (argument, variable),
            _ => panic!("it must be refused"),
        };
        let bad = [("TEST_LOUD", "1"), ("TEST_LEVEL", "high")];
        assert_eq!(about(&["--path=x"], &bad), (None, Some("TEST_LEVEL".to_owned())));
        assert_eq!(about(&["--path=x", "--level", "high"], &bad), (Some(2), None));
        assert_eq!(about(&["--path=x", "--bogus"], &bad[..1]), (Some(1), None));
    }
}
