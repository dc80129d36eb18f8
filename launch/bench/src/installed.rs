//! Finds the compared programs, and names the Debian packages of those that are missing.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tokio::process::Command;

use super::job::Job;
use super::peers::Peer;
use super::programs::find;

/// The names of the comparisons in the results.
const ULTRAFAST: &str = "ffmpeg, libx264 ultrafast";
const VERYFAST: &str = "ffmpeg, libx264 veryfast";
const COPY: &str = "ffmpeg, no decoding";
const GSTREAMER: &str = "GStreamer, x264enc ultrafast";
pub(super) const QUALITY: &str = "quality of libx264 ultrafast";

const NO_FFMPEG: &str = "ffmpeg is not in PATH; install the package ffmpeg";

/// The tools of GStreamer, and the Debian package of each element of the pipeline.
const TOOLS: &str = "gstreamer1.0-tools";
const ELEMENTS: [(&str, &str); 6] = [
    ("rtspsrc", "gstreamer1.0-plugins-good"),
    ("rtph264depay", "gstreamer1.0-plugins-good"),
    ("h264parse", "gstreamer1.0-plugins-bad"),
    ("x264enc", "gstreamer1.0-plugins-ugly"),
    ("splitmuxsink", "gstreamer1.0-plugins-good"),
    ("mp4mux", "gstreamer1.0-plugins-good"),
];
/// The decoder, and the one that replaces it with its settings.
const DECODER: (&str, &str) = ("avdec_h264", "gstreamer1.0-libav");
const DECODERS: [(&str, &str); 2] =
    [("avdec_h264", "avdec_h264 max-threads=1"), ("openh264dec", "openh264dec")];

/// The compared programs that this machine has.
#[derive(Default)]
pub(super) struct Installed {
    /// The reference, which runs in the main window.
    pub(super) reference: Option<Peer>,
    /// The other programs, which run one by one after it.
    pub(super) others: Vec<Peer>,
    /// ffmpeg, if it has libx264.
    pub(super) x264: Option<PathBuf>,
    /// The comparisons that this machine cannot run.
    pub(super) skipped: Vec<Skipped>,
}

/// A comparison that was not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Skipped {
    pub(super) name: String,
    /// Why, and the packages to install if a program is missing.
    pub(super) reason: String,
}

impl Skipped {
    pub(super) fn new(name: &str, reason: impl Into<String>) -> Self {
        Self { name: name.to_owned(), reason: reason.into() }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

impl Installed {
    /// Finds the programs in this folder; without one, beside this program and in `PATH`.
    pub(super) async fn find(job: &Job, folder: Option<&Path>) -> Self {
        let mut installed = Self::default();
        match ffmpeg_with_x264(folder).await {
            Ok(ffmpeg) => {
                installed.reference = Some(Reference::Ultrafast.peer(&ffmpeg, job));
                installed.others.push(Peer::x264("veryfast", VERYFAST, &ffmpeg, job));
                installed.x264 = Some(ffmpeg);
            }
            Err(reason) => {
                let names = [ULTRAFAST, VERYFAST, QUALITY];
                installed.skipped.extend(names.map(|name| Skipped::new(name, reason)));
            }
        }
        match copy(job, folder) {
            Ok(copy) => installed.others.push(copy),
            Err(missing) => installed.skipped.push(missing),
        }
        match gstreamer(job, folder).await {
            Ok(gstreamer) => installed.others.push(gstreamer),
            Err(reason) => installed.skipped.push(Skipped::new(GSTREAMER, reason)),
        }
        installed
    }
}

/// ffmpeg without decoding, or that it is missing.
pub(super) fn copy(job: &Job, folder: Option<&Path>) -> Result<Peer, Skipped> {
    let ffmpeg = find("ffmpeg", folder).ok_or_else(|| Skipped::new(COPY, NO_FFMPEG))?;
    Ok(Reference::Copy.peer(&ffmpeg, job))
}

/// ffmpeg with libx264, or why it is missing.
pub(super) async fn ffmpeg_with_x264(folder: Option<&Path>) -> Result<PathBuf, &'static str> {
    let ffmpeg = find("ffmpeg", folder).ok_or(NO_FFMPEG)?;
    match has(&ffmpeg, &["-hide_banner", "-h", "encoder=libx264"], "x264").await {
        true => Ok(ffmpeg),
        false => Err("ffmpeg lacks the encoder libx264; install the package ffmpeg of Debian"),
    }
}

/// A program that others are measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// ffmpeg without decoding.
    Copy,
    /// ffmpeg with libx264 ultrafast.
    Ultrafast,
}

impl Reference {
    /// This use of an ffmpeg that has libx264.
    pub(super) fn peer(self, ffmpeg: &Path, job: &Job) -> Peer {
        match self {
            Self::Copy => Peer::copy(COPY, ffmpeg, job),
            Self::Ultrafast => Peer::x264("ultrafast", ULTRAFAST, ffmpeg, job),
        }
    }
}

/// GStreamer with its pipeline, or why it cannot run.
async fn gstreamer(job: &Job, folder: Option<&Path>) -> Result<Peer, String> {
    let tools = find("gst-launch-1.0", folder).zip(find("gst-inspect-1.0", folder));
    let Some((launch, inspect)) = tools else {
        let packages = ELEMENTS.into_iter().chain([DECODER]).map(|(_, package)| package);
        return Err(format!(
            "gst-launch-1.0 and gst-inspect-1.0 are not both in PATH; install {TOOLS} {}",
            listed(packages)
        ));
    };
    let mut missing = Vec::new();
    for element in ELEMENTS {
        if !has(&inspect, &["--exists", element.0], "").await {
            missing.push(element);
        }
    }
    let mut decoder = None;
    for (element, description) in DECODERS {
        if decoder.is_none() && has(&inspect, &["--exists", element], "").await {
            decoder = Some(description);
        }
    }
    match decoder {
        Some(decoder) if missing.is_empty() => Ok(Peer::gstreamer(GSTREAMER, &launch, decoder, job)),
        decoder => {
            missing.extend(decoder.is_none().then_some(DECODER));
            let elements: Vec<_> = missing.iter().map(|(element, _)| *element).collect();
            Err(format!(
                "GStreamer lacks {}; install {}",
                elements.join(", "),
                listed(missing.iter().map(|(_, package)| *package))
            ))
        }
    }
}

/// Packages in alphabetical order, each once.
fn listed<'a>(packages: impl Iterator<Item = &'a str>) -> String {
    packages.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
}

/// Whether a program succeeds with these arguments and prints the expected text.
async fn has(program: &Path, args: &[&str], expected: &str) -> bool {
    let output = Command::new(program).args(args).kill_on_drop(true).output();
    match tokio::time::timeout(Duration::from_secs(20), output).await {
        Ok(Ok(output)) => {
            output.status.success() && String::from_utf8_lossy(&output.stdout).contains(expected)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finds the programs of a folder in which `programs` are links to others of this machine.
    async fn with(programs: &[(&str, &str)]) -> Installed {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, target) in programs {
            let target = find(target, None).expect("a program of coreutils");
            std::os::unix::fs::symlink(target, folder.path().join(name)).expect("a link");
        }
        let job = Job { name: "job".to_owned(), fps: 10, buffer_size: 100, bitrate: 1_000_000 };
        Installed::find(&job, Some(folder.path())).await
    }

    fn reason<'a>(installed: &'a Installed, name: &str) -> &'a str {
        let skipped = installed.skipped.iter().find(|skipped| skipped.name == name);
        &skipped.unwrap_or_else(|| panic!("{name} is not skipped")).reason
    }

    #[tokio::test]
    async fn a_machine_without_the_programs_gets_their_packages() {
        let installed = with(&[]).await;
        assert!(installed.reference.is_none() && installed.others.is_empty());
        for name in [ULTRAFAST, VERYFAST, COPY, QUALITY] {
            assert!(reason(&installed, name).contains("install the package ffmpeg"), "{name}");
        }
        let gstreamer = reason(&installed, GSTREAMER);
        assert!(gstreamer.contains("gst-launch-1.0") && gstreamer.contains("install gstreamer1.0-tools"));
        for package in ["-libav", "-plugins-good", "-plugins-bad", "-plugins-ugly"] {
            assert_eq!(gstreamer.matches(package).count(), 1, "{gstreamer}");
        }
    }

    #[tokio::test]
    async fn missing_encoders_are_reported_with_their_packages() {
        // `true` stands for an ffmpeg without encoders, `false` for a GStreamer without elements.
        let programs = [("ffmpeg", "true"), ("gst-launch-1.0", "true"), ("gst-inspect-1.0", "false")];
        let installed = with(&programs).await;
        assert!(installed.reference.is_none() && installed.x264.is_none());
        assert_eq!(installed.others.iter().map(|peer| peer.name).collect::<Vec<_>>(), [COPY]);
        assert!(reason(&installed, ULTRAFAST).contains("libx264"));
        let gstreamer = reason(&installed, GSTREAMER);
        assert!(gstreamer.contains("x264enc") && gstreamer.contains("avdec_h264"), "{gstreamer}");
        assert!(gstreamer.contains("gstreamer1.0-plugins-ugly") && !gstreamer.contains(TOOLS), "{gstreamer}");
    }

    #[tokio::test]
    async fn installed_programs_are_compared() {
        // `echo` prints the name of the encoder that it is asked for.
        let programs = [("ffmpeg", "echo"), ("gst-launch-1.0", "true"), ("gst-inspect-1.0", "true")];
        let installed = with(&programs).await;
        assert_eq!(installed.reference.map(|peer| peer.name), Some(ULTRAFAST));
        let others: Vec<_> = installed.others.iter().map(|peer| peer.name).collect();
        assert_eq!(others, [VERYFAST, COPY, GSTREAMER]);
        assert!(installed.x264.is_some() && installed.skipped.is_empty());
    }
}
