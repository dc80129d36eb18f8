//! Formats the results of `--copy` as a table.

use std::fmt::{Result, Write as _};

use super::Copied;
use super::many::ManyCameras;
use super::rows::Row;
use super::running::Outcome;
use crate::progress::counted;
use crate::table::{megabytes, write_peer};

impl Copied {
    /// Writes the results as text.
    pub(crate) fn write(&self, out: &mut String) -> Result {
        for group in &self.groups {
            writeln!(
                out,
                "\n{:<48} {:>12} {:>7} {:>6} {:>7} {:>9}",
                "", "CPU/frame", "ratio", "limit", "", "peak RSS"
            )?;
            for row in &group.rows {
                write_row(out, row)?;
            }
            writeln!(out, "ratios are those to:")?;
            write_peer(out, &group.peer)?;
        }
        self.cameras.as_ref().map_or(Ok(()), |cameras| write_cameras(out, cameras))
    }
}

fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "FAILS" }
}

fn write_row(out: &mut String, row: &Row) -> Result {
    let number =
        |number: Option<f64>, decimals| number.map_or("-".to_owned(), |one| format!("{one:.decimals$}"));
    let cpu = row.outcome.measured.as_ref().map(|measured| measured.cpu_ms_per_frame);
    write!(
        out,
        "{:<48} {:>9} ms {:>7} {:>6} {:>7} ",
        row.what,
        number(cpu, 3),
        number(row.ratio, 3),
        row.limit,
        verdict(row.holds)
    )?;
    write_outcome(out, &row.outcome)
}

/// The memory and the frames, or why it was not measured.
fn write_outcome(out: &mut String, outcome: &Outcome) -> Result {
    let Some(measured) = &outcome.measured else {
        return writeln!(out, "{}", outcome.failed.as_deref().unwrap_or_default());
    };
    let recorded = &measured.recorded;
    write!(
        out,
        "{:>9}   {} of {} frames in {} segments",
        megabytes(measured.peak_bytes),
        recorded.frames,
        measured.frames_sent,
        recorded.segments
    )?;
    if recorded.hidden > 0 {
        write!(out, ", {} hidden", recorded.hidden)?;
    }
    if measured.frames_dropped > 0 {
        write!(out, "; {} dropped by the cameras", measured.frames_dropped)?;
    }
    writeln!(out, "; {}", if recorded.as_sent { "as the camera sent them" } else { "NOT AS SENT" })
}

fn write_cameras(out: &mut String, many: &ManyCameras) -> Result {
    let what = format!("{} recorded in one process", counted(many.cameras));
    write!(out, "\n{what:<48} {:>7} ", verdict(many.holds))?;
    write_outcome(out, &many.outcome)?;
    if let Some(measured) = &many.outcome.measured {
        writeln!(
            out,
            "  {:.1} of {:.1} frames/s, {:.3} ms a frame, {:.2} cores",
            measured.frames_per_second,
            many.frames_per_second_wanted,
            measured.cpu_ms_per_frame,
            measured.cpu_ms_per_frame * measured.frames_per_second / 1e3
        )?;
    }
    match many.bytes_per_further_camera {
        Some(bytes) => writeln!(
            out,
            "  memory of each further camera: {}, limit {}",
            megabytes(bytes),
            megabytes(many.memory_limit_bytes)
        ),
        None => Ok(()),
    }
}
