//! Describes the machine, because measurements of different machines cannot be compared.

use std::fs;
use std::thread::available_parallelism;

use serde::Serialize;

/// The properties of the machine.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) memory_bytes: u64,
    pub(super) system: String,
    pub(super) kernel: String,
    pub(super) architecture: &'static str,
}

impl Machine {
    pub(super) fn this() -> Self {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
        let memory = value(&read("/proc/meminfo"), "MemTotal", ':');
        let memory = memory.and_then(|memory| memory.strip_suffix(" kB")?.parse::<u64>().ok());
        Self {
            cpu: or_unknown(value(&read("/proc/cpuinfo"), "model name", ':')),
            cores: available_parallelism().map_or(1, usize::from),
            memory_bytes: memory.unwrap_or(0) * 1024,
            system: or_unknown(value(&read("/etc/os-release"), "PRETTY_NAME", '=')),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            architecture: std::env::consts::ARCH,
        }
    }

    /// The properties as one line of text.
    pub(super) fn line(&self) -> String {
        format!(
            "{}, {} cores, {:.1} GiB, {}, Linux {} {}",
            self.cpu,
            self.cores,
            self.memory_bytes as f64 / f64::from(1 << 30),
            self.system,
            self.kernel,
            self.architecture
        )
    }
}

/// The value of the first line with this name.
fn value(text: &str, name: &str, separator: char) -> Option<String> {
    let lines = text.lines().filter_map(|line| line.split_once(separator));
    let value = lines.filter(|(key, _)| key.trim() == name).map(|(_, value)| value).next()?;
    Some(value.trim().trim_matches('"').to_owned())
}

/// The ticks of all cores since the machine's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticks {
    busy: u64,
    all: u64,
}

impl Ticks {
    /// The current ticks; `None` without `/proc`.
    pub(super) fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// proc(5): user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
    fn parse(stat: &str) -> Option<Self> {
        let ticks = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(8);
        let ticks: Vec<u64> = ticks.map(str::parse).collect::<Result<_, _>>().ok()?;
        let all = ticks.iter().sum();
        Some(Self { busy: all - ticks.get(3)? - ticks.get(4)?, all })
    }

    /// The share of the time since `earlier` in which the cores were busy, 0 to 1.
    pub(super) fn busy_since(self, earlier: Self) -> f64 {
        let all = self.all.saturating_sub(earlier.all).max(1);
        self.busy.saturating_sub(earlier.busy) as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_system_are_read() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\nmodel name\t: other\n";
        assert_eq!(value(cpuinfo, "model name", ':').as_deref(), Some("Some CPU @ 2.0GHz"));
        assert_eq!(value("PRETTY_NAME=\"Debian\"\n", "PRETTY_NAME", '=').as_deref(), Some("Debian"));
        assert_eq!(value("", "x", ':'), None);
        let earlier = Ticks::parse("cpu  10 0 10 70 10 0 0 0 5 0\ncpu0 1\n").expect("ticks");
        let later = Ticks::parse("cpu  25 0 20 120 10 0 0 5 5 0\n").expect("ticks");
        assert_eq!(earlier, Ticks { busy: 20, all: 100 });
        assert!((later.busy_since(earlier) - 0.375).abs() < 1e-9);
        assert_eq!(Ticks::parse("cpu x"), None);
        assert_eq!(Ticks::parse(""), None);
    }

    #[test]
    fn this_machine_has_cores() {
        let machine = Machine::this();
        assert!(machine.cores >= 1 && machine.line().contains("cores"));
    }
}
