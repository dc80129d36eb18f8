//! The index of a file: the `moov` box (ISO/IEC 14496-12, 8.2).

use std::num::NonZeroU32;
use std::time::Duration;

use shiguredo_mp4::boxes::{
    DinfBox, EdtsBox, ElstBox, ElstEntry, HdlrBox, MdhdBox, MdiaBox, MediaHeader, MinfBox, MoovBox, MvexBox,
    MvhdBox, SmhdBox, TkhdBox, TrakBox, TrexBox, VmhdBox,
};
use shiguredo_mp4::{Encode, FixedPointNumber, LanguageCode, Mp4FileTime, SampleFlags};

use super::error::Error;
use super::format::TrackFormat;
use super::tables::SampleTables;
use crate::access_unit::{Kind, TIMESCALE};

/// Ticks a second of the durations of the movie and of edits, so that edits of pictures are exact.
pub(super) const MOVIE_TIMESCALE: NonZeroU32 = TIMESCALE;

/// What of a track is shown, and when (ISO/IEC 14496-12, 8.6.6). All times are in ticks of the track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Time from the start of the presentation until the track begins.
    pub delay: u64,
    /// The composition time at which it begins: what is before is decoded, but not shown.
    pub media_time: u64,
    /// How long it is shown.
    pub duration: u64,
}

/// A track of an index.
pub(super) struct MovieTrack<'a> {
    pub(super) format: &'a TrackFormat,
    pub(super) edit: Edit,
    /// Empty in a fragmented file.
    pub(super) tables: &'a SampleTables,
}

/// The `moov` box of a file with all its samples. `shift` is added to the place of every chunk.
pub(super) fn index(created: Mp4FileTime, tracks: &[MovieTrack<'_>], shift: i64) -> Result<Vec<u8>, Error> {
    movie(created, tracks, shift, None).encode_to_vec().map_err(Error::mux)
}

/// The `moov` box of a fragmented file, without samples.
pub(super) fn fragmented_index(created: Mp4FileTime, tracks: &[MovieTrack<'_>]) -> Result<Vec<u8>, Error> {
    let defaults = |track_id| TrexBox {
        track_id,
        default_sample_description_index: 1,
        default_sample_duration: 0,
        default_sample_size: 0,
        default_sample_flags: SampleFlags::empty(),
    };
    let trex_boxes = (1..).zip(tracks).map(|(id, _)| defaults(id)).collect();
    movie(created, tracks, 0, Some(MvexBox { mehd_box: None, trex_boxes, unknown_boxes: vec![] }))
        .encode_to_vec()
        .map_err(Error::mux)
}

/// The time at which a file was made, from that since 1970.
pub(super) fn created_at(since_1970: Duration) -> Mp4FileTime {
    Mp4FileTime::from_unix_time(since_1970)
}

fn movie(created: Mp4FileTime, tracks: &[MovieTrack<'_>], shift: i64, mvex_box: Option<MvexBox>) -> MoovBox {
    let trak_boxes: Vec<TrakBox> =
        (1..).zip(tracks).map(|(id, track)| trak(created, id, track, shift, mvex_box.is_some())).collect();
    MoovBox {
        mvhd_box: MvhdBox {
            creation_time: created,
            modification_time: created,
            timescale: MOVIE_TIMESCALE,
            duration: trak_boxes.iter().map(|track| track.tkhd_box.duration).max().unwrap_or(0),
            rate: MvhdBox::DEFAULT_RATE,
            volume: MvhdBox::DEFAULT_VOLUME,
            matrix: MvhdBox::DEFAULT_MATRIX,
            next_track_id: tracks.len() as u32 + 1,
        },
        trak_boxes,
        mvex_box,
        unknown_boxes: vec![],
    }
}

fn trak(
    created: Mp4FileTime,
    track_id: u32,
    track: &MovieTrack<'_>,
    shift: i64,
    is_fragmented: bool,
) -> TrakBox {
    let MovieTrack { format, edit, tables } = *track;
    let to_movie = |ticks: u64| rescale(ticks, format.timescale, MOVIE_TIMESCALE);
    let (delay, shown) = (to_movie(edit.delay), to_movie(edit.duration));
    let is_video = format.kind == Kind::Video;
    let (width, height) = format.size.unwrap_or_default();
    let side = |side: u16| FixedPointNumber::new(side.cast_signed(), 0);
    TrakBox {
        tkhd_box: TkhdBox {
            flag_track_enabled: true,
            flag_track_in_movie: true,
            flag_track_in_preview: false,
            flag_track_size_is_aspect_ratio: false,
            creation_time: created,
            modification_time: created,
            track_id,
            duration: delay.saturating_add(shown),
            layer: TkhdBox::DEFAULT_LAYER,
            alternate_group: TkhdBox::DEFAULT_ALTERNATE_GROUP,
            volume: if is_video { TkhdBox::DEFAULT_VIDEO_VOLUME } else { TkhdBox::DEFAULT_AUDIO_VOLUME },
            matrix: TkhdBox::DEFAULT_MATRIX,
            width: side(width),
            height: side(height),
        },
        edts_box: edits(edit, delay, shown, tables, is_fragmented),
        mdia_box: MdiaBox {
            mdhd_box: MdhdBox {
                creation_time: created,
                modification_time: created,
                timescale: format.timescale,
                duration: tables.duration(),
                language: LanguageCode::UNDEFINED,
            },
            hdlr_box: HdlrBox {
                handler_type: if is_video { HdlrBox::HANDLER_TYPE_VIDE } else { HdlrBox::HANDLER_TYPE_SOUN },
                name: vec![0],
            },
            minf_box: MinfBox {
                media_header: Some(if is_video {
                    MediaHeader::Vmhd(VmhdBox::default())
                } else {
                    MediaHeader::Smhd(SmhdBox::default())
                }),
                dinf_box: DinfBox::LOCAL_FILE,
                stbl_box: tables.to_box(format.entry.clone(), shift),
                unknown_boxes: vec![],
            },
            unknown_boxes: vec![],
        },
        unknown_boxes: vec![],
    }
}

/// The edit list; none if all of the track is shown from the start on. `delay` and `shown` are in ticks of the movie. In a
/// fragmented file the edit is for the whole track, which has no duration yet (ISO/IEC 14496-12, 8.6.6.1), and the times of
/// the fragments say when it begins.
fn edits(edit: Edit, delay: u64, shown: u64, tables: &SampleTables, is_fragmented: bool) -> Option<EdtsBox> {
    let entry = |edit_duration, media_time| ElstEntry {
        edit_duration,
        media_time,
        media_rate: FixedPointNumber::new(1, 0),
    };
    let start = i64::try_from(edit.media_time).unwrap_or(i64::MAX);
    let entries = if is_fragmented {
        if edit.media_time == 0 {
            return None;
        }
        vec![entry(0, start)]
    } else {
        let is_whole = edit.duration == tables.duration() || edit.duration >= tables.composition_end();
        if delay == 0 && edit.media_time == 0 && is_whole {
            return None;
        }
        let empty = (delay > 0).then(|| entry(delay, -1));
        empty.into_iter().chain([entry(shown, start)]).collect()
    };
    Some(EdtsBox { elst_box: Some(ElstBox { entries }), unknown_boxes: vec![] })
}

/// Ticks of one clock as those of another one.
pub(super) fn rescale(ticks: u64, from: NonZeroU32, to: NonZeroU32) -> u64 {
    let (from, to) = (u128::from(from.get()), u128::from(to.get()));
    u64::try_from((u128::from(ticks) * to + from / 2) / from).unwrap_or(u64::MAX)
}
