//! What the demo has made: the segments in the store's folder, looked at as a player would.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// How deep keys nest in folders at most.
const MAX_DEPTH: usize = 16;

/// The folder of a bucket, and what was in it at the start.
pub(super) struct Folder {
    path: PathBuf,
    before: BTreeSet<PathBuf>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        let before = videos(&path);
        Self { path, before }
    }

    /// Names the segments that are new, and how to play them. One of less than `whole` frames was cut short by
    /// the end.
    pub(super) fn report(&self, age: Duration, whole: u32) -> Result<String> {
        let new: Vec<PathBuf> = videos(&self.path).difference(&self.before).cloned().collect();
        let Some(first) = new.first() else {
            bail!("no segment has reached {}; --logging-level INFO says more", self.path.display());
        };
        let segments = if new.len() == 1 { "segment" } else { "segments" };
        let mut text = format!("{} {segments} in {:.0} s:\n", new.len(), age.as_secs_f64());
        for video in &new {
            writeln!(text, "  {}", describe(video, whole)?)?;
        }
        let [play, sidecar] =
            [first.clone(), first.with_extension("json")].map(|path| quoted(&path.to_string_lossy()));
        writeln!(text, "Play one:                ffplay {play}")?;
        writeln!(text, "When its frames were:    cat {sidecar}")?;
        Ok(text)
    }
}

fn describe(video: &Path, whole: u32) -> Result<String> {
    let unreadable = || format!("the segment {} cannot be read", video.display());
    let file = File::open(video).with_context(unreadable)?;
    let bytes = file.metadata().with_context(unreadable)?.len();
    let movie = mp4::Mp4Reader::read_header(BufReader::new(file), bytes).with_context(unreadable)?;
    let track = movie.tracks().values().next().with_context(unreadable)?;
    let frames = track.sample_count();
    let cut = if frames < whole { " (under way at the end)" } else { "" };
    Ok(format!(
        "{}  {:.2} MB  {}x{}  {:.1} s  {frames} frames{cut}",
        video.display(),
        bytes as f64 / 1e6,
        track.width(),
        track.height(),
        movie.duration().as_secs_f64(),
    ))
}

/// The MP4 files of a folder and those within it.
pub(in crate::cmd) fn videos(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries {
            let path = entry.path();
            // A link is not followed: it could lead anywhere.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => folders.push((path, depth + 1)),
                Ok(kind) if kind.is_file() && path.extension().is_some_and(|end| end == "mp4") => {
                    found.insert(path);
                }
                _ => {}
            }
        }
    }
    found
}

/// A word as a shell takes it.
pub(in crate::cmd) fn quoted(text: &str) -> String {
    let is_plain = text.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-+:@%=,".contains(letter));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_videos_are_reported() {
        let root = tempfile::tempdir().expect("a folder");
        let deep = root.path().join("a/b");
        std::fs::create_dir_all(&deep).expect("folders");
        std::fs::write(deep.join("old.mp4"), "").expect("a file");
        let folder = Folder::new(root.path().to_owned());
        std::fs::write(deep.join("new.json"), "").expect("a file");
        assert!(folder.report(Duration::ZERO, 1).is_err(), "nothing new to play");
        std::fs::write(deep.join("new.mp4"), "not a video").expect("a file");
        let error = folder.report(Duration::ZERO, 1).expect_err("it cannot be read");
        assert!(error.to_string().contains("new.mp4"), "{error:#}");
    }

    #[test]
    fn words_can_be_pasted_into_a_shell() {
        assert_eq!(quoted("a/b_1.mp4"), "a/b_1.mp4");
        assert_eq!(quoted("my dir/it's.mp4"), r"'my dir/it'\''s.mp4'");
    }
}
