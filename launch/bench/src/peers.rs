//! Measures other programs on the same stream, for comparison.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use serde::Serialize;

use super::frames::cpu_ms_per_frame;
use super::job::Job;
use super::programs::Program;
use super::rig::Rig;
use super::segments::Movie;
use msight_camera::Camera;
use msight_compose::quote;
use msight_store::videos;

/// A compared program and its arguments; `URL` stands for the camera's URL.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    executable: PathBuf,
    args: Vec<String>,
}

/// The cost of a compared program.
#[derive(Clone, Debug, Serialize)]
pub(super) struct PeerCost {
    pub(super) name: String,
    /// The command as for a shell.
    pub(super) command: String,
    pub(super) cpu_ms_per_frame: f64,
    pub(super) peak_bytes: u64,
    /// Frames that its camera sent, and frames in its files.
    pub(super) frames_sent: u64,
    pub(super) frames_written: u64,
    /// Whether it wrote all frames that its camera sent, except for up to a second at the end. Otherwise its CPU time
    /// cannot be compared.
    pub(super) kept_up: bool,
    /// Why it ended early, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<String>,
    pub(super) segments: usize,
    /// The bit rate of its video in bits per second.
    pub(super) bitrate: f64,
}

impl Peer {
    /// ffmpeg with one decoding and one encoding thread, and a key frame at the start of each segment.
    fn ffmpeg(name: &'static str, executable: &Path, codec: &[&str], seconds: f64) -> Self {
        let input =
            ["-nostdin", "-v", "error", "-threads", "1", "-rtsp_transport", "tcp", "-i", "URL", "-an"];
        let seconds = seconds.to_string();
        let output = ["-f", "segment", "-segment_time", &seconds, "-reset_timestamps", "1", "%05d.mp4"];
        let args = [&input[..], codec, &output].concat().into_iter().map(str::to_owned).collect();
        Self { name, executable: executable.to_owned(), args }
    }

    /// ffmpeg that decodes and encodes with libx264.
    pub(super) fn x264(preset: &'static str, name: &'static str, executable: &Path, job: &Job) -> Self {
        let (bitrate, seconds) = (job.bitrate.to_string(), job.segment_seconds());
        let (keys, fps) = (format!("expr:gte(t,n_forced*{seconds})"), job.fps.to_string());
        let codec = [
            ["-c:v", "libx264"],
            ["-preset", preset],
            ["-threads", "1"],
            ["-b:v", &bitrate],
            ["-force_key_frames", &keys],
            // Without this, ffmpeg guesses a frame rate and repeats frames if the guess is too high.
            ["-r", &fps],
        ];
        Self::ffmpeg(name, executable, codec.as_flattened(), seconds)
    }

    /// ffmpeg that stores the camera's own video.
    pub(super) fn copy(name: &'static str, executable: &Path, job: &Job) -> Self {
        Self::ffmpeg(name, executable, &["-c", "copy"], job.segment_seconds())
    }

    /// GStreamer with this decoder and x264enc.
    pub(super) fn gstreamer(name: &'static str, launch: &Path, decoder: &str, job: &Job) -> Self {
        let (kilobits, seconds) = (job.bitrate / 1000, job.segment_seconds());
        let frames = job.buffer_size;
        let pipeline = format!(
            "rtspsrc location=URL protocols=tcp latency=0 ! rtph264depay ! h264parse ! {decoder} ! \
             x264enc speed-preset=ultrafast threads=1 bitrate={kilobits} key-int-max={frames} ! h264parse ! \
             splitmuxsink location=%05d.mp4 max-size-time={:.0}",
            seconds * 1e9
        );
        let args = ["-q", "-e"].into_iter().chain(pipeline.split_whitespace());
        let args = args.map(str::to_owned).collect();
        Self { name, executable: launch.to_owned(), args }
    }

    /// Starts the program on its own camera, and waits for its first file, because it analyses the stream first.
    pub(super) async fn start(&self, rig: &Rig) -> Result<RunningPeer> {
        const TIME_LIMIT: Duration = Duration::from_secs(30);
        let camera = rig.camera().await?;
        let label: String = self.name.chars().filter(char::is_ascii_alphanumeric).collect();
        let folder = rig.folder().join(&label);
        empty_folder(&folder).context("cannot create a folder for a compared program")?;
        let url = camera.url();
        let args: Vec<String> = self.args.iter().map(|arg| arg.replace("URL", &url)).collect();
        let mut program =
            Program::start(&label, &self.executable, &args, &BTreeMap::new(), &folder, &rig.guard)?;
        let begun = Instant::now();
        while videos(&folder).is_empty() {
            program.check()?;
            if begun.elapsed() > TIME_LIMIT {
                bail!("it wrote no file within {} s: {}", TIME_LIMIT.as_secs(), program.output());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let camera_fps = rig.recording.fps();
        Ok(RunningPeer { peer: self.clone(), program, camera, camera_fps, folder, from: None, until: None })
    }

    fn command(&self) -> String {
        let executable = self.executable.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let args = self.args.iter().map(|arg| quote(arg));
        std::iter::once(executable).chain(args).collect::<Vec<_>>().join(" ")
    }
}

/// Makes an empty folder. A program that is measured for the second time has files there, and they would count again.
fn empty_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(folder),
    }
}

/// A running compared program.
pub(super) struct RunningPeer {
    peer: Peer,
    program: Program,
    camera: Camera,
    camera_fps: f64,
    folder: PathBuf,
    from: Option<(Duration, u64)>,
    until: Option<(Duration, u64)>,
}

impl RunningPeer {
    /// Starts the measurement.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.from = Some(self.used()?);
        Ok(())
    }

    /// Ends the measurement.
    pub(super) fn end(&mut self) -> Result<()> {
        self.until = Some(self.used()?);
        Ok(())
    }

    /// CPU time and frames so far.
    fn used(&self) -> Result<(Duration, u64)> {
        Ok((self.program.usage()?.cpu, self.camera.stats().frames_sent))
    }

    /// Stops it, waits for its files, and checks them.
    pub(super) async fn stop(mut self) -> Result<PeerCost> {
        let failed = self.program.check().err().map(|error| format!("{error:#}"));
        let peak_bytes = self.program.usage()?.peak_bytes;
        let ((cpu, frames), (cpu_end, frames_end)) =
            self.from.zip(self.until).context("it was not measured")?;
        // SIGINT, as from Ctrl-C: both programs then complete their files.
        if !self.program.stop(Signal::INT).await? {
            tracing::warn!(
                peer = self.peer.name,
                "killed a compared program that did not stop; its last file is incomplete"
            );
        }
        let (mut frames_written, mut segments, mut bytes, mut seconds) = (0, 0, 0, 0.0);
        // Incomplete files do not count.
        for movie in videos(&self.folder).iter().filter_map(|path| Movie::read(path).ok()) {
            frames_written += u64::from(movie.frames);
            segments += 1;
            (bytes, seconds) = (bytes + movie.bytes, seconds + movie.seconds);
        }
        let frames_sent = self.camera.stats().frames_sent;
        let second = self.camera_fps.ceil() as u64;
        Ok(PeerCost {
            name: self.peer.name.to_owned(),
            command: self.peer.command(),
            cpu_ms_per_frame: cpu_ms_per_frame(
                cpu_end.saturating_sub(cpu),
                frames_end.saturating_sub(frames),
            ),
            peak_bytes,
            frames_sent,
            frames_written,
            kept_up: failed.is_none() && frames_written.abs_diff(frames_sent) <= second,
            failed,
            segments,
            bitrate: if seconds > 0.0 { bytes as f64 * 8.0 / seconds } else { 0.0 },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_begins_with_an_empty_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("ffmpeg");
        empty_folder(&folder).unwrap();
        fs::write(folder.join("00000.mp4"), "of the first run").unwrap();
        assert_eq!(videos(&folder).len(), 1);
        empty_folder(&folder).unwrap();
        assert!(folder.is_dir() && videos(&folder).is_empty());
    }
}
