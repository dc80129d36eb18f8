//! The graphs that touch no pixel, and the same graph with pictures for others: their nodes and command lines.

use std::path::PathBuf;

use crate::chain::sensor;
use crate::job::{Job, owned};
use crate::rig::{self, Rig};
use crate::shared_nodes::NodeSpec;
use msight_camera::Camera;

/// What the nodes of a graph do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Source and recorder: segments in a spool folder.
    Record,
    /// The same, and the pusher that uploads from that folder.
    RecordAndUpload,
    /// The tutorial's source, aggregator and pusher; what the aggregator reads is in [`Input`].
    Tutorial(Input),
}

/// What the tutorial's aggregator reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Pictures, as in the tutorial.
    Pictures,
    /// Pictures that carry the access units that they were decoded from.
    PicturesWithAccessUnits,
    /// Access units alone.
    AccessUnits,
}

/// How a graph runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    OneProcess,
    /// A program for each node, with Redis between them.
    Programs,
}

/// A graph with its cameras: the nodes of a stage read what those of the next stage publish.
pub(super) struct Graph {
    pub(super) stages: Vec<Vec<NodeSpec>>,
    /// The node that makes segments.
    pub(super) segmenter: String,
    /// Where the finished segments are.
    pub(super) segments: PathBuf,
    /// The spool folder.
    pub(super) spool: PathBuf,
}

impl Work {
    /// Whether the segments end in the bucket.
    pub(super) fn uploads(self) -> bool {
        self != Self::Record
    }

    /// The graph of this job for these cameras.
    pub(super) fn graph(self, rig: &Rig, job: &Job, cameras: &[Camera]) -> Graph {
        let node = |program: &'static str, role: &str, args: Vec<String>| NodeSpec {
            program,
            name: job.node(role),
            args,
        };
        let spool = rig.folder().join(format!("{}-spool", job.name));
        let spool_flag = ["--spool".to_owned(), spool.to_string_lossy().into_owned()];
        let (segmenter, mut pusher) = match self {
            Self::Record | Self::RecordAndUpload => {
                let seconds = job.segment_seconds().to_string();
                let args = owned(&["-st", &job.access_units(), "-pt", &job.video()]);
                let duration = owned(&["--segment-duration", &seconds]);
                (
                    node(rig::RECORDER, "recorder", [&args[..], &spool_flag, &duration].concat()),
                    job.pusher(rig),
                )
            }
            Self::Tutorial(input) => {
                let topic = match input {
                    Input::AccessUnits => job.access_units(),
                    Input::Pictures | Input::PicturesWithAccessUnits => job.frames(),
                };
                let args = job.tutorial_aggregator(&topic);
                (node(rig::AGGREGATOR, "aggregator", args), job.pusher(rig))
            }
        };
        if self == Self::RecordAndUpload {
            pusher.extend(spool_flag);
        }
        let source = |(at, camera): (usize, &Camera)| {
            let name = sensor(at as u16 + 1);
            node(rig::SOURCE, &name, self.source(job, &name, &camera.url()))
        };
        let sources = cameras.iter().enumerate().map(source).collect();
        let name = segmenter.name.clone();
        let readers =
            if self.uploads() { vec![vec![node(rig::PUSHER, "pusher", pusher)]] } else { Vec::new() };
        let stages = readers.into_iter().chain([vec![segmenter], sources]).collect();
        let segments = if self.uploads() { rig.segments_of(&job.name) } else { spool.clone() };
        Graph { stages, segmenter: name, segments, spool }
    }

    fn source(self, job: &Job, sensor: &str, url: &str) -> Vec<String> {
        let mut args = owned(&["--sensor-name", sensor, "-u", url]);
        args.extend(match self {
            Self::Tutorial(Input::Pictures) => owned(&["-pt", &job.frames()]),
            Self::Tutorial(Input::PicturesWithAccessUnits) => {
                owned(&["-pt", &job.frames(), "--with-access-units"])
            }
            Self::Tutorial(Input::AccessUnits) | Self::Record | Self::RecordAndUpload => {
                owned(&["--packet-topic", &job.access_units()])
            }
        });
        args
    }
}
