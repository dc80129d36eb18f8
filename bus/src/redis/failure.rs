//! Classifies Redis errors by how the caller handles them.

use std::fmt;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::error::Error;
use crate::registry::{MAX_TABLE_BYTES, Table};
use crate::topic::Topic;

/// The failed operation, for error messages and to name the missing right.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation<'a> {
    Connect,
    Publish(&'a Topic),
    Subscribe(&'a Topic),
    Listen(&'a Topic),
    Read(Table),
    Get(Table),
    Swap(Table),
    Reset,
}

impl fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("connect"),
            Self::Publish(topic) => write!(f, "publish to topic {topic}"),
            Self::Subscribe(topic) => write!(f, "subscribe to topic {topic}"),
            Self::Listen(topic) => write!(f, "receive from topic {topic}"),
            Self::Read(table) | Self::Get(table) => write!(f, "read {}", table.key()),
            Self::Swap(table) => write!(f, "write to {}", table.key()),
            Self::Reset => f.write_str("delete the keys MSIGHT*"),
        }
    }
}

impl Operation<'_> {
    /// The Redis commands of the operation, in the form of an ACL rule.
    fn commands(self) -> &'static str {
        match self {
            Self::Connect => "+hello +select",
            Self::Publish(_) => "+publish",
            Self::Subscribe(_) | Self::Listen(_) => "+subscribe",
            Self::Read(_) => "+eval +hgetall",
            Self::Get(_) => "+eval +hget",
            Self::Swap(_) => "+eval +hget +hset +hdel",
            Self::Reset => "+scan +del",
        }
    }

    /// The ACL rule that is missing, according to the text of the refusal (`acl.c`, `ACLGetErrorMessage`).
    fn missing_right(self, refusal: &str) -> String {
        match self {
            Self::Publish(topic) | Self::Subscribe(topic) | Self::Listen(topic)
                if refusal.contains("channel") =>
            {
                format!("the channel &{topic}")
            }
            _ if refusal.contains("access") && refusal.contains("key") => "the keys ~MSIGHT:*".to_owned(),
            _ => format!("the commands {}", self.commands()),
        }
    }
}

/// Makes the errors of one Redis, with its address and without its password.
#[derive(Clone)]
pub(super) struct Classifier {
    pub(super) place: String,
    pub(super) secret: Option<String>,
}

impl Classifier {
    /// The error for a server that did not respond, or not in time.
    pub(super) fn unavailable(&self, operation: Operation<'_>, reason: impl fmt::Display) -> Error {
        let (operation, place, reason) = (operation.to_string(), self.place.clone(), self.scrub(reason));
        Error::Unavailable { operation, place, reason }
    }

    fn refused(&self, operation: Operation<'_>, reason: impl fmt::Display) -> Error {
        let (operation, place, reason) = (operation.to_string(), self.place.clone(), self.scrub(reason));
        Error::Refused { operation, place, reason }
    }

    /// Classifies an error of the client or the server.
    pub(super) fn classify(&self, operation: Operation<'_>, error: &RedisError) -> Error {
        let text = error.to_string();
        match error.kind() {
            _ if matches!(error.code(), Some("WRONGPASS" | "NOAUTH")) || text.contains("NOAUTH") => {
                self.refused(operation, credentials(&text))
            }
            ErrorKind::AuthenticationFailed => self.refused(operation, credentials(&text)),
            ErrorKind::RESP3NotSupported => {
                self.refused(operation, "the server does not support HELLO 3; upgrade it to Redis 6 or newer")
            }
            _ if error.code() == Some("NOPERM") => {
                self.refused(operation, missing_right(operation, &text))
            }
            // The refusal of a command inside a script has no error code.
            _ if text.contains("executing the script can't") => {
                self.refused(operation, missing_right(operation, &text))
            }
            _ if text.contains("certificate") || text.contains("fatal alert") => {
                let hint = "check the CA, certificate and key files of MSIGHT_REDIS_MESSAGE_BROKER_TLS_*";
                self.refused(operation, format!("TLS failed, {text}; {hint}"))
            }
            _ if matches!(operation, Operation::Connect) && text.contains("DB index is out of range") => self.refused(
                operation,
                "the server has no database of this number; set MSIGHT_REDIS_MESSAGE_BROKER_DB, or the number in the \
                 URL, to one of its databases, such as 0",
            ),
            _ if text.contains("TABLESIZE") => self.refused(
                operation,
                format!(
                    "its records have more than {} MiB together; delete those of other programs, or all of them with \
                     `msight reset`",
                    MAX_TABLE_BYTES >> 20
                ),
            ),
            _ if text.contains("cluster support disabled") => self.refused(
                operation,
                "the server is not a Redis Cluster; set MSIGHT_REDIS_MESSAGE_BROKER_USE_CLUSTER to false",
            ),
            _ if text.contains("Parse error at") => self.unavailable(
                operation,
                "this is not a Redis server: it does not speak the Redis protocol; check host and port",
            ),
            _ if matches!(operation, Operation::Connect) && error.is_connection_refusal() => self.unavailable(
                operation,
                "connection refused; start Redis, or correct its address: --redis-url, or \
                 MSIGHT_REDIS_MESSAGE_BROKER_HOST and _PORT",
            ),
            _ if is_temporary(error, &text) || is_demoted(error) => self.unavailable(operation, text),
            _ => self.refused(operation, text),
        }
    }

    /// Redacts the password: a server may quote the command that it rejects.
    fn scrub(&self, text: impl fmt::Display) -> String {
        let text = text.to_string();
        match &self.secret {
            Some(secret) if !secret.is_empty() => replace_word(&text, secret, "***"),
            _ => text,
        }
    }
}

/// Replaces `word` only as a whole word, so that a password `p` does not garble the message.
fn replace_word(text: &str, word: &str, replacement: &str) -> String {
    let is_apart = |neighbour: Option<char>| !neighbour.is_some_and(char::is_alphanumeric);
    let (mut replaced, mut done) = (String::with_capacity(text.len()), 0);
    for (start, found) in text.match_indices(word) {
        let end = start + found.len();
        if is_apart(text[..start].chars().next_back()) && is_apart(text[end..].chars().next()) {
            replaced.push_str(&text[done..start]);
            replaced.push_str(replacement);
            done = end;
        }
    }
    replaced + &text[done..]
}

/// The missing right, and the denied command.
fn missing_right(operation: Operation<'_>, refusal: &str) -> String {
    let right = operation.missing_right(refusal);
    // `acl.c`: "no permissions to run the 'eval' command".
    match refusal.split_once("run the '").and_then(|(_, rest)| rest.split_once('\'')) {
        Some((command, _)) => {
            format!("this Redis user needs {right}, and {command:?} is denied; grant them with ACL SETUSER")
        }
        None => format!("this Redis user lacks {right}; grant it with ACL SETUSER"),
    }
}

/// The error for missing or wrong credentials.
fn credentials(text: &str) -> String {
    let what = match text {
        text if text.contains("NOAUTH") => "Redis requires a password (NOAUTH)",
        text if text.contains("WRONGPASS") => "Redis rejected the user name or the password (WRONGPASS)",
        text => text,
    };
    format!(
        "{what}; set MSIGHT_REDIS_MESSAGE_BROKER_PASSWORD (and _USERNAME for an ACL user), or the credentials in the URL"
    )
}

/// Whether the failure may be temporary: all failures of the connection, and those of a server that is loading, full,
/// failing over or out of memory.
fn is_temporary(error: &RedisError, text: &str) -> bool {
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask,
        ) => true,
        ErrorKind::Server(_) => text.contains("max number of clients"),
        ErrorKind::Extension => {
            matches!(error.code(), Some("OOM" | "MISCONF" | "BUSY" | "NOREPLICAS" | "UNBLOCKED"))
        }
        ErrorKind::InvalidClientConfig | ErrorKind::UnexpectedReturnType => false,
        _ => true,
    }
}

/// Whether the server rejects writes because it is a replica, with or without its master. The same address may lead to
/// the new master, but only after a reconnect.
pub(super) fn is_demoted(error: &RedisError) -> bool {
    // Redis 6 wraps an error inside of a script in another error.
    let text = error.to_string();
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown))
        || text.contains("-READONLY ")
        || text.contains("-MASTERDOWN ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify(operation: Operation<'_>, code: &str, detail: &str) -> Error {
        let classifier = Classifier { place: "redis://h:1/0".to_owned(), secret: Some("geheim".to_owned()) };
        let error = redis::make_extension_error(code.to_owned(), Some(detail.to_owned()));
        classifier.classify(operation, &error)
    }

    #[test]
    fn temporary_errors_are_transient_and_refusals_are_not() {
        let topic = Topic::new("img").unwrap();
        for code in ["OOM", "MISCONF", "BUSY"] {
            assert!(classify(Operation::Publish(&topic), code, "x").is_transient(), "{code}");
        }
        for code in ["WRONGTYPE", "WRONGPASS", "NOAUTH"] {
            assert!(!classify(Operation::Read(Table::Nodes), code, "x").is_transient(), "{code}");
        }
    }

    #[test]
    fn a_replica_is_detected_in_script_errors_of_redis_6() {
        let script = "Error running script (call to f_1): @user_script:4: @user_script: 4: -READONLY You can't \
                      write against a read only replica.";
        let error = redis::make_extension_error("ERR".to_owned(), Some(script.to_owned()));
        assert!(is_demoted(&error));
        assert!(classify(Operation::Swap(Table::Nodes), "ERR", script).is_transient());
        assert!(!is_demoted(&redis::make_extension_error("OOM".to_owned(), Some("x".to_owned()))));
    }

    #[test]
    fn the_missing_right_is_named() {
        let topic = Topic::new("img").unwrap();
        let channel = "this user has no permissions to access one of the channels used as arguments";
        let key = "this user has no permissions to access one of the keys used as arguments";
        let command = "this user has no permissions to run the 'publish' command";
        assert_eq!(Operation::Subscribe(&topic).missing_right(channel), "the channel &img");
        assert_eq!(Operation::Swap(Table::Nodes).missing_right(key), "the keys ~MSIGHT:*");
        assert_eq!(Operation::Publish(&topic).missing_right(command), "the commands +publish");
    }

    #[test]
    fn a_failure_states_what_to_do() {
        for (code, detail, words) in [
            ("NOPERM", "User u has no permissions to run the 'eval' command", "\"eval\" is denied; grant"),
            ("ERR", "DB index is out of range", "MSIGHT_REDIS_MESSAGE_BROKER_DB"),
            ("ERR", "This instance has cluster support disabled", "USE_CLUSTER to false"),
            (
                "NOAUTH",
                "HELLO must be called with the client already authenticated",
                "requires a password (NOAUTH); set MSIGHT",
            ),
            ("ERR", "Parse error at 1\nUnexpected `84`", "not a Redis server"),
        ] {
            let error = classify(Operation::Connect, code, detail).to_string();
            assert!(error.contains(words) && !error.contains("HELLO"), "{error}");
        }
    }

    #[test]
    fn a_quoted_password_is_redacted() {
        let error = classify(Operation::Connect, "ERR", "unknown command `HELLO`, beginning with: `geheim`");
        assert!(!error.to_string().contains("geheim") && error.to_string().contains("***"), "{error}");
        assert_eq!(replace_word("p: no permission `p`, pp", "p", "***"), "***: no permission `***`, pp");
    }
}
