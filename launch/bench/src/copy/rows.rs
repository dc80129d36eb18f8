//! The graphs of `--copy`, what each may cost, and whether it does.

use anyhow::Result;
use serde::Serialize;

use super::graphs::{Input, Placement, Work};
use super::running::{Measured, Outcome};
use crate::installed::Reference;
use crate::peers::PeerCost;

/// Graphs that run in one window, beside the program that they are compared with.
pub(super) struct Group {
    pub(super) peer: Reference,
    pub(super) graphs: &'static [GraphRow],
}

/// A graph that is measured with one camera.
pub(super) struct GraphRow {
    /// A word for it, for its topics and nodes.
    pub(super) name: &'static str,
    /// What it is, in words.
    pub(super) what: &'static str,
    pub(super) work: Work,
    pub(super) placement: Placement,
    /// Whether another subscriber reads the pictures.
    pub(super) has_other_readers: bool,
    /// How much CPU time a frame may take, in multiples of the compared program's.
    pub(super) limit: f64,
}

const fn row(
    name: &'static str,
    what: &'static str,
    (work, placement): (Work, Placement),
    limit: f64,
) -> GraphRow {
    GraphRow { name, what, work, placement, has_other_readers: false, limit }
}

/// All of them. At most one in a group uses Redis.
pub(super) const GROUPS: [Group; 3] = [
    Group {
        peer: Reference::Copy,
        graphs: &[
            row("recorder", "source, recorder in one process", (Work::Record, Placement::OneProcess), 1.5),
            row(
                "recorder-pusher",
                "source, recorder, pusher in one process",
                (Work::RecordAndUpload, Placement::OneProcess),
                2.0,
            ),
            row(
                "recorder-programs",
                "source, recorder, pusher and redis-server",
                (Work::RecordAndUpload, Placement::Programs),
                4.0,
            ),
        ],
    },
    Group {
        peer: Reference::Ultrafast,
        graphs: &[
            row(
                "tutorial",
                "tutorial in one process",
                (Work::Tutorial(Input::Pictures), Placement::OneProcess),
                0.1,
            ),
            row(
                "tutorial-access-units",
                "tutorial on access units and redis-server",
                (Work::Tutorial(Input::AccessUnits), Placement::Programs),
                0.15,
            ),
        ],
    },
    Group {
        peer: Reference::Ultrafast,
        graphs: &[GraphRow {
            has_other_readers: true,
            ..row(
                "tutorial-pictures",
                "tutorial with pictures for others, redis-server",
                (Work::Tutorial(Input::PicturesWithAccessUnits), Placement::Programs),
                1.0,
            )
        }],
    },
];

/// The result of a graph.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    /// CPU time per frame in multiples of the compared program's; `None` if one of the two was not measured.
    pub(super) ratio: Option<f64>,
    pub(super) limit: f64,
    /// Whether the ratio is within the limit, and every frame was recorded as the camera encoded it.
    pub(super) holds: bool,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

impl Row {
    pub(super) fn new(graph: &GraphRow, measured: Result<Measured>, peer: &PeerCost) -> Self {
        let outcome = Outcome::from(measured);
        let ratio = outcome.measured.as_ref().filter(|_| peer.kept_up && peer.cpu_ms_per_frame > 0.0);
        let ratio = ratio.map(|measured| measured.cpu_ms_per_frame / peer.cpu_ms_per_frame);
        Self {
            name: graph.name,
            what: graph.what,
            ratio,
            limit: graph.limit,
            holds: outcome.is_complete() && ratio.is_some_and(|ratio| ratio <= graph.limit),
            outcome,
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.outcome.is_complete()
    }
}

#[cfg(test)]
mod tests {
    use super::super::recorded::Recorded;
    use super::*;

    #[test]
    fn at_most_one_graph_of_a_group_uses_redis() {
        for group in &GROUPS {
            let on_redis = group.graphs.iter().filter(|graph| graph.placement == Placement::Programs);
            assert!(on_redis.count() <= 1);
        }
        assert_eq!(GROUPS[0].graphs[0].name, "recorder", "the memory of one camera is that of the first row");
    }

    #[test]
    fn a_row_holds_within_its_limit_if_all_frames_are_there() {
        let peer = PeerCost {
            name: "ffmpeg".to_owned(),
            command: String::new(),
            cpu_ms_per_frame: 2.0,
            peak_bytes: 1,
            frames_sent: 10,
            frames_written: 10,
            kept_up: true,
            failed: None,
            segments: 1,
            bitrate: 1e6,
        };
        let recorded = Recorded { segments: 1, frames: 10, hidden: 0, as_sent: true };
        let cost = |cpu_ms_per_frame, recorded| {
            Ok(Measured {
                cpu_ms_per_frame,
                peak_bytes: 1,
                frames_per_second: 10.0,
                frames_sent: 10,
                frames_dropped: 0,
                recorded,
            })
        };
        let graph = &GROUPS[0].graphs[0];
        let row = Row::new(graph, cost(3.0, recorded), &peer);
        assert_eq!((row.ratio, row.holds), (Some(1.5), true));
        assert!(!Row::new(graph, cost(3.1, recorded), &peer).holds);
        assert!(!Row::new(graph, cost(1.0, Recorded { frames: 9, ..recorded }), &peer).holds);
        assert!(!Row::new(graph, cost(1.0, Recorded { as_sent: false, ..recorded }), &peer).holds);
        assert!(!Row::new(graph, Err(anyhow::anyhow!("it ended")), &peer).holds);
        let slow = PeerCost { kept_up: false, ..peer };
        assert_eq!(Row::new(graph, cost(1.0, recorded), &slow).ratio, None);
    }
}
