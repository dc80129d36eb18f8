//! The lines of the jobs of a graph, each with the job's name in front.

/// One for each job, in turn (ECMA-48, SGR): cyan, yellow, green, magenta, blue, bright red.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 91];

/// How lines are drawn.
pub(super) struct Lines {
    names: Vec<String>,
    /// The columns of the longest name.
    pub(super) width: usize,
    in_colour: bool,
}

impl Lines {
    /// For jobs of these names.
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>, in_colour: bool) -> Self {
        let names: Vec<String> = names.map(str::to_owned).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        Self { names, width, in_colour }
    }

    /// One line, with its end.
    pub(super) fn line(&self, name: &str, level: Option<&str>, text: &str) -> String {
        let width = self.width;
        let said = level.map(|level| format!("{level:<7} ")).unwrap_or_default();
        if !self.in_colour {
            return format!("{name:width$} | {said}{text}\n");
        }
        let place = self.names.iter().position(|one| one == name).unwrap_or(0);
        let colour = COLOURS[place % COLOURS.len()];
        let said = match level {
            Some("ERROR" | "CRITICAL") => format!("\x1b[31m{said}\x1b[0m"),
            Some("WARNING") => format!("\x1b[33m{said}\x1b[0m"),
            _ => said,
        };
        format!("\x1b[{colour}m{name:width$} |\x1b[0m {said}{text}\n")
    }
}
