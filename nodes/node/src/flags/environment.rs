//! Options that a variable of the environment can give, read from any environment: that of this process for a start,
//! that of a service for a launcher that asks what its command line means.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

use crate::argparse::{self, Error};

/// Looks up a variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// This process's environment.
pub fn process(variable: &str) -> Option<OsString> {
    std::env::var_os(variable)
}

/// A command line with what variables say in front of it.
pub(super) struct Line {
    variables: Vec<String>,
    args: Vec<OsString>,
}

impl Line {
    /// Options that `args` give themselves are not taken from the environment.
    pub(super) fn new(command: &Command, args: &[OsString], environment: Environment<'_>) -> Self {
        let given = |arg: &&Arg| {
            let long = arg.get_long().map(|long| format!("--{long}"));
            long.is_some_and(|long| argparse::position(command, args.iter().cloned(), &long).is_some())
        };
        let mut line = Self { variables: Vec::new(), args: Vec::new() };
        for arg in command.get_arguments().filter(|arg| arg.get_env().is_some()).filter(|arg| !given(arg)) {
            let Some(variable) = arg.get_env().and_then(OsStr::to_str) else { continue };
            let option = environment(variable).and_then(|value| as_option(arg, &value));
            if let Some(option) = option {
                line.variables.push(variable.to_owned());
                line.args.push(option);
            }
        }
        line.args.extend_from_slice(args);
        line
    }

    /// Parses it.
    pub(super) fn parse(self, command: &Command) -> Result<clap::ArgMatches, Error> {
        // clap itself would look into this process's environment.
        let deaf = command.clone().mut_args(|arg| arg.env(None::<&str>));
        let outcome = argparse::parse(&deaf, self.args.iter().cloned());
        outcome.map_err(|error| match error {
            // The help names the variables.
            Error::Asked(_) => argparse::parse(command, self.args).err().unwrap_or(error),
            Error::Usage { program, usage, message, argument, .. } => Error::Usage {
                program,
                usage,
                message,
                variable: argument.and_then(|at| self.variables.get(at).cloned()),
                argument: argument.and_then(|at| at.checked_sub(self.variables.len())),
            },
        })
    }
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

    fn parse(args: &[&str], environment: &[(&str, &str)]) -> Result<Flags, Error> {
        use clap::{Args as _, FromArgMatches as _};
        let command = Flags::augment_args(Command::new("test"));
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let look_up =
            |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
        let matches = Line::new(&command, &args, &look_up).parse(&command)?;
        Ok(Flags::from_arg_matches(&matches).expect("it is complete"))
    }

    #[test]
    fn only_the_environment_that_is_given_counts() {
        let flags = parse(&[], &[]).unwrap();
        assert!(flags.level.is_none() && !flags.loud && flags.path.is_none());
        let flags =
            parse(&["--path", "x"], &[("TEST_LEVEL", "3"), ("TEST_LOUD", "yes"), ("PATH", "y")]).unwrap();
        assert_eq!((flags.level, flags.loud, flags.path.as_deref()), (Some(3), true, Some("x")));
        assert!(!parse(&[], &[("TEST_LOUD", "off")]).unwrap().loud);
    }

    #[test]
    fn an_error_is_about_the_variable_or_the_argument() {
        let about = |args: &[&str], environment: &[(&str, &str)]| match parse(args, environment) {
            Err(Error::Usage { argument, variable, .. }) => (argument, variable),
            _ => panic!("it must be refused"),
        };
        let bad = [("TEST_LOUD", "1"), ("TEST_LEVEL", "high")];
        assert_eq!(about(&["--path=x"], &bad), (None, Some("TEST_LEVEL".to_owned())));
        assert_eq!(about(&["--path=x", "--level", "high"], &bad), (Some(2), None));
        assert_eq!(about(&["--path=x", "--bogus"], &bad[..1]), (Some(1), None));
    }
}
