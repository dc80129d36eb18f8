//! `msight repair`: makes a playable file of an unfinished one.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use msight_compose::terminal::printable;
use msight_media::mp4::{self, Error, Movie};
use tempfile::NamedTempFile;

use super::inspect::{Format, bytes, hopeless, open, plural, without_part};
use super::print;

/// Make a playable MP4 file of an unfinished or cut-off one
///
/// The recording of a recorder that was killed becomes a file with its index first, up to its last whole fragment. Of a file
/// that has its index and is cut off, the samples that are there are kept. Nothing is encoded again. The original stays as it
/// is, unless --in-place is given. Transport streams and Matroska files need no repair: they play up to where they are cut off.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The unfinished file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// File to write; it must not exist [default: FILE with .repaired.mp4 in place of its extension]
    #[arg(short, long, value_name = "OUT", conflicts_with = "in_place")]
    output: Option<PathBuf>,

    /// Repair the file itself; without a copy if it was made by an msight recorder
    #[arg(long)]
    in_place: bool,
}

/// Repairs a file.
///
/// # Errors
/// The file cannot be read, is still being written, or has no index; or the new file cannot be written.
pub async fn run(args: Args) -> Result<()> {
    // Files are read and written by blocking calls.
    let text =
        tokio::task::spawn_blocking(move || repair(&args)).await.context("repairing the file failed")??;
    print(text)
}

fn repair(args: &Args) -> Result<String> {
    let path = &args.file;
    let name = printable(&path.to_string_lossy()).into_owned();
    let mut file = open(path)?;
    if args.in_place {
        file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| format!("cannot write {name}"))?;
    }
    // The lock is held until the end, so that a recorder that starts meanwhile leaves the file alone.
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            bail!("cannot repair {name}: a recorder still writes it; stop the recorder, which finishes it")
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("cannot lock {name}")),
    }
    let cannot = || format!("cannot repair {name}");
    match Format::of(&mut file).with_context(cannot)? {
        Format::Mp4 => {}
        Format::TransportStream => {
            return Ok(format!(
                "{name}: nothing to repair: a transport stream plays up to where it is cut off\n"
            ));
        }
        Format::Matroska => {
            return Ok(format!(
                "{name}: nothing to repair: a Matroska file plays up to where it is cut off; if it has no index: \
                 ffmpeg -i FILE -c copy out.mkv\n"
            ));
        }
        other => return Err(other.refusal().context(cannot())),
    }
    let length = file.seek(SeekFrom::End(0)).with_context(cannot)?;
    let before = mp4::read(&mut file, length).with_context(cannot)?;
    if let Some(reason) = hopeless(&before) {
        bail!("cannot repair {name}: {reason}");
    }
    if !before.is_fragmented && !before.has_missing_samples() {
        let mut text = format!("{name}: nothing to repair: all samples of its index are there\n");
        before.faults.iter().for_each(|fault| {
            let _ = writeln!(text, "  note  {fault}");
        });
        return Ok(text);
    }
    let (out, after) = if args.in_place {
        (path.clone(), in_place(&mut file, path, &before).with_context(cannot)?)
    } else {
        let out = args.output.clone().unwrap_or_else(|| beside(path));
        let copy = copy(&mut file, &out, &before).with_context(cannot)?;
        copy.persist_noclobber(&out)
            .map_err(|failed| failed.error)
            .with_context(|| format!("cannot write {}; name another file with -o", out.display()))?;
        let after = read(&out)?;
        (out, after)
    };
    Ok(report(&name, &out, &before, &after))
}

/// Finishes the file, or replaces it by a copy if it has no room for its index.
fn in_place(file: &mut File, path: &Path, before: &Movie) -> Result<Movie> {
    if before.is_fragmented {
        let mut tail = Vec::new();
        before.metadata.iter().for_each(|metadata| metadata.append_to(&mut tail));
        match mp4::finish(file, mp4::Extent::Readable, &tail) {
            Ok(_) => return read(path),
            Err(Error::Room { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let copy = copy(file, path, before)?;
    copy.persist(path)
        .map_err(|failed| failed.error)
        .with_context(|| format!("cannot replace {}", path.display()))?;
    read(path)
}

/// A repaired copy in the folder of `out`, on disk, with the permissions of the original.
fn copy(file: &mut File, out: &Path, before: &Movie) -> Result<NamedTempFile> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let writing = || format!("cannot write {}", out.display());
    let copy = NamedTempFile::new_in(folder).with_context(writing)?;
    let mut buffered = BufWriter::with_capacity(1 << 20, copy.as_file());
    match mp4::rewrite(file, &mut buffered, before.metadata.as_ref()) {
        Err(error @ Error::Io(_)) => return Err(error).with_context(writing),
        rewritten => rewritten?,
    };
    buffered.flush().with_context(writing)?;
    drop(buffered);
    let permissions = file.metadata().with_context(writing)?.permissions();
    fs::set_permissions(copy.path(), permissions).with_context(writing)?;
    copy.as_file().sync_all().with_context(writing)?;
    Ok(copy)
}

fn read(path: &Path) -> Result<Movie> {
    let mut file = open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    let movie = mp4::read(&mut file, length).with_context(|| format!("cannot read {}", path.display()))?;
    match movie.faults.first() {
        Some(fault) => bail!("the repaired file {} is damaged: {fault}", path.display()),
        None => Ok(movie),
    }
}

/// `a.repaired.mp4` for `a.mp4` and for `a.mp4.part`.
fn beside(path: &Path) -> PathBuf {
    let path = without_part(path);
    let mut name = path.file_stem().map(OsString::from).unwrap_or_default();
    name.push(".repaired.mp4");
    path.with_file_name(name)
}

/// What was kept and what was lost.
fn report(name: &str, out: &Path, before: &Movie, after: &Movie) -> String {
    let out = out.to_string_lossy();
    let mut text = match &*printable(&out) {
        out if out == name => format!("repaired {name} in place: index first\n"),
        out => format!("repaired {name}: {out}, index first\n"),
    };
    let of_fragments = if before.is_fragmented {
        format!("{}, ", plural(before.fragments, "fragment"))
    } else {
        String::new()
    };
    for (track, timing) in after.tracks.iter().map(|track| (track, after.timing(track))) {
        let _ = writeln!(
            text,
            "  kept  {of_fragments}{} of {}, {:.3} s, {}",
            plural(track.tables.count(), "sample"),
            track.format.kind().name(),
            timing.duration,
            bytes(track.tables.bytes()),
        );
    }
    for fault in &before.faults {
        let _ = writeln!(text, "  fault {fault}");
    }
    // Other boxes may follow the last fragment of a file without faults.
    if before.is_fragmented && before.end < before.length && !before.faults.is_empty() {
        let _ =
            writeln!(text, "  lost  {} behind the last whole fragment", bytes(before.length - before.end));
    }
    let end = |movie: &Movie| movie.tracks.iter().map(|track| movie.timing(track).end).fold(0.0, f64::max);
    let seconds = end(before) - end(after);
    if !before.is_fragmented && seconds > 0.0 {
        let _ = writeln!(text, "  lost  the last {seconds:.3} s");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_output_is_beside_the_file() {
        for path in ["/spool/gate/a.b.mp4", "/spool/gate/a.b.mp4.part"] {
            assert_eq!(beside(Path::new(path)), Path::new("/spool/gate/a.b.repaired.mp4"));
        }
        assert_eq!(beside(Path::new("a")), Path::new("a.repaired.mp4"));
    }
}
