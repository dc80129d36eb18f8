//! Tests that need what not every machine has. A test that cannot run passes, and is reported twice: at once, past the
//! harness, which hides the output of tests that pass; and at the end of all tests, from a file that stays behind. In CI
//! it fails.

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::panic::Location;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Whether the calling test can run, which is `has`. `needs` names what it needs, as in `docker-compose (apt-get
/// install docker-compose)`.
#[must_use]
#[track_caller]
pub fn can_run(has: bool, needs: &str) -> bool {
    let place = Location::caller();
    let test = format!("{}:{}", place.file(), place.line());
    let record = records().join(test.replace(['/', ':'], "_"));
    if has {
        let _ = fs::remove_file(record);
        return true;
    }
    assert!(
        !must_run() || is_known_to_be_missing(needs),
        "{test}: this test needs {needs}, and all tests must run where CI or MSIGHT_REQUIRE_ALL_TESTS is set"
    );
    let line = format!("test left out: {test} needs {needs}\n");
    let _ = fs::create_dir_all(records()).and_then(|()| fs::write(record, &line));
    show(&line);
    false
}

/// Whether a program is there and answers to these arguments.
pub fn is_installed(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Shows a line for each test that could not run since this was last called.
pub fn report_left_out() {
    let records = fs::read_dir(records()).into_iter().flatten().flatten().map(|record| record.path());
    let mut lines: Vec<_> = records
        .filter_map(|record| {
            let line = fs::read_to_string(&record).ok();
            let _ = fs::remove_file(record);
            line
        })
        .collect();
    lines.sort();
    show(&lines.concat());
}

fn must_run() -> bool {
    ["CI", "MSIGHT_REQUIRE_ALL_TESTS"].into_iter().any(|name| std::env::var_os(name).is_some())
}

fn is_known_to_be_missing(needs: &str) -> bool {
    let known = std::env::var("MSIGHT_WITHOUT").unwrap_or_default();
    known.split(',').any(|known| !known.trim().is_empty() && needs.starts_with(known.trim()))
}

/// Writes to the terminal, wherever the harness sends what the test prints.
fn show(line: &str) {
    let mut stderr = std::io::stderr();
    if !stderr.is_terminal()
        && let Ok(mut terminal) = fs::OpenOptions::new().write(true).open("/dev/tty")
    {
        let _ = terminal.write_all(line.as_bytes());
        return;
    }
    // `eprint!` would be captured.
    let _ = stderr.write_all(line.as_bytes());
}

/// In the target folder: test programs are two folders below it.
fn records() -> PathBuf {
    let program = std::env::current_exe().expect("a test program");
    program.ancestors().nth(3).expect("a target folder").join("tests-left-out")
}
