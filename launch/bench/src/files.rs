//! The result files: opened before the measurement, written after the results are printed.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::flags::Args;

/// The files of `--json` and `--chart`.
pub(super) struct Files {
    json: Option<Output>,
    chart: Option<Output>,
}

struct Output {
    path: PathBuf,
    file: File,
}

impl Files {
    /// Opens the files. Their old content stays until it is replaced.
    pub(super) fn open(args: &Args) -> Result<Self> {
        let open = |path: &Option<PathBuf>| path.as_deref().map(Output::open).transpose();
        Ok(Self { json: open(&args.json)?, chart: open(&args.chart)? })
    }

    /// Writes the results. Without a chart its file is unchanged.
    pub(super) fn write(self, json: &str, chart: Option<&str>) -> Result<()> {
        self.json.map_or(Ok(()), |file| file.write(json))?;
        self.chart.zip(chart).map_or(Ok(()), |(file, chart)| file.write(chart))
    }
}

impl Output {
    fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn write(mut self, text: &str) -> Result<()> {
        // The length of a device cannot be set.
        let is_file = self.file.metadata().is_ok_and(|metadata| metadata.is_file());
        let emptied = if is_file { self.file.set_len(0) } else { Ok(()) };
        emptied
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}
