//! Finds the segments that the demo has stored in its folder.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use msight_compose::quote;
use msight_store::videos;

/// The folder of a bucket, and its segments at the start.
pub(super) struct Folder {
    path: PathBuf,
    before: BTreeSet<PathBuf>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        let before = videos(&path);
        Self { path, before }
    }

    /// Lists the new segments and how to play them. A segment with less than `whole` frames was cut by the end.
    /// Without a segment the error has the `cause`.
    pub(super) fn report(&self, age: Duration, whole: u32, cause: &str) -> Result<String> {
        let new: Vec<PathBuf> = videos(&self.path).difference(&self.before).cloned().collect();
        let Some(first) = new.first() else {
            bail!("no segment stored: {cause}");
        };
        let segments = if new.len() == 1 { "segment" } else { "segments" };
        let mut text = format!("{} {segments} in {:.0} s:\n", new.len(), age.as_secs_f64());
        for video in &new {
            writeln!(text, "  {}", describe(video, whole)?)?;
        }
        let [play, sidecar] =
            [first.clone(), first.with_extension("json")].map(|path| quote(&path.to_string_lossy()));
        writeln!(text, "Play one:              ffplay {play}")?;
        writeln!(text, "Times of its frames:   cat {sidecar}")?;
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
    let noun = if frames == 1 { "frame" } else { "frames" };
    let cut = if frames < whole { " (cut short by the end of the demo)" } else { "" };
    Ok(format!(
        "{}  {:.2} MB  {}x{}  {:.1} s  {frames} {noun}{cut}",
        video.display(),
        bytes as f64 / 1e6,
        track.width(),
        track.height(),
        movie.duration().as_secs_f64(),
    ))
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
        assert!(folder.report(Duration::ZERO, 1, "why").is_err(), "nothing new to play");
        std::fs::write(deep.join("new.mp4"), "not a video").expect("a file");
        let error = folder.report(Duration::ZERO, 1, "why").expect_err("it cannot be read");
        assert!(error.to_string().contains("new.mp4"), "{error:#}");
    }
}
