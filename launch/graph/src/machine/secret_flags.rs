//! Hands over secrets in the environment of a node: every user of the machine can read command lines.

use std::collections::BTreeMap;

use msight_node::describe::Description;
use msight_supervise::Job;
use percent_encoding::percent_decode_str;
use url::Url;

/// The flag with the URL of Redis. It has no variable of its own, but one for each part.
const REDIS_URL: &str = "--redis-url";

/// Moves each value that may hold a secret from the arguments to the variables of a node.
pub(super) fn into_environment(job: &mut Job, program: &Description) {
    for flag in &program.flags {
        let Some(value) = given(program, flag.name(), &job.args).filter(|value| may_hold_secret(value))
        else {
            continue;
        };
        let variables = match &flag.env {
            Some(variable) => Some(BTreeMap::from([(variable.clone(), value)])),
            None if flag.name() == REDIS_URL => redis_variables(&value),
            None => None,
        };
        if let Some(variables) = variables {
            remove(program, flag.name(), &mut job.args);
            job.environment.extend(variables);
        }
    }
}

/// The value of a flag on the command line.
fn given(program: &Description, flag: &str, args: &[String]) -> Option<String> {
    program.position_of(flag, args)?;
    program.value_of(flag, args, &BTreeMap::new())
}

/// Whether a URL may hold a secret: as its user, in its query, or in its path, where some cameras expect it.
fn may_hold_secret(value: &str) -> bool {
    value.split_once("://").is_some_and(|(_, rest)| rest.contains(['@', '?', '=']))
}

/// Removes a flag that has one value, in each of its spellings.
fn remove(program: &Description, flag: &str, args: &mut Vec<String>) {
    while let Some(at) = program.position_of(flag, args) {
        let word = args.remove(at);
        // The value is an argument of its own behind the flag, or a part of the flag's argument.
        if !word.starts_with('-') && at > 0 {
            args.remove(at - 1);
        }
    }
}

/// The variables that stand for the URL of a Redis; `None` if they cannot say the same.
fn redis_variables(url: &str) -> Option<BTreeMap<String, String>> {
    let url = Url::parse(url).ok()?;
    let uses_tls = match url.scheme() {
        "redis" => "false",
        "rediss" => "true",
        _ => return None,
    };
    let plain = |text: &str| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    let number = url.path().trim_matches('/');
    let variables = [
        ("HOST", url.host_str()?.trim_matches(['[', ']']).to_owned()),
        ("PORT", url.port().unwrap_or(6379).to_string()),
        ("DB", if number.is_empty() { "0".to_owned() } else { number.to_owned() }),
        ("USERNAME", plain(url.username())?),
        ("PASSWORD", plain(url.password().unwrap_or_default())?),
        ("USE_TLS", uses_tls.to_owned()),
        // The URL takes precedence over these.
        ("UNIX_SOCKET_PATH", String::new()),
        ("USE_CLUSTER", "false".to_owned()),
    ];
    let named = variables.map(|(name, value)| (format!("MSIGHT_REDIS_MESSAGE_BROKER_{name}"), value));
    Some(named.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tutorial::BUILT_IN;

    /// The arguments and variables of the source with these arguments.
    fn moved(args: &str) -> (String, BTreeMap<String, String>) {
        let source = BUILT_IN.iter().find(|entry| entry.program() == "msight_launch_rtsp");
        let description = source.expect("the source is built in").describe();
        let mut job = Job::new("camera", "/bin/node", args.split(' ').map(str::to_owned).collect());
        into_environment(&mut job, &description);
        (job.args.join(" "), job.environment)
    }

    #[test]
    fn secrets_leave_the_command_line_in_every_spelling() {
        for url in ["rtsp://u:geheim@c/live", "rtsp://c/user=u/password=geheim", "rtsp://c/x?p=geheim"] {
            for flag in ["-u ", "-u", "--url ", "--url="] {
                let (args, variables) = moved(&format!("-n a {flag}{url} -pt t -u rtsp://old/ -u {url}"));
                assert_eq!(args, "-n a -pt t", "{flag}{url}");
                assert_eq!(variables["MSIGHT_RTSP_URL"], url);
            }
        }
        let plain = "-n a -pt t -u rtsp://c/live --redis-url redis://r/0";
        assert_eq!(moved(plain), (plain.to_owned(), BTreeMap::new()));
    }

    #[test]
    fn a_redis_url_becomes_its_variables() {
        let (args, variables) = moved("-n a --redis-url=rediss://u:ge%40heim@r:7000/2 -pt t");
        assert_eq!(args, "-n a -pt t");
        let value = |name: &str| variables[&format!("MSIGHT_REDIS_MESSAGE_BROKER_{name}")].as_str();
        let names = ["HOST", "PORT", "DB", "USERNAME", "PASSWORD", "USE_TLS"];
        assert_eq!(names.map(value), ["r", "7000", "2", "u", "ge@heim", "true"]);
    }
}
