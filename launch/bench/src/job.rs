//! The job of the measured nodes, and their command lines.

use super::flags::Args;
use super::rig::{BUCKET, Rig, prefix};

/// The settings of a chain of nodes.
pub(super) struct Job {
    /// The prefix of its topics, nodes and keys.
    pub(super) name: String,
    pub(super) fps: u16,
    pub(super) buffer_size: u32,
    /// The bit rate of the video in bits per second.
    pub(super) bitrate: u32,
}

impl Job {
    /// The job of the programs, under a name that is unique in a shared Redis.
    pub(super) fn new(rig: &Rig, args: &Args, name: &str) -> Self {
        let bitrate = args.bitrate.unwrap_or(match args.stream {
            Some(_) => rig.recording.bitrate() as u32,
            None => args.camera_bitrate,
        });
        let fps = match args.stream {
            Some(_) => (rig.recording.fps().round() as u16).max(1),
            None => args.fps,
        };
        Self { name: prefix() + name, fps, buffer_size: args.buffer_size, bitrate }
    }

    /// The name of one of its nodes.
    pub(super) fn node(&self, role: &str) -> String {
        format!("{}-{role}", self.name)
    }

    /// The topic of the frames.
    pub(super) fn frames(&self) -> String {
        format!("{}-frames", self.name)
    }

    /// The topic of the access units.
    pub(super) fn access_units(&self) -> String {
        format!("{}-access-units", self.name)
    }

    /// The topic of the segments.
    pub(super) fn video(&self) -> String {
        format!("{}-video", self.name)
    }

    /// The duration of a segment.
    pub(super) fn segment_seconds(&self) -> f64 {
        f64::from(self.buffer_size) / f64::from(self.fps)
    }

    /// The arguments of a source, without the program's name.
    pub(super) fn source(&self, sensor: &str, url: &str) -> Vec<String> {
        owned(&["-pt", &self.frames(), "--sensor-name", sensor, "-u", url])
    }

    /// The arguments of the aggregator, which encodes: `--copy` of the bench measures what copying costs.
    pub(super) fn aggregator(&self) -> Vec<String> {
        let video = owned(&["--bitrate", &self.bitrate.to_string(), "--copy", "never"]);
        [self.tutorial_aggregator(&self.frames()), video].concat()
    }

    /// The arguments of an aggregator that reads this topic, as in the tutorial: without a bit rate.
    pub(super) fn tutorial_aggregator(&self, topic: &str) -> Vec<String> {
        let [fps, size] = [self.fps.into(), self.buffer_size].map(|number| number.to_string());
        let topics = ["-st", topic, "-pt", &self.video()];
        owned(&[&topics[..], &["--fps", &fps, "--buffer-size", &size, "--overlap-size", "0"]].concat())
    }

    /// The arguments of the pusher.
    pub(super) fn pusher(&self, rig: &Rig) -> Vec<String> {
        let bucket = owned(&["-st", &self.video(), "--bucket-name", BUCKET, "--prefix", &self.name]);
        let endpoint = rig.store.endpoint();
        let access = ["--endpoint-url", &endpoint, "--no-sign-request", "--aws-region", "us-east-1"];
        [bucket, owned(&access)].concat()
    }
}

/// Arguments as a command line has them.
pub(super) fn owned(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}
