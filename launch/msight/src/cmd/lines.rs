//! Formats log lines of jobs, each with the job's name in front.

/// The colours of the jobs, in turn (ECMA-48, SGR): cyan, yellow, green, magenta, blue, bright red.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 91];

/// Formats lines.
pub(super) struct Lines {
    names: Vec<String>,
    /// The width of the longest name in columns.
    pub(super) width: usize,
    in_colour: bool,
}

impl Lines {
    /// Formats lines of jobs with these names.
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>, in_colour: bool) -> Self {
        let names: Vec<String> = names.map(str::to_owned).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        Self { names, width, in_colour }
    }

    /// The formatted line, with a line break.
    pub(super) fn line(&self, name: &str, level: Option<&str>, text: &str) -> String {
        let width = self.width;
        let prefix = level.map(|level| format!("{level:<7} ")).unwrap_or_default();
        if !self.in_colour {
            return format!("{name:width$} | {prefix}{text}\n");
        }
        let place = self.names.iter().position(|one| one == name).unwrap_or(0);
        let colour = COLOURS[place % COLOURS.len()];
        let prefix = match level {
            Some("ERROR" | "CRITICAL") => format!("\x1b[31m{prefix}\x1b[0m"),
            Some("WARNING") => format!("\x1b[33m{prefix}\x1b[0m"),
            _ => prefix,
        };
        format!("\x1b[{colour}m{name:width$} |\x1b[0m {prefix}{text}\n")
    }
}
