//! Hides secrets in what findings show.
//!
//! An excerpt shows the keys of a line and the shape of its values. A value itself is shown only where it cannot hold a
//! secret: the values of keys and flags that are known to be harmless, and names of variables in `${NAME}`. All other
//! characters become `*`, one for one, so that columns stay what they are.

use std::borrow::Cow;

/// Keys of compose files whose values are names, numbers or paths.
const HARMLESS_KEYS: &[&str] = &[
    "build",
    "cap_add",
    "cap_drop",
    "condition",
    "container_name",
    "context",
    "cpu_shares",
    "cpus",
    "cpuset",
    "depends_on",
    "disable",
    "dockerfile",
    "driver",
    "env_file",
    "extends",
    "external",
    "file",
    "hostname",
    "image",
    "include",
    "init",
    "interval",
    "links",
    "max-file",
    "max-size",
    "mem_limit",
    "mem_reservation",
    "memory",
    "memswap_limit",
    "network_mode",
    "networks",
    "oom_score_adj",
    "path",
    "pids",
    "pids_limit",
    "platform",
    "ports",
    "privileged",
    "profiles",
    "project_directory",
    "protocol",
    "published",
    "pull_policy",
    "read_only",
    "replicas",
    "required",
    "restart",
    "retries",
    "scale",
    "security_opt",
    "service",
    "services",
    "shm_size",
    "start_interval",
    "start_period",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "target",
    "timeout",
    "tmpfs",
    "tty",
    "type",
    "user",
    "userns_mode",
    "volumes",
    "working_dir",
];

/// Flags of nodes and servers whose values are names, numbers or addresses.
const HARMLESS_FLAGS: &[&str] = &[
    "--action-on-error",
    "--address",
    "--audio",
    "--aws-region",
    "--bitrate",
    "--bucket",
    "--bucket-name",
    "--buffer-size",
    "--capture-clock",
    "--checksum",
    "--codec",
    "--connect-timeout",
    "--container",
    "--content-type",
    "--copy",
    "--format",
    "--fps",
    "--fragment-duration",
    "--gap",
    "--gpu",
    "--grace",
    "--group-id",
    "--heartbeat-tolerance",
    "--idle-timeout",
    "--jpeg-quality",
    "--keep-uploaded",
    "--key-timezone",
    "--keyframe-interval",
    "--listen",
    "--log-format",
    "--logging-level",
    "--max-clock-skew",
    "--max-concurrent",
    "--max-gap",
    "--max-segment-bytes",
    "--max-sensors",
    "--maxmemory",
    "--maxmemory-policy",
    "--metrics",
    "--multipart-threshold",
    "--name",
    "--overflow",
    "--overlap-size",
    "--packet-topic",
    "--port",
    "--post-record",
    "--pre-record",
    "--pre-record-bytes",
    "--prefix",
    "--publish-topic",
    "--qp",
    "--queue-bytes",
    "--queue-size",
    "--read-timeout",
    "--resize-ratio",
    "--rtsp-transport",
    "--segment-bytes",
    "--segment-duration",
    "--sensor-name",
    "--sensor-queue",
    "--spool",
    "--storage-class",
    "--subscribe-topic",
    "--sync",
    "--timing",
    "--trigger-topic",
    "--upload-buffer",
    "--upload-timeout",
    "-g",
    "-n",
    "-pt",
    "-sn",
    "-st",
];

/// The characters that separate the words of a line, and are shown.
const SEPARATORS: &str = " \t,[]{}\"'";

/// A line as an excerpt shows it. `path` is that of the place in a compose file; it is empty in a file of variables.
pub(super) fn line(line: &str, path: &str) -> String {
    let mut shown =
        Line { out: String::with_capacity(line.len()), key: last_key(path).to_owned(), flag: None };
    let mut rest = line;
    let mut is_first = true;
    while let Some(next) = rest.chars().next() {
        if SEPARATORS.contains(next) {
            shown.out.push(next);
            rest = &rest[next.len_utf8()..];
            continue;
        }
        if let Some(variable) = required_variable(rest).filter(|_| !path.is_empty()) {
            shown.flag = None;
            shown.out.push_str(&credentials(variable));
            (rest, is_first) = (&rest[variable.len()..], false);
            continue;
        }
        let end = rest.find(|c: char| SEPARATORS.contains(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        shown.word(word, after, is_first, path);
        // A dash begins an item of a list.
        is_first &= word == "-" || word == "?";
        rest = after;
    }
    shown.out
}

/// The key that a path ends with, without indices: `command` of `services.a.command[3]`.
fn last_key(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path).split('[').next().unwrap_or_default()
}

struct Line {
    out: String,
    /// The key whose value comes next.
    key: String,
    /// The flag whose value comes next, and whether it is harmless.
    flag: Option<bool>,
}

impl Line {
    fn word(&mut self, word: &str, after: &str, is_first: bool, path: &str) {
        let before = self.out.trim_end_matches(['"', '\'', ' ', '\t']).chars().next_back();
        let begins_an_item = is_first || matches!(before, Some('{' | ',' | '['));
        if word == "-" || word == "?" {
            return self.out.push_str(word);
        }
        if word == "<<:" && begins_an_item {
            "<<".clone_into(&mut self.key);
            return self.out.push_str(word);
        }
        if let Some(key) = word.strip_suffix(':').filter(|key| begins_an_item && is_name(key)) {
            // A key in quotes has its colon behind them.
            key.clone_into(&mut self.key);
            self.flag = None;
            return self.out.push_str(word);
        }
        let is_variables_file = path.is_empty() && is_first;
        if let Some((name, value)) = word.split_once('=').filter(|(name, _)| {
            begins_an_item && is_name(name) && (is_variables_file || path.contains(".environment"))
        }) {
            self.out.push_str(name);
            self.out.push('=');
            return self.mask(value);
        }
        if let Some(harmless) = self.flag.take().filter(|_| !is_flag(word)) {
            return if harmless { self.plain(word, after) } else { self.value(word, after) };
        }
        if is_flag(word) {
            let (flag, value) =
                word.split_once('=').map_or((word, None), |(flag, value)| (flag, Some(value)));
            let is_harmless = HARMLESS_FLAGS.contains(&flag);
            self.out.push_str(flag);
            match value {
                None => self.flag = Some(is_harmless),
                Some(value) => {
                    self.out.push('=');
                    if is_harmless { self.plain(value, after) } else { self.value(value, after) }
                }
            }
            return;
        }
        let is_merge = self.key == "<<" && word.starts_with(['&', '*']);
        let is_program = begins_an_item && word.starts_with("msight");
        if is_merge || is_program || HARMLESS_KEYS.contains(&self.key.as_str()) {
            return self.plain(word, after);
        }
        self.value(word, after);
    }

    /// A word of a harmless value: shown if it consists of the characters of names, numbers and paths.
    fn plain(&mut self, word: &str, after: &str) {
        let is_plain = |c: char| c.is_alphanumeric() || "._-/:*&<~+".contains(c);
        let is_url = word.contains("://");
        if word.chars().all(is_plain) && !is_url { self.out.push_str(word) } else { self.value(word, after) }
    }

    /// A value that may hold a secret: of a URL without credentials the host is shown, of `${NAME}` the name.
    fn value(&mut self, word: &str, after: &str) {
        if self.out.ends_with("${") {
            // Without the closing brace it is no variable, but a password that holds these characters.
            if !after.starts_with('}') {
                return self.mask(word);
            }
            let end = word.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(word.len());
            self.out.push_str(&word[..end]);
            return self.mask(&word[end..]);
        }
        // `$` and the brace after it are two words.
        if word.ends_with('$') && after.starts_with('{') {
            self.mask(&word[..word.len() - 1]);
            return self.out.push('$');
        }
        if matches!(word, "true" | "false" | "null" | "~") {
            return self.out.push_str(word);
        }
        match word.split_once("://") {
            // A password may hold any character: with an @ anywhere behind, all of it may be a part of one.
            Some((scheme, rest)) if is_name(scheme) && !rest.contains('@') && !after.contains('@') => {
                self.out.push_str(scheme);
                self.out.push_str("://");
                let end = rest.find(['/', '?', '#', ':']).unwrap_or(rest.len());
                let port = rest[end..].strip_prefix(':').unwrap_or_default();
                let digits = port.len() - port.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                let is_port = digits > 0 && port[digits..].chars().next().is_none_or(|c| c == '/');
                // `host:12/word` may be the beginning of `user:12/word@host`, so only the host is shown then.
                let shown = match rest[end..].chars().next() {
                    Some(':') if is_port && port.len() == digits => end + 1 + digits,
                    Some('/') => end + 1,
                    _ => end,
                };
                self.out.push_str(&rest[..shown]);
                self.mask(&rest[shown..]);
            }
            Some((scheme, rest)) if is_name(scheme) => {
                self.out.push_str(scheme);
                self.out.push_str("://");
                self.mask(rest);
            }
            _ => self.mask(word),
        }
    }

    fn mask(&mut self, text: &str) {
        self.out.extend(text.chars().map(|_| '*'));
    }
}

/// The required variable that a text begins with, `${NAME:?message}`. Its name and message are for the user.
fn required_variable(text: &str) -> Option<&str> {
    let (inner, _) = text.strip_prefix("${")?.split_once('}')?;
    let (name, message) = inner.split_once('?')?;
    let name = name.strip_suffix(':').unwrap_or(name);
    let is_variable = is_name(name) && !name.contains(['.', '-']) && !message.contains(['{', '$']);
    is_variable.then(|| &text[.."${".len() + inner.len() + 1])
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        && !text.starts_with('-')
}

/// Whether a word has the form of a flag: `--name`, or a dash with one or two letters.
fn is_flag(word: &str) -> bool {
    let name = word.split('=').next().unwrap_or(word);
    let is_word = |name: &str| name.starts_with(|c: char| c.is_ascii_lowercase());
    match (name.strip_prefix("--"), name.strip_prefix('-')) {
        (Some(long), _) => is_word(long) && long.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
        (None, Some(short)) => {
            is_word(short) && short.len() <= 2 && short.chars().all(|c| c.is_ascii_alphabetic())
        }
        (None, None) => false,
    }
}

/// The form of a URL as messages of this project describe it, behind one of the schemes. It holds no secret.
const FORM: &str = "://[user:password@]host";
const SCHEMES: [&str; 2] = [" rtsp", " redis"];

/// The credentials of a URL that is an example.
const EXAMPLE: &str = "user:password@";

/// Masks the credentials of every URL in a message, one `*` for each character. The form of a URL and the words behind it
/// are those of this project, and stay.
pub(super) fn message(text: &str) -> Cow<'_, str> {
    let (mut shown, mut done) = (String::new(), 0);
    for (at, form) in text.match_indices(FORM) {
        if SCHEMES.iter().any(|scheme| text[done..at].ends_with(scheme)) {
            shown += &credentials(&text[done..at]);
            shown += form;
            done = at + form.len();
        }
    }
    if done == 0 { credentials(text) } else { (shown + &credentials(&text[done..])).into() }
}

/// Masks credentials in a text without forms. A password may hold any character, so everything up to the last `@` behind
/// a URL's scheme is masked, except a user name.
fn credentials(text: &str) -> Cow<'_, str> {
    // A password may hold an @, too.
    let is_whole = |rest: &&str| rest.split("://").next().is_some_and(|before| !before.contains('@'));
    let (mut shown, mut rest) = (0, text);
    while let Some(begin) = rest.find("://").map(|at| at + 3) {
        if let Some(behind) = rest[begin..].strip_prefix(EXAMPLE).filter(is_whole) {
            (shown, rest) = (text.len() - behind.len(), behind);
            continue;
        }
        let Some(end) = rest[begin..].rfind('@').map(|at| begin + at) else { break };
        let user = rest[begin..end].find(':').filter(|at| is_name(&rest[begin..begin + at]));
        let secret = user.map_or(begin, |at| begin + at + 1)..end;
        let masked = rest.char_indices().map(|(at, c)| if secret.contains(&at) { '*' } else { c });
        return text[..shown].chars().chain(masked).collect::<String>().into();
    }
    Cow::Borrowed(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_of_any_length_is_masked() {
        let examples = "rtsp://user:password@".repeat(50_000);
        assert_eq!(message(&examples), examples);
        let forms = " rtsp://[user:password@]host".repeat(20_000);
        assert_eq!(message(&format!("{forms} rtsp://a:b@c")), format!("{forms} rtsp://a:*@c"));
        assert_eq!(message("rtsp://user:password@c rtsp://a:b@c"), "rtsp://user:password@c rtsp://a:*@c");
    }

    #[test]
    fn keys_and_shapes_are_shown() {
        let command = "services.a.command[3]";
        let table = [
            ("    comand: rtsp://me:s3cret@host/x # ü", "", "    comand: rtsp://**************** * *"),
            ("    image: redis:7", "services.a.image", "    image: redis:7"),
            ("  camera:", "services.camera", "  camera:"),
            ("    <<: *node", "services.a", "    <<: *node"),
            ("    restart: sometimes", "services.a.restart", "    restart: sometimes"),
            (
                r#"  command: ["-n", "a", "--fps=10", "-st", "frames"]"#,
                command,
                r#"  command: ["-n", "a", "--fps=10", "-st", "frames"]"#,
            ),
            (r#"  command: ["--password", "s3cret"]"#, command, r#"  command: ["--password", "******"]"#),
            ("  command: x --password=s3 cret", command, "  command: * --password=** ****"),
            (
                r#"  entrypoint: ["msight_launch_rtsp"]"#,
                "services.a.entrypoint",
                r#"  entrypoint: ["msight_launch_rtsp"]"#,
            ),
            ("  - -u rtsp://camera:8554", command, "  - -u rtsp://camera:8554"),
            ("  - rtsp://u:12/s3cret", command, "  - rtsp://u**********"),
            ("      A: s3cret$X", "services.a.environment.A", "      A: ********"),
            ("      A: ${B:-s3cret}", "services.a.environment.A", "      A: ${B********}"),
            ("    environment: [A=s3cret]", "services.a.environment[0]", "    environment: [A=******]"),
            (
                "      A: ${B:?the word, rtsp://user:password@host}",
                "services.a.environment.A",
                "      A: ${B:?the word, rtsp://user:password@host}",
            ),
            (
                "      A: ${B:?like rtsp://me:s3cret@host}",
                "services.a.environment.A",
                "      A: ${B:?like rtsp://me:******@host}",
            ),
            (
                r#"  command: ["--bucket-name", "${B:?a bucket}"]"#,
                command,
                r#"  command: ["--bucket-name", "${B:?a bucket}"]"#,
            ),
            (
                r#"  command: ["--bucket-name", "${B:-s3cret}"]"#,
                command,
                r#"  command: ["--bucket-name", "${B********}"]"#,
            ),
            ("    mem_limit: 256m", "services.a.mem_limit", "    mem_limit: 256m"),
            (
                r#"  command: ["--packet-topic", "packets", "--spool", "/spool"]"#,
                command,
                r#"  command: ["--packet-topic", "packets", "--spool", "/spool"]"#,
            ),
            ("PASSWORD=s3cret", "", "PASSWORD=******"),
        ];
        for (written, path, expected) in table {
            assert_eq!(line(written, path), expected, "{written}");
        }
    }

    #[test]
    fn credentials_in_messages_are_masked() {
        let table = [
            ("no URL", "no URL"),
            ("`rtsp://host/x` is wrong", "`rtsp://host/x` is wrong"),
            ("rtsp://me:se cr'et@host/x", "rtsp://me:********@host/x"),
            ("rtsp://me:a/b@c@host", "rtsp://me:*****@host"),
            (
                "such as rtsp://user:password@host, not rtsp://me:secret@host",
                "such as rtsp://user:password@host, not rtsp://me:******@host",
            ),
            ("rtsp://user:password@se@host", "rtsp://user:***********@host"),
            ("rtsp://token@host", "rtsp://*****@host"),
            (
                "`rtsp://me:se@host`: use rtsp://[user:password@]host, with @ : / in it",
                "`rtsp://me:**@host`: use rtsp://[user:password@]host, with @ : / in it",
            ),
            (
                "use rtsp://[user:password@]host[:port], not rtsp://me:secret@host",
                "use rtsp://[user:password@]host[:port], not rtsp://me:******@host",
            ),
        ];
        for (written, expected) in table {
            assert_eq!(message(written), expected);
        }
    }

    proptest! {
        /// Whatever a password holds, no run of three of its characters is shown.
        #[test]
        fn a_password_is_never_shown(
            secret in "[a-z]{2}[Q-Z0-9@/:?#' $*!&%{}\\[\\],=-]{1,6}[Q-Z]{3}",
            around in prop::sample::select(vec![
                "    command: -u rtsp://me:SECRET@host/live",
                "    command: [\"-u\", \"rtsp://me:SECRET@host/live\"]",
                "    command: [\"--password\", \"SECRET\"]",
                "      MSIGHT_RTSP_PASSWORD: SECRET",
                "      - MSIGHT_RTSP_PASSWORD=SECRET",
                "MSIGHT_RTSP_PASSWORD='SECRET'",
            ]),
            path in prop::sample::select(vec!["", "services.a.command[1]", "services.a.environment.X"]),
        ) {
            let shown = line(&around.replace("SECRET", &secret), path);
            let end = &secret[secret.len() - 3..];
            prop_assert!(!shown.contains(end) || around.contains(end), "{shown}");
        }
    }
}
