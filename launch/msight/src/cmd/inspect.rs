//! `msight inspect`: shows what a recording has.

mod format;
mod hopeless;
mod report;
mod sidecar;
mod source;
mod text;
mod ts;
mod url;

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use msight_compose::terminal::printable;
use msight_media::{matroska, mp4};

use super::{print, print_json};
pub(super) use format::Format;
pub(super) use hopeless::hopeless;
use report::Report;
use source::Source;
pub(super) use text::{bytes, plural};

/// Show the tracks, times, key frames, gaps and faults of a recording
///
/// Reads MP4, Matroska, WebM and MPEG transport stream files of any program, also unfinished ones and those that are cut off,
/// and compares them with the sidecar (`.json`) beside them. Of an MP4 file at an http:// or https:// URL only the index is
/// fetched, if the server answers requests for ranges.
///
/// Exits with status 1 if the file cannot be read, is damaged, or is not the file that its sidecar describes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// File or http(s):// URL; a presigned URL shows an object of S3
    #[arg(value_name = "FILE|URL")]
    source: String,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows a file.
///
/// # Errors
/// The file cannot be read, or is of another format.
pub async fn run(args: Args) -> Result<ExitCode> {
    // Files are read by blocking calls.
    let read = move || inspect(&args.source).map(|report| (report, args.json));
    let (report, is_json) = tokio::task::spawn_blocking(read).await.context("reading the file failed")??;
    if is_json {
        print_json(&serde_json::to_value(&report).context("the report has no JSON form")?)?;
    } else {
        print(text::text(&report))?;
    }
    Ok(if report.is_damaged() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn inspect(source: &str) -> Result<Report> {
    match Source::parse(source)? {
        Source::Url(address) => {
            let shown = address.shown();
            let mut file = url::Remote::open(&address).with_context(|| format!("cannot read {shown}"))?;
            let mut report = report_of(&mut file, &shown, false, true)?;
            if let Some(sidecar) = address.sidecar() {
                let found = url::fetch(&sidecar, sidecar::MAX_SIDECAR);
                report.sidecar = sidecar::check(report.facts(), &sidecar.shown(), found, None);
            }
            Ok(report)
        }
        Source::File(path) => {
            let name = path.display().to_string();
            let mut file = open(&path)?;
            let is_open = is_locked(&file);
            let mut report = report_of(&mut file, &name, is_open, false)?;
            if is_part(&path) && !is_open {
                report.set_unfinished();
            }
            let beside = sidecar_of(&path);
            let found = sidecar::read(&beside);
            report.sidecar =
                sidecar::check(report.facts(), &beside.display().to_string(), found, Some(&mut file));
            Ok(report)
        }
    }
}

/// Opens a file for reading; devices and folders are refused.
pub(super) fn open(path: &Path) -> Result<File> {
    let file =
        File::open(path).with_context(|| format!("cannot read {}", printable(&path.to_string_lossy())))?;
    let kind = file.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    anyhow::ensure!(kind.is_file(), "{} is not a file; name a recording", path.display());
    Ok(file)
}

/// Whether a recorder writes the file. The lock is given back at once, so that a recorder that starts finds it free.
fn is_locked(file: &File) -> bool {
    let tried = file.try_lock_shared();
    let _ = file.unlock();
    matches!(tried, Err(TryLockError::WouldBlock))
}

/// The sidecar of a recording: of `a.mp4` and of `a.mp4.part`, `a.json`.
fn sidecar_of(path: &Path) -> PathBuf {
    without_part(path).with_extension("json")
}

/// Whether the file is named as one that is not finished.
fn is_part(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "part")
}

/// The path that a recording has once it is whole: of `a.mp4.part`, `a.mp4`.
pub(super) fn without_part(path: &Path) -> PathBuf {
    if is_part(path) { path.with_extension("") } else { path.to_owned() }
}

fn report_of(file: &mut (impl Read + Seek), name: &str, is_open: bool, is_remote: bool) -> Result<Report> {
    let reading = || format!("cannot read {}", printable(name));
    let length = file.seek(SeekFrom::End(0)).with_context(reading)?;
    match Format::of(file).with_context(reading)? {
        Format::Mp4 => {
            let movie = mp4::read(file, length).with_context(reading)?;
            // On a server each head is a request, so they are left where their bytes do not count.
            let has_many = report::is_much(movie.unindexed_bytes(), length);
            let heads = if has_many || !is_remote { mp4::former_heads(file, &movie) } else { Ok(0) };
            Ok(Report::of_movie(name, &movie, heads.with_context(reading)?, is_open))
        }
        Format::TransportStream => {
            Ok(Report::of_stream(name, length, &ts::read(file).with_context(reading)?, is_open))
        }
        Format::Matroska => {
            Ok(Report::of_matroska(name, &matroska::read(file).with_context(reading)?, is_open))
        }
        other => Err(other.refusal().context(reading())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sidecar_is_beside_the_recording() {
        for path in ["/spool/gate/a.b.mp4", "/spool/gate/a.b.mp4.part"] {
            assert_eq!(sidecar_of(Path::new(path)), Path::new("/spool/gate/a.b.json"));
        }
    }
}
