//! Errors of command lines, in argparse's words.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use msight_contract::Mistake;
use msight_contract::argparse::Options;

use crate::describe::flags_of;

/// Why a command line gives nothing to run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `--help` or `--version`: the text belongs on stdout, and the program ends well.
    #[error("{0}")]
    Asked(String),
    /// The line is wrong: usage and message belong on stderr.
    #[error("{message}")]
    Usage {
        /// The program's name.
        program: String,
        /// The usage line, without an end of line.
        usage: Box<str>,
        /// What is wrong, without the program's name and without credentials.
        message: String,
        /// The argument that it is about, counted from 0, where it is about one.
        argument: Option<usize>,
        /// The variable of the environment that it is about, where it is about one.
        variable: Option<String>,
        /// The option that may be meant by one that the program does not have.
        meant: Option<Box<str>>,
    },
}

impl Error {
    pub(super) fn usage(command: &Command, message: &str, argument: Option<usize>) -> Self {
        let program = command.get_name().to_owned();
        let usage = msight_contract::usage(&program, &flags_of(command.clone())).into();
        let message = without_credentials(message);
        Self::Usage { program, usage, message, argument, variable: None, meant: None }
    }

    /// The same error, with the option that may be meant.
    pub(super) fn suggesting(self, option: Option<Box<str>>) -> Self {
        match self {
            Self::Usage { program, usage, message, argument, variable, .. } => {
                Self::Usage { program, usage, message, argument, variable, meant: option }
            }
            asked => asked,
        }
    }

    /// Writes the text where it belongs, stdout or stderr, and gives the status to exit with: 0 when the user
    /// asked for the text, else 2, as argparse has it. A closed pipe is not an error.
    pub fn print(&self) -> ExitCode {
        match self {
            Self::Asked(text) => {
                let _ = io::stdout().lock().write_all(text.as_bytes());
                ExitCode::SUCCESS
            }
            Self::Usage { program, usage, message, meant, .. } => {
                let meant =
                    meant.as_ref().map(|meant| format!("; {}", did_you_mean(meant))).unwrap_or_default();
                let _ = writeln!(io::stderr().lock(), "{usage}\n{program}: error: {message}{meant}");
                ExitCode::from(2)
            }
        }
    }
}

impl From<Error> for Mistake {
    fn from(error: Error) -> Self {
        match error {
            Error::Asked(_) => Self::new("the arguments ask for help or the version; no node starts"),
            Error::Usage { message, argument, variable, meant, .. } => {
                Self { message, argument, variable, help: meant.as_deref().map(did_you_mean) }
            }
        }
    }
}

fn did_you_mean(option: &str) -> String {
    format!("did you mean {option}?")
}

/// The option that clap shows as `--gap <GAP>`.
pub(super) fn spelling(shown: &str) -> &str {
    shown.split([' ', '=', '[']).next().unwrap_or(shown)
}

/// The message argparse would give for an error that clap found.
pub(super) fn message(options: &Options, error: &clap::Error) -> String {
    let text = |kind| text(error, kind);
    let texts = |kind| match error.get(kind) {
        Some(ContextValue::Strings(texts)) => texts.as_slice(),
        _ => &[],
    };
    let label = |shown| match options.exact(spelling(shown)) {
        Some(index) => options[index].label(),
        None => shown.to_owned(),
    };
    let option = || label(text(ContextKind::InvalidArg));
    match error.kind() {
        ErrorKind::MissingRequiredArgument => {
            let (mut missing, mut instead) = (Vec::new(), Vec::new());
            // clap shows a group of options, of which one is required, as `<--url <URL>|--url-file <FILE>>`.
            let group = |shown| str::strip_prefix(shown, '<').filter(|group| group.starts_with('-'));
            let shown = texts(ContextKind::InvalidArg);
            if let [alone] = shown
                && let Some(group) = group(alone)
            {
                let labels: Vec<_> = group.split('|').map(label).collect();
                return format!("one of the arguments {} is required", labels.join(" "));
            }
            for shown in shown {
                let mut options = group(shown).unwrap_or(shown).split('|');
                missing.extend(options.next().map(label));
                instead.extend(options.map(spelling));
            }
            let missing = format!("the following arguments are required: {}", missing.join(", "));
            if instead.is_empty() { missing } else { format!("{missing}; or set {}", instead.join(" or ")) }
        }
        ErrorKind::InvalidValue => {
            let choices: Vec<_> =
                texts(ContextKind::ValidValue).iter().map(|choice| format!("'{choice}'")).collect();
            let (option, value, choices) = (option(), text(ContextKind::InvalidValue), choices.join(", "));
            format!("argument {option}: invalid choice: '{value}' (choose from {choices})")
        }
        ErrorKind::ValueValidation => {
            let (option, value) = (option(), text(ContextKind::InvalidValue));
            let reason = std::error::Error::source(error).map_or_else(String::new, ToString::to_string);
            let is_quoted = reason.contains(&format!("'{value}'")) || reason.contains(&format!("{value:?}"));
            if value.is_empty() || is_quoted {
                format!("argument {option}: {reason}")
            } else {
                format!("argument {option}: invalid value: '{value}': {reason}")
            }
        }
        // Groups, conflicts and the like, which MSight does not have: clap's first line says it.
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    }
}

/// The detail of clap's error under this key, or an empty text.
pub(super) fn text(error: &clap::Error, kind: ContextKind) -> &str {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text,
        _ => "",
    }
}

/// Placeholders for user name and password in the syntax of an address. No other text in brackets is kept: a user may have
/// typed brackets around a secret.
const FORMS: [&str; 2] = ["[user:password@]", "[user[:password]@]"];

/// Removes credentials: command lines carry camera URLs, and messages quote command lines. `rtsp://user:word@host` becomes
/// `rtsp://***@host`.
fn without_credentials(message: &str) -> String {
    let mut safe = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        safe.push_str(before);
        let (word, _) = after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()));
        // Without an @, the word may be the beginning of a password with a space.
        let address = match word.contains('@') || word.contains('[') {
            true => word,
            false => &after[..after.find("://").unwrap_or(after.len())],
        };
        // The syntax of an address, as help and errors show it.
        let form =
            FORMS.iter().find(|form| address.strip_prefix(**form).is_some_and(|host| !host.contains('@')));
        if let Some(form) = form {
            safe.push_str(form);
            rest = &after[form.len()..];
            continue;
        }
        // A password may itself hold a `@`: the host is behind the last.
        match address.rfind('@') {
            Some(user_info) => {
                safe.push_str("***");
                rest = &after[user_info..];
            }
            None => rest = after,
        }
    }
    safe + rest
}

#[cfg(test)]
mod tests {
    use super::without_credentials;

    #[test]
    fn credentials_are_cut_out() {
        for (message, safe) in [
            ("no url", "no url"),
            ("bad rtsp://u:p@h/x here", "bad rtsp://***@h/x here"),
            ("'rtsp://u:p@ss/w@h'", "'rtsp://***@h'"),
            ("a://h b://u@h c@d", "a://h b://***@h c@d"),
            ("bad 'rtsp://u:pa ss@h/x'", "bad 'rtsp://***@h/x'"),
            ("redis://:secret@h redis://", "redis://***@h redis://"),
            (
                "'rtsp://u:p@' is not rtsp://[user:password@]host/path",
                "'rtsp://***@' is not rtsp://[user:password@]host/path",
            ),
            ("redis://[user[:password]@]host", "redis://[user[:password]@]host"),
            ("rtsp://[u:p@]h rtsp://[user:password@]u:p@h", "rtsp://***@]h rtsp://***@h"),
        ] {
            assert_eq!(without_credentials(message), safe);
        }
    }
}
