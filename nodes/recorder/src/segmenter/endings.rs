//! Segments end: whole, with what could be written of them, or unfinished.

use tracing::error;

use super::Segmenter;
use crate::counts::{Lost, SegmentLoss};
use crate::ending::Ending;
use crate::segment::{Ended, Failure, Segment};

impl Segmenter {
    /// The open segment could not be written: it ends with what is in its file.
    pub(super) fn fail(&mut self, failure: Failure, ended: &mut Vec<Ended>) {
        self.report(&failure);
        self.lost_until_key = Some((failure.why, failure.reason));
        if let Some(segment) = self.current.take() {
            self.close(segment, Ending::Disk, ended);
        }
        self.cutter.end();
    }

    pub(super) fn report(&mut self, failure: &Failure) {
        if failure.why == Lost::Disk {
            self.files.failed(&failure.reason);
        }
        self.lost = self.lost.saturating_add(failure.leading);
        let lost = failure.lost.iter().copied().collect();
        self.log.lost(failure.why, lost, failure.reason.clone());
    }

    pub(super) fn close_current(&mut self, why: Ending, ended: &mut Vec<Ended>) {
        self.release_ahead(f64::INFINITY, ended);
        self.close_previous(ended);
        if let Some(segment) = self.current.take() {
            self.close(segment, why, ended);
        }
        self.cutter.end();
    }

    pub(super) fn close_previous(&mut self, ended: &mut Vec<Ended>) {
        if let Some(closing) = self.closing.take() {
            self.close(closing.segment, closing.ending, ended);
        }
    }

    fn close(&mut self, segment: Segment, why: Ending, ended: &mut Vec<Ended>) {
        let lost = segment.frames_lost();
        let (segment, failures) = segment.finish(why, self.log.counts());
        self.log.counts().closed();
        // Nothing of the segment is in a file that could tell it.
        if segment.is_none() && failures.iter().all(|failure| failure.why != Lost::Index) {
            self.lost = self.lost.saturating_add(lost);
        }
        for failure in &failures {
            match failure.why {
                Lost::Index => self.leave_unfinished(failure),
                _ => self.report(failure),
            }
        }
        ended.extend(segment);
    }

    /// The index of a segment could not be written. In the spool folder the segment waits as it is.
    fn leave_unfinished(&mut self, failure: &Failure) {
        let (sensor, reason) = (self.log.label(), &failure.reason);
        if self.files.spool().is_some() {
            error!(sensor, "segment left unfinished in the spool folder: {reason}; it is recovered later");
            self.log.counts().postponed();
            self.files.leave_unfinished();
            self.files.failed(reason);
        } else {
            error!(sensor, "segment lost: {reason}");
            self.log.counts().segment_lost(SegmentLoss::Index);
        }
    }
}
