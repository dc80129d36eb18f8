//! Asking a program what it is. It may be anything: what it says is bounded in time and size, and nothing of it can drive
//! a terminal.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use msight_node::describe::{Description, Document, FLAG, FORMAT, Invocation, Mistake};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The most that a program may say.
const MOST_BYTES: u64 = 1 << 20;

/// What programs need of this process's environment to start at all.
const INHERITED: [&str; 8] =
    ["PATH", "HOME", "USER", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV"];

/// No description.
pub(super) struct Silence {
    pub(super) reason: String,
    /// Whether it was what a program of Python's argparse does with a flag that it does not know.
    pub(super) is_pythons: bool,
}

/// What the program says of itself.
pub(super) async fn describe(file: &Path, patience: Duration) -> Result<Description, Silence> {
    ask(file, &[], &BTreeMap::new(), patience).await.map(|document| document.description)
}

/// What the program makes of these arguments in this environment.
pub(super) async fn understand(
    file: &Path,
    args: &[String],
    environment: &BTreeMap<String, String>,
    patience: Duration,
) -> Result<Invocation, Mistake> {
    match ask(file, args, environment, patience).await {
        Ok(Document { mistake: Some(mistake), .. }) => Err(mistake),
        Ok(Document { invocation: Some(invocation), .. }) => Ok(invocation),
        Ok(_) => Err(Mistake::new(format!("{} says nothing of its arguments", file.display()))),
        Err(silence) => Err(Mistake::new(format!("{} {}", file.display(), silence.reason))),
    }
}

async fn ask(
    file: &Path,
    args: &[String],
    environment: &BTreeMap<String, String>,
    patience: Duration,
) -> Result<Document, Silence> {
    let silence = |reason: String| Silence { reason, is_pythons: false };
    let mut command = Command::new(file);
    command.arg(FLAG).args(args).env_clear();
    command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)))).envs(environment);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // In a group of its own, so that what it has started ends with it.
    let child = command.process_group(0).kill_on_drop(true).spawn();
    let mut child = child.map_err(|error| silence(format!("it cannot be started: {error}")))?;
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));

    let answer = timeout(patience, listen(&mut child)).await;
    if !matches!(answer, Ok(Ok(_))) {
        // The child is not waited for yet, so the group is still its own.
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = child.wait().await;
    }
    let (status, said, complained) = match answer {
        Err(_) => {
            return Err(silence(format!("it does not answer {FLAG} within {} s", patience.as_secs_f64())));
        }
        Ok(Err(reason)) => return Err(silence(reason)),
        Ok(Ok(answer)) => answer,
    };
    match read(&said) {
        Some(document) if document.msight_node == FORMAT => Ok(document),
        Some(document) => Err(silence(format!(
            "it describes itself in format {}, and this program reads format {FORMAT}; install the same version of both",
            document.msight_node
        ))),
        None => {
            let complained = String::from_utf8_lossy(&complained);
            let is_pythons = (status.code() == Some(2) && complained.contains(": error: "))
                || complained.contains("Traceback (most recent call last)");
            Err(Silence { reason: refusal(status, &complained), is_pythons })
        }
    }
}

/// Waits for the end, and gives what was said on standard output and standard error.
async fn listen(child: &mut Child) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), String> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (said, complained) = tokio::try_join!(all(out), all(err))?;
    let status = child.wait().await.map_err(|error| format!("its end cannot be waited for: {error}"))?;
    Ok((status, said, complained))
}

async fn all(from: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let read = from.take(MOST_BYTES + 1).read_to_end(&mut bytes).await;
        read.map_err(|error| format!("what it says cannot be read: {error}"))?;
    }
    if bytes.len() as u64 > MOST_BYTES {
        return Err(format!(
            "it says more than {} MiB when it is asked to describe itself",
            MOST_BYTES >> 20
        ));
    }
    Ok(bytes)
}

/// The document, with every control character written out.
fn read(said: &[u8]) -> Option<Document> {
    let mut value: Value = serde_json::from_slice(said).ok()?;
    make_printable(&mut value);
    serde_json::from_value(value).ok()
}

fn make_printable(value: &mut Value) {
    match value {
        Value::String(text) if text.chars().any(|c| c.is_control() && c != '\n') => {
            *text = printable(text);
        }
        Value::Array(values) => values.iter_mut().for_each(make_printable),
        Value::Object(fields) => fields.values_mut().for_each(make_printable),
        _ => {}
    }
}

fn printable(text: &str) -> String {
    text.chars().fold(String::new(), |mut safe, c| {
        if c.is_control() && c != '\n' {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
        safe
    })
}

/// What a program did that gave no document.
fn refusal(status: ExitStatus, complained: &str) -> String {
    let last = complained.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let last: String = printable(last).chars().take(200).collect();
    let said = if last.is_empty() { String::new() } else { format!(" and says: {last}") };
    match status.success() {
        true => format!("what it prints for {FLAG} is no description"),
        false => format!("asked for {FLAG}, it ends with {status}{said}"),
    }
}
