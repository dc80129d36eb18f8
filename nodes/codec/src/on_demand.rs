//! Decodes the pictures of groups when they are asked for, on the thread that asks.
//!
//! A decoder goes forward through a group. On its way it fills the place of each picture that a message still waits for, so
//! no unit is decoded twice for nodes that look at different pictures of a group. A second decoder serves nodes that are a
//! group apart.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use msight_media::{AccessUnit, DropReason, PictureTimes};
use msight_picture::{Picture, Planes};
use tracing::Span;

use crate::decode_error::{DecodeError, OutOfMemory};
use crate::decoder::Decoder;
use crate::demand::Demand;
use crate::group::Group;
use crate::sink::PictureSink;

/// Decoders of one stream.
const MAX_DECODERS: usize = 2;
/// With those that cannot leave their group, because it has dropped the units before them.
const MAX_WITH_BOUND: usize = 4;

/// Why pictures from a rejected unit to the end of its group are missing.
const REJECTED: &str =
    "a part of the camera's stream is missing or damaged, and decoding resumes at the next key frame";

/// An error for the sink of this module, which fails only at planes that OpenH264 gives a wrong size.
pub(crate) type Error = DecodeError<msight_picture::Error>;

/// The decoders of one stream, and the messages' way to them.
pub(crate) struct OnDemand {
    decoders: Mutex<Vec<Position>>,
    demand: Mutex<Demand>,
    on_decoded: Box<dyn Fn() + Send + Sync>,
    is_key_frames_only: bool,
    /// Log lines name the node that made the messages.
    span: Span,
}

/// A decoder, and where it is. The one that was used last is the last of all.
struct Position {
    decoder: Decoder,
    group: Weak<Group>,
    /// The number of the unit that it decodes next.
    next: usize,
    /// The number of the unit whose picture comes next. OpenH264 returns some pictures only with the next unit.
    out: usize,
    /// It was used since the last key frame.
    is_used: bool,
}

impl Position {
    /// Whether its group needs it no more.
    fn is_free(&self) -> bool {
        let is_finished = |group: Arc<Group>| group.failure().is_some() || group.is_finished(self.out);
        self.group.upgrade().is_none_or(is_finished)
    }

    /// Whether its group has dropped the units that another decoder would need.
    fn is_bound(&self) -> bool {
        !self.is_free() && self.group.upgrade().is_some_and(|group| group.is_long())
    }
}

impl OnDemand {
    /// `on_decoded` is called for each picture that was decoded.
    pub(crate) fn new(is_key_frames_only: bool, on_decoded: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            decoders: Mutex::default(),
            demand: Mutex::default(),
            on_decoded: Box::new(on_decoded),
            is_key_frames_only,
            span: Span::current(),
        }
    }

    /// The number of a picture that is passed on.
    pub(crate) fn number(&self) -> u64 {
        lock(&self.demand).number()
    }

    /// A node asks for the picture of a unit, which was passed on with this number.
    pub(crate) fn ask(&self, group: &Arc<Group>, unit: usize, number: u64) {
        lock(&self.demand).asked(number);
        self.decode(group, unit);
    }

    /// Decodes the picture of a unit if nodes look at every picture, so that it is ready when they ask for it.
    pub(crate) fn prepare(&self, group: &Arc<Group>, unit: usize, number: u64) {
        if lock(&self.demand).is_expected(number) {
            self.decode(group, unit);
        }
    }

    /// Fills the place of a picture, or lets it fail.
    fn decode(&self, group: &Arc<Group>, unit: usize) {
        self.span.in_scope(|| {
            let mut decoders = lock(&self.decoders);
            if !group.is_open(unit) {
                return;
            }
            if group.failure().is_none() {
                self.advance(&mut decoders, group, unit);
            }
            // After a success the place is filled.
            group.fail(unit, group.failure().unwrap_or("the decoder made no picture"));
        });
    }

    /// The group has more units than are kept: decodes two of them for each that comes, until none is left, and drops what
    /// is decoded. From then on its decoder stays where the group ends.
    pub(crate) fn shorten(&self, group: &Arc<Group>) {
        self.span.in_scope(|| {
            let mut decoders = lock(&self.decoders);
            for _ in 0..2 {
                self.advance_by_one(&mut decoders, group);
            }
            while group.is_over_limit() && group.failure().is_none() {
                self.advance_by_one(&mut decoders, group);
            }
        });
    }

    /// Frees the memory of decoders that no group needs and that were not used since this was last called, at the key frame
    /// before.
    pub(crate) fn free_idle(&self) {
        // While a node decodes, this can wait for the next key frame.
        if let Ok(mut decoders) = self.decoders.try_lock() {
            decoders.retain_mut(|position| std::mem::take(&mut position.is_used) || !position.is_free());
        }
    }

    fn advance_by_one(&self, decoders: &mut Vec<Position>, group: &Arc<Group>) {
        let newest = group.end() - 1;
        let next = position(decoders, group, newest + 1).map_or(0, |at| decoders[at].next);
        if next <= newest && group.failure().is_none() {
            self.advance(decoders, group, next);
            if let Some(at) = position(decoders, group, newest + 1) {
                group.drop_before(decoders[at].out);
            }
        }
    }

    /// Decodes up to this unit, and until its picture is out. The group has failed if its units cannot be decoded.
    fn advance(&self, decoders: &mut Vec<Position>, group: &Arc<Group>, unit: usize) {
        let at = match self.enter(decoders, group, unit) {
            Ok(at) => at,
            Err(error) => return group.set_failed(error.to_string()),
        };
        let position = &mut decoders[at];
        while position.next <= unit || group.is_open(unit) {
            if let Some(next) = group.unit(position.next) {
                position.next += 1;
                match self.decode_unit(position, group, next) {
                    Ok(true) => {}
                    Ok(false) => return group.set_failed(REJECTED.to_owned()),
                    Err(error) => {
                        group.set_failed(error.to_string());
                        decoders.remove(at);
                        return;
                    }
                }
            } else if position.next < group.end() {
                return group.set_failed("the units before it are no longer kept".to_owned());
            } else if group.is_ended() {
                if !self.leave(position, group) {
                    decoders.remove(at);
                }
                return;
            } else {
                return;
            }
        }
    }

    /// Decodes a unit. Returns whether it was not dropped.
    fn decode_unit(&self, position: &mut Position, group: &Group, unit: AccessUnit) -> Result<bool, Error> {
        let (end, out, on_decoded) = (position.next, &mut position.out, &*self.on_decoded);
        let mut places = Places { group, end, out, on_decoded, is_dropped: false };
        position.decoder.decode(unit, &mut places)?;
        Ok(!places.is_dropped)
    }

    /// Gets the last picture of a group out of a decoder: with the first unit of the next group, where the decoder is then.
    /// Without that, the decoder is drained, and of no further use: returns false.
    fn leave(&self, position: &mut Position, group: &Group) -> bool {
        let next = group.successor().and_then(|next| Some((next.unit(0)?, next)));
        let Some((unit, next)) = next else {
            let (end, out, on_decoded) = (position.next, &mut position.out, &*self.on_decoded);
            let mut places = Places { group, end, out, on_decoded, is_dropped: false };
            // Pictures that do not come out are missing to those who ask for them.
            let _ = position.decoder.drain(&mut places);
            return false;
        };
        let decoded = self.decode_unit(position, group, unit);
        (position.group, position.next, position.out) = (Arc::downgrade(&next), 1, 0);
        matches!(decoded, Ok(true))
    }

    /// Decodes the first unit of a group at once, to see whether the stream can be decoded.
    pub(crate) fn begin(&self, group: &Arc<Group>, unit: AccessUnit, first: &mut First) -> Result<(), Error> {
        let mut decoders = lock(&self.decoders);
        let at = self.enter(&mut decoders, group, 0)?;
        let position = &mut decoders[at];
        let decoded = position.decoder.decode(unit, first);
        (position.next, position.out) = (1, 1);
        if decoded.is_err() || first.picture.is_none() && first.dropped.is_empty() {
            // The picture is still inside. A drained decoder is of no further use.
            let mut drained = decoders.remove(at);
            decoded?;
            return drained.decoder.drain(first);
        }
        decoded
    }

    /// The decoder for a unit. If none is in its group, one goes there: one that is free, otherwise a new one, or the one
    /// that was not used for the longest time.
    fn enter(
        &self,
        decoders: &mut Vec<Position>,
        group: &Arc<Group>,
        unit: usize,
    ) -> Result<usize, OutOfMemory> {
        let is_full = decoders.len() >= MAX_DECODERS;
        let found = position(decoders, group, unit)
            .or_else(|| decoders.iter().position(Position::is_free))
            .or_else(|| decoders.iter().position(|position| is_full && !position.is_bound()))
            .or_else(|| (decoders.len() == MAX_WITH_BOUND).then_some(0));
        let mut used = match found {
            Some(at) => decoders.remove(at),
            None => {
                let decoder = Decoder::for_groups(self.is_key_frames_only)?;
                Position { decoder, group: Weak::new(), next: 0, out: 0, is_used: true }
            }
        };
        if !is_in(&used, group) || used.out > unit {
            used.decoder.leave_group()?;
            (used.group, used.next, used.out) = (Arc::downgrade(group), 0, 0);
        }
        used.is_used = true;
        decoders.push(used);
        Ok(decoders.len() - 1)
    }
}

/// The decoder in this group that is nearest before the picture of the unit.
fn position(decoders: &[Position], group: &Arc<Group>, unit: usize) -> Option<usize> {
    let is_before = |position: &Position| is_in(position, group) && position.out <= unit;
    let fitting = decoders.iter().enumerate().filter(|(_, position)| is_before(position));
    fitting.max_by_key(|(_, position)| position.out).map(|(at, _)| at)
}

fn is_in(position: &Position, group: &Arc<Group>) -> bool {
    std::ptr::eq(position.group.as_ptr(), Arc::as_ptr(group))
}

/// Fills the places of a group.
struct Places<'a> {
    group: &'a Group,
    /// The number of the next unit.
    end: usize,
    /// The number of the unit whose picture comes next.
    out: &'a mut usize,
    on_decoded: &'a (dyn Fn() + Send + Sync),
    is_dropped: bool,
}

impl PictureSink for Places<'_> {
    type Error = msight_picture::Error;

    fn picture(&mut self, planes: &Planes<'_>, times: PictureTimes) -> Result<(), Self::Error> {
        (self.on_decoded)();
        if let Some(number) = self.group.fill(self.end, times.pts, planes) {
            *self.out = number + 1;
        }
        Ok(())
    }

    fn dropped(&mut self, _: DropReason, _: u64) {
        self.is_dropped = true;
    }
}

/// What the first unit of a group has given.
#[derive(Default)]
pub(crate) struct First {
    /// A copy, so that the decoder is free while the picture is passed on.
    pub(crate) picture: Option<Picture>,
    pub(crate) dropped: Vec<(DropReason, u64)>,
}

impl PictureSink for First {
    type Error = msight_picture::Error;

    fn picture(&mut self, planes: &Planes<'_>, _: PictureTimes) -> Result<(), Self::Error> {
        planes.convert_into(planes.colour(), self.picture.insert(Picture::default()));
        Ok(())
    }

    fn dropped(&mut self, reason: DropReason, units: u64) {
        self.dropped.push((reason, units));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
