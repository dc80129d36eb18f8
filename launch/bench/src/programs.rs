//! Runs the measured programs as processes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use msight_node::metrics::Usage;
use nix::time::ClockId;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use msight_supervise::Guard;

/// Finds an executable in this folder; without one, beside this program or in `PATH`.
pub(super) fn find(program: &str, folder: Option<&Path>) -> Option<PathBuf> {
    if let Some(folder) = folder {
        return Some(folder.join(program)).filter(|file| file.is_file());
    }
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.to_owned()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = beside.into_iter().chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The version that a program prints: the start of its first line.
pub(super) async fn version(program: &Path, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(Duration::from_secs(10), output).await.ok()?.ok()?;
    let output = String::from_utf8_lossy(&output.stdout);
    Some(output.lines().next()?.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

/// The CPU and memory of a process so far, with its CPU time to the nanosecond: `/proc` counts in steps of 10 ms, which are
/// tens of frames of a node that only copies.
///
/// # Errors
/// There is no such process any more.
pub(super) fn usage(pid: u32) -> Result<Usage> {
    let mut usage = Usage::of(pid)?;
    let process = nix::unistd::Pid::from_raw(i32::try_from(pid)?);
    usage.cpu = ClockId::pid_cpu_clock_id(process)?.now()?.into();
    Ok(usage)
}

/// A process that is measured. It is killed when this is dropped.
pub(super) struct Program {
    /// Its name in results and errors.
    pub(super) name: String,
    child: Child,
    pid: u32,
    log: PathBuf,
}

impl Program {
    /// Starts a program with its output in `<folder>/<name>.log`.
    pub(super) fn start<A: AsRef<OsStr>>(
        name: &str,
        executable: &Path,
        args: impl IntoIterator<Item = A>,
        environment: &BTreeMap<String, String>,
        folder: &Path,
        guard: &Guard,
    ) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(executable);
        command.args(args).current_dir(folder).process_group(guard.group()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // Variables of the user's shell must not change the measured nodes.
        let is_foreign =
            |name: &str| ["MSIGHT_", "AWS_", "RUST_LOG"].iter().any(|begin| name.starts_with(begin));
        for name in
            std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|n| is_foreign(n))
        {
            command.env_remove(name);
        }
        let child = command.envs(environment).spawn();
        let child = child.with_context(|| format!("cannot start {}", executable.display()))?;
        let pid = child.id().with_context(|| format!("{name} has exited immediately"))?;
        Ok(Self { name: name.to_owned(), child, pid, log })
    }

    /// Its CPU and memory so far.
    pub(super) fn usage(&self) -> Result<Usage> {
        usage(self.pid).with_context(|| format!("{} has ended{}", self.name, self.log_tail()))
    }

    /// Its output so far.
    pub(super) fn output(&self) -> String {
        std::fs::read(&self.log).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
    }

    /// Fails if it has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} has ended, {status}{}", self.name, self.log_tail()),
        }
    }

    /// Sends the signal and waits for the exit; `false` if the program took too long and was killed.
    pub(super) async fn stop(mut self, signal: Signal) -> Result<bool> {
        const TIME_LIMIT: Duration = Duration::from_secs(15);
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            // A program that has ended needs no signal.
            let _ = kill_process(pid, signal);
        }
        match timeout(TIME_LIMIT, self.child.wait()).await {
            Ok(ended) => ended.map(|_| true).with_context(|| format!("cannot wait for {}", self.name)),
            Err(_) => self.child.kill().await.map(|()| false).context("cannot kill it"),
        }
    }

    /// The end of its log, for an error.
    fn log_tail(&self) -> String {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        match lines[lines.len().saturating_sub(5)..].join("\n  ") {
            words if words.is_empty() => String::new(),
            words => format!("; its last lines:\n  {words}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_is_measured_and_stopped_and_errors_contain_its_last_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let guard = Guard::of_folder(folder.path()).expect("a shell");
        let shell = find("sh", None).expect("a shell");
        let script = "echo hello $GREETED; exec sleep 60";
        let greeted = BTreeMap::from([("GREETED".to_owned(), "world".to_owned())]);
        let mut program = Program::start("sleeper", &shell, ["-c", script], &greeted, folder.path(), &guard)
            .expect("it starts");
        while !program.output().contains("hello world") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(program.usage().expect("it runs").resident_bytes > 0);
        program.check().expect("it runs");
        let pid = program.pid;
        assert!(program.stop(Signal::TERM).await.expect("it stops"));
        assert!(Usage::of(pid).is_err());

        let mut failing = Program::start(
            "failing",
            &shell,
            ["-c", "echo why >&2; exit 3"],
            &greeted,
            folder.path(),
            &guard,
        )
        .expect("it starts");
        failing.child.wait().await.expect("its end");
        let error = failing.check().expect_err("it has ended").to_string();
        assert!(error.contains("exit status: 3") && error.contains("why"), "{error}");
    }

    #[tokio::test]
    async fn the_guard_kills_remaining_programs_and_removes_the_folder() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = parent.path().join("bench");
        std::fs::create_dir(&folder).expect("a folder");
        let guard = Guard::of_folder(&folder).expect("a shell");
        let sleep = find("sleep", None).expect("sleep");
        let mut left =
            Program::start("left", &sleep, ["60"], &BTreeMap::new(), &folder, &guard).expect("it starts");
        drop(guard);
        left.child.wait().await.expect("its end");
        assert!(!folder.exists());
    }

    #[test]
    fn a_missing_program_is_not_found() {
        assert_eq!(find("msight-no-such-program", None), None);
    }
}
