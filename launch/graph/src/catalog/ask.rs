//! Asks a program to describe itself. It may be any program, so its output is limited in time and size, and control
//! characters are escaped.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use msight_compose::terminal::escaped;
use msight_node::describe::{Description, Document, FLAG, FORMAT, Invocation, Mistake};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The maximum size of a program's output.
const MAX_BYTES: u64 = 1 << 20;

/// The variables of this process that programs inherit, so that they can start.
const INHERITED: [&str; 8] =
    ["PATH", "HOME", "USER", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV"];

/// A program that did not describe itself.
pub(super) struct NoDescription {
    pub(super) reason: String,
    /// Whether it answered as Python's argparse does to an unknown flag.
    pub(super) is_pythons: bool,
}

/// The program's description.
pub(super) async fn describe(file: &Path, limit: Duration) -> Result<Description, NoDescription> {
    ask(file, &[], &BTreeMap::new(), limit).await.map(|document| document.description)
}

/// What the program makes of these arguments in this environment.
pub(super) async fn understand(
    file: &Path,
    args: &[String],
    environment: &BTreeMap<String, String>,
    limit: Duration,
) -> Result<Invocation, Mistake> {
    match ask(file, args, environment, limit).await {
        Ok(Document { mistake: Some(mistake), .. }) => Err(mistake),
        Ok(Document { invocation: Some(invocation), .. }) => Ok(invocation),
        Ok(_) => Err(Mistake::new(format!("{} did not interpret its arguments", file.display()))),
        Err(error) => Err(Mistake::new(format!("{}: {}", file.display(), error.reason))),
    }
}

async fn ask(
    file: &Path,
    args: &[String],
    environment: &BTreeMap<String, String>,
    limit: Duration,
) -> Result<Document, NoDescription> {
    let failed = |reason: String| NoDescription { reason, is_pythons: false };
    let mut command = Command::new(file);
    command.arg(FLAG).args(args).env_clear();
    command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)))).envs(environment);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A process group of its own lets its children be killed with it.
    let child = command.process_group(0).kill_on_drop(true).spawn();
    let mut child = child.map_err(|error| failed(format!("cannot start it: {error}")))?;
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));

    let answer = timeout(limit, output(&mut child)).await;
    if !matches!(answer, Ok(Ok(_))) {
        // The child has not been waited for, so its process group still exists.
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = child.wait().await;
    }
    let (status, stdout, stderr) = match answer {
        Err(_) => {
            return Err(failed(format!("no answer to {FLAG} within {} s", limit.as_secs_f64())));
        }
        Ok(Err(reason)) => return Err(failed(reason)),
        Ok(Ok(answer)) => answer,
    };
    match read(&stdout) {
        Some(document) if document.msight_node == FORMAT => Ok(document),
        Some(document) => Err(failed(format!(
            "its description has format {}, but this msight reads format {FORMAT}; install the same version of both",
            document.msight_node
        ))),
        None => {
            let stderr = String::from_utf8_lossy(&stderr);
            let is_pythons = (status.code() == Some(2) && stderr.contains(": error: "))
                || stderr.contains("Traceback (most recent call last)");
            Err(NoDescription { reason: refusal(status, &stderr), is_pythons })
        }
    }
}

/// Waits for the exit of the program and returns its status, standard output and standard error.
async fn output(child: &mut Child) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), String> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::try_join!(all(out), all(err))?;
    let status = child.wait().await.map_err(|error| format!("cannot wait for its exit: {error}"))?;
    Ok((status, stdout, stderr))
}

async fn all(from: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let read = from.take(MAX_BYTES + 1).read_to_end(&mut bytes).await;
        read.map_err(|error| format!("cannot read its output: {error}"))?;
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("its output for {FLAG} exceeds {} MiB", MAX_BYTES >> 20));
    }
    Ok(bytes)
}

/// Parses the document and escapes control characters.
fn read(stdout: &[u8]) -> Option<Document> {
    let mut value: Value = serde_json::from_slice(stdout).ok()?;
    make_printable(&mut value);
    serde_json::from_value(value).ok()
}

fn make_printable(value: &mut Value) {
    match value {
        Value::String(text) => {
            // Descriptions have paragraphs.
            let lines: Vec<String> = text.split('\n').map(escaped).collect();
            *text = lines.join("\n");
        }
        Value::Array(values) => values.iter_mut().for_each(make_printable),
        Value::Object(fields) => fields.values_mut().for_each(make_printable),
        _ => {}
    }
}

/// Why there is no document, from the program's exit status and standard error.
fn refusal(status: ExitStatus, stderr: &str) -> String {
    let last = stderr.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let last: String = escaped(last).chars().take(200).collect();
    let detail = if last.is_empty() { String::new() } else { format!(": {last}") };
    match status.success() {
        true => format!("its output for {FLAG} is not a description"),
        false => format!("{FLAG} failed with {status}{detail}"),
    }
}
