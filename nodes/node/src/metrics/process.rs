//! What Linux counts of a process: the node's own for Prometheus, by the names that its client libraries agree on, and
//! any other's for measurements.

use std::fmt::Write as _;
use std::time::Duration;
use std::{fs, io};

use msight_contract::{Metric, traffic};

use super::text::head;

/// Linux counts these times in hundredths of a second for every program, whatever the kernel's own rate
/// (`USER_HZ`, proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// Writes the process's metrics; on a system without `/proc`, nothing.
pub(super) fn render(out: &mut String) {
    let mut write = |metric: &Metric, value: Option<f64>| {
        if let Some(value) = value {
            head(out, metric);
            let _ = writeln!(out, "{} {value}", metric.name);
        }
    };
    let usage = Usage::read("self").ok();
    write(&traffic::CPU, usage.map(|usage| usage.cpu.as_secs_f64()));
    write(&traffic::MEMORY, usage.map(|usage| usage.resident_bytes as f64));
    write(&traffic::MEMORY_PEAK, usage.map(|usage| usage.peak_bytes as f64));
    write(&traffic::START_TIME, usage.and_then(|usage| Some(boot_time()? + usage.start_seconds)));
    write(&traffic::OPEN_FILES, open_files());
    write(&traffic::LOG_LINES_LEFT_OUT, Some(crate::logs::lines_left_out() as f64));
}

/// The CPU time and memory of a process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// CPU time of all its threads, also of those that have ended, in steps of 10 ms.
    pub cpu: Duration,
    /// Memory in use now, in bytes.
    pub resident_bytes: u64,
    /// The peak of the memory in use, in bytes.
    pub peak_bytes: u64,
    /// Seconds from the machine's start to the process's.
    start_seconds: f64,
}

impl Usage {
    /// Of the process of this id.
    ///
    /// # Errors
    /// There is no such process any more, or no `/proc` that tells (proc(5)).
    pub fn of(pid: u32) -> io::Result<Self> {
        Self::read(&pid.to_string())
    }

    /// Of this process.
    ///
    /// # Errors
    /// There is no `/proc` that tells.
    pub fn own() -> io::Result<Self> {
        Self::read("self")
    }

    fn read(process: &str) -> io::Result<Self> {
        let read = |file| fs::read_to_string(format!("/proc/{process}/{file}"));
        Self::parse(&read("stat")?, &read("status")?).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// proc(5): in `stat` the program's name, in brackets, can hold anything; behind it come fields 3 and on.
    /// `status` counts memory in kibibytes, where `statm` counts in pages of unknown size.
    fn parse(stat: &str, status: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let seconds = |ticks: u64| ticks as f64 / TICKS_PER_SECOND;
        let bytes = |key| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Self {
            cpu: Duration::try_from_secs_f64(seconds(ticks(14)?.checked_add(ticks(15)?)?)).ok()?,
            // A process that has ended and waits for its parent has no memory any more.
            resident_bytes: bytes("VmRSS:").unwrap_or(0),
            peak_bytes: bytes("VmHWM:").unwrap_or(0),
            start_seconds: seconds(ticks(22)?),
        })
    }
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
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let usage = Usage::parse(stat, status).unwrap();
        assert_eq!((usage.cpu, usage.start_seconds), (Duration::from_secs(3), 1234.0));
        assert_eq!((usage.resident_bytes, usage.peak_bytes), (1 << 20, 2 << 20));
        assert_eq!(Usage::parse(stat, "Name:\tended\n").unwrap().peak_bytes, 0);
        for cut in ["", "7 (a) S 1", "no brackets"] {
            assert!(Usage::parse(cut, status).is_none(), "{cut}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process() {
        let usage = Usage::own().unwrap();
        assert!(usage.resident_bytes > 100_000 && usage.peak_bytes >= usage.resident_bytes);
        assert_eq!(Usage::of(std::process::id()).unwrap().start_seconds, usage.start_seconds);
        assert!(Usage::of(u32::MAX).is_err());
        assert!(open_files().unwrap() >= 1.0);
        let started = boot_time().unwrap() + usage.start_seconds;
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!((now - started).abs() < 24.0 * 3600.0, "started {started}, now {now}");
    }
}
