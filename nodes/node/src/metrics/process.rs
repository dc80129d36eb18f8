//! The process's own numbers, by the names that Prometheus' client libraries agree on.

use std::fmt::Write as _;
use std::fs;

use super::text::head;

/// Linux counts these times in hundredths of a second for every program, whatever the kernel's own rate
/// (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// Writes what `/proc` tells; where there is none, nothing.
pub(super) fn render(out: &mut String) {
    let mut gauge = |name: &str, help, kind, value: Option<f64>| {
        if let Some(value) = value {
            head(out, name, help, kind);
            let _ = writeln!(out, "{name} {value}");
        }
    };
    let stat = Stat::read();
    let cpu = stat.as_ref().map(|stat| stat.cpu_seconds);
    gauge("process_cpu_seconds_total", "CPU time used, in seconds.", "counter", cpu);
    gauge("process_resident_memory_bytes", "Memory in use.", "gauge", status_bytes("VmRSS:"));
    gauge(
        "process_resident_memory_peak_bytes",
        "The most memory that was ever in use.",
        "gauge",
        status_bytes("VmHWM:"),
    );
    let start = stat.and_then(|stat| Some(boot_time()? + stat.start_seconds));
    gauge(
        "process_start_time_seconds",
        "When the process was started, in seconds since 1970.",
        "gauge",
        start,
    );
    gauge("process_open_fds", "Open files and connections.", "gauge", open_files());
}

struct Stat {
    cpu_seconds: f64,
    /// After the machine's start.
    start_seconds: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// proc(5): the program's name, in brackets, can hold anything; behind it come fields 3 and on.
    fn parse(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let seconds = |number: usize| Some(fields.get(number - 3)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
        Some(Self { cpu_seconds: seconds(14)? + seconds(15)?, start_seconds: seconds(22)? })
    }
}

/// A line of `/proc/self/status`, which counts in kibibytes, where `statm` counts in pages of unknown size.
fn status_bytes(key: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
}

fn boot_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn open_files() -> Option<f64> {
    // One of them is the folder itself, open while it is read.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_a_program_with_an_odd_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 123400 9 9";
        let stat = Stat::parse(stat).unwrap();
        assert_eq!((stat.cpu_seconds, stat.start_seconds), (3.0, 1234.0));
        assert!(Stat::parse("").is_none() && Stat::parse("7 (a) S 1").is_none());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process() {
        assert!(status_bytes("VmRSS:").unwrap() > 100_000.0);
        assert!(open_files().unwrap() >= 1.0);
        let started = boot_time().unwrap() + Stat::read().unwrap().start_seconds;
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!((now - started).abs() < 24.0 * 3600.0, "started {started}, now {now}");
    }
}
