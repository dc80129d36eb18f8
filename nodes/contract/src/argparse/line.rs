//! One command line, parsed with the table of a program's options.

use std::ffi::{OsStr, OsString};

use super::options::{Options, Resolved};

/// A command line, parsed once from left to right. Arguments are counted from 0, without the program's name.
///
/// Parsing checks neither values nor missing options.
#[derive(Debug)]
pub struct Line<'o> {
    options: &'o Options,
    args: Vec<OsString>,
    /// The options parsed so far, each as `--long-name=value`.
    canonical: Vec<OsString>,
    /// The options parsed so far, each with the index of the argument with its value, or of its own argument.
    places: Vec<(usize, usize)>,
    /// Arguments that are neither an option nor the value of one, with their index.
    extras: Vec<(usize, OsString)>,
    /// Why parsing stopped before the end of the line, and at which argument.
    stopped: Option<(String, usize)>,
}

impl<'o> Line<'o> {
    /// Parses a command line.
    pub fn read(options: &'o Options, args: impl IntoIterator<Item = OsString>) -> Self {
        let args: Vec<OsString> = args.into_iter().collect();
        let mut line = Self {
            options,
            args: Vec::new(),
            canonical: Vec::new(),
            places: Vec::new(),
            extras: Vec::new(),
            stopped: None,
        };
        let mut rest = args.as_slice();
        while let Some((arg, following)) = rest.split_first() {
            let at = args.len() - rest.len();
            rest = following;
            match options.resolve(arg) {
                Resolved::Value | Resolved::Unknown => line.extras.push((at, arg.clone())),
                Resolved::End => {
                    // MSight's programs have no positional arguments.
                    line.extras.extend((at..).zip(args[at..].iter().cloned()));
                    break;
                }
                Resolved::Ambiguous(message) => {
                    line.stopped = Some((message, at));
                    break;
                }
                Resolved::Option { index, value: Some(value), glued } => {
                    if let Err(message) = line.take_attached(index, value, glued, at) {
                        line.stopped = Some((message, at));
                        break;
                    }
                }
                Resolved::Option { index, value: None, .. } => {
                    let option = &options[index];
                    // In a list, clap would parse a value with a dash as an option. A value after `=` may have one.
                    let is_value = |arg: &&OsString| {
                        options.resolve(arg) == Resolved::Value && (option.max_values == 1 || !is_dashed(arg))
                    };
                    let count = following.iter().take(option.max_values).take_while(is_value).count();
                    if count < option.min_values {
                        line.stopped = Some((option.expected_values(), at));
                        break;
                    }
                    let (values, after) = following.split_at(count);
                    rest = after;
                    line.push(index, values, arg);
                    line.places.push((index, at + count));
                }
            }
        }
        line.args = args;
        line
    }

    /// The options as clap parses them, each as `--long-name=value`. A one-letter option without a value stays a
    /// letter. The values of an option with several follow it.
    pub fn canonical(&self) -> &[OsString] {
        &self.canonical
    }

    /// The error that stopped parsing, and the index of its argument: an ambiguous prefix, a missing value, or a value
    /// too many.
    pub fn error(&self) -> Option<(&str, usize)> {
        self.stopped.as_ref().map(|(message, at)| (message.as_str(), *at))
    }

    /// The error for arguments that belong to no option, and the index of the first.
    pub fn unrecognized(&self) -> Option<(String, usize)> {
        let (first, _) = self.extras.first()?;
        let mut extras: Vec<String> = Vec::new();
        let mut is_secret = false;
        for (_, arg) in &self.extras {
            let arg = arg.to_string_lossy();
            let (name, value) =
                arg.split_once('=').map_or((&*arg, None), |(name, value)| (name, Some(value)));
            extras.push(match value {
                _ if is_secret && !arg.starts_with("--") => "***".to_owned(),
                Some(_) if names_a_secret(name) => format!("{name}=***"),
                _ => arg.to_string(),
            });
            is_secret = value.is_none() && names_a_secret(name);
        }
        Some((format!("unrecognized arguments: {}", extras.join(" ")), *first))
    }

    /// The index of the argument with the value of the option with this spelling: the last one, if there are several.
    /// For an option without a value, the index of the option itself.
    pub fn position(&self, spelling: &str) -> Option<usize> {
        self.positions(self.options.exact(spelling)?).last()
    }

    /// The index of the argument that ends in this value of the option, else [`position`](Self::position).
    pub fn position_of_value(&self, spelling: &str, value: &str) -> Option<usize> {
        let option = self.options.exact(spelling)?;
        let holds_it = |at: &usize| self.args[*at].to_string_lossy().ends_with(value);
        self.positions(option).find(holds_it).or_else(|| self.positions(option).last())
    }

    /// The value of a single-valued option, by its long name: the last one, if there are several.
    pub fn value(&self, long: &str) -> Option<String> {
        let mut given =
            self.canonical.iter().filter_map(|word| word.to_str()?.strip_prefix(long)?.strip_prefix('='));
        given.next_back().map(str::to_owned)
    }

    fn positions(&self, option: usize) -> impl Iterator<Item = usize> {
        self.places.iter().filter(move |(of, _)| *of == option).map(|(_, at)| *at)
    }

    /// Applies `--opt=value`, `-o=value`, `-ovalue`, and combined one-letter flags (`-ab`), all in the argument `at`.
    fn take_attached(&mut self, index: usize, value: &OsStr, glued: bool, at: usize) -> Result<(), String> {
        let option = &self.options[index];
        self.places.push((index, at));
        if option.max_values > 0 {
            self.canonical.push(assignment(option.canonical(), value));
            return Ok(());
        }
        let reject = || Err(option.ignored_value(value));
        // Letters directly after a one-letter flag may be more flags. A value after `=` is always an error.
        let Some(letters) = value.to_str().filter(|letters| glued && !letters.is_empty()) else {
            return reject();
        };
        let mut flags = vec![OsString::from(option.flag())];
        for (offset, letter) in letters.char_indices() {
            let Some(next) = self.options.exact(&format!("-{letter}")) else { return reject() };
            let option = &self.options[next];
            self.places.push((next, at));
            if option.max_values > 0 {
                let value = &letters[offset + letter.len_utf8()..];
                if value.is_empty() {
                    return Err(option.expected_values());
                }
                flags.push(assignment(option.canonical(), OsStr::new(value)));
                break;
            }
            flags.push(OsString::from(option.flag()));
        }
        self.canonical.extend(flags);
        Ok(())
    }

    fn push(&mut self, index: usize, values: &[OsString], spelled: &OsStr) {
        let option = &self.options[index];
        match values {
            [value] if option.max_values == 1 => self.canonical.push(assignment(option.canonical(), value)),
            [] if option.is_flag_letter(spelled) => self.canonical.push(OsString::from(option.flag())),
            _ => {
                self.canonical.push(OsString::from(option.canonical()));
                self.canonical.extend_from_slice(values);
            }
        }
    }
}

fn assignment(option: &str, value: &OsStr) -> OsString {
    let mut whole = OsString::from(option);
    whole.push("=");
    whole.push(value);
    whole
}

fn is_dashed(arg: &OsStr) -> bool {
    arg.len() > 1 && arg.as_encoded_bytes()[0] == b'-'
}

/// Whether the value of an unknown option is a secret, judged by the option's name.
fn names_a_secret(option: &str) -> bool {
    let name = option.to_ascii_lowercase();
    option.starts_with('-')
        && ["pass", "secret", "token", "key", "credential"].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use crate::flag::Flag;

    use super::*;

    fn flag(names: &[&str], takes_value: bool) -> Flag {
        Flag {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            value_name: takes_value.then(|| "X".to_owned()),
            several: false,
            required: false,
            default: None,
            choices: Vec::new(),
            env: None,
            help: String::new(),
            heading: None,
        }
    }

    fn options() -> Options {
        Options::of_flags(&[
            flag(&["-n", "--name"], true),
            flag(&["-pt", "--publish-topic"], true),
            flag(&["-f", "--fast"], false),
            flag(&["-q", "--quick"], false),
        ])
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn combined_letters_have_the_index_of_their_argument() {
        let options = options();
        let line = Line::read(&options, words("-pt a -fqnx"));
        assert_eq!(line.canonical(), words("--publish-topic=a -f -q --name=x"));
        for option in ["--fast", "--quick", "--name", "-n"] {
            assert_eq!(line.position(option), Some(2), "{option}");
        }
        assert_eq!(line.position("--publish-topic"), Some(1));
        assert_eq!(line.value("--name").as_deref(), Some("x"));
    }

    #[test]
    fn the_last_of_several_values_applies() {
        let options = options();
        let line = Line::read(&options, words("-n a --na=b -f x"));
        assert_eq!((line.value("--name").as_deref(), line.position("--name")), (Some("b"), Some(2)));
        assert_eq!(line.position_of_value("--name", "a"), Some(1));
        assert_eq!(line.unrecognized(), Some(("unrecognized arguments: x".to_owned(), 4)));
        assert_eq!(line.error(), None);
    }

    #[test]
    fn an_error_has_the_index_of_its_argument() {
        let options = options();
        for (line, at) in [("-f -n", 1), ("-n x -fz", 2), ("--fast=1", 0)] {
            assert_eq!(Line::read(&options, words(line)).error().map(|(_, at)| at), Some(at), "{line}");
        }
    }
}
