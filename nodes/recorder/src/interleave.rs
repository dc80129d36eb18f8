//! The units of a fragment in decoding order across its tracks, as containers without runs hold them.

use msight_media::mp4::TrackRun;
use msight_media::{Kind, to_timescale};

use crate::track::Encoding;
use crate::unit::Unit;

/// The units of the runs, each with the position of its track, in the order of decoding times. Their times are in ticks of
/// 90 kHz from the start of the presentation, which is at `media_time` of the video.
pub(crate) fn in_decoding_order<'a>(
    runs: &[TrackRun],
    units: &'a [Vec<Unit>],
    encodings: &[Encoding],
    media_time: i64,
) -> Vec<(usize, msight_media::Unit<'a>)> {
    let mut all = Vec::with_capacity(units.iter().map(Vec::len).sum());
    for (run, units) in runs.iter().zip(units) {
        let Some(encoding) = encodings.get(run.track) else { continue };
        let before = if encoding.kind() == Kind::Video { media_time } else { 0 };
        let on_clock = |ticks: i64| to_timescale(ticks.saturating_sub(before), encoding.rate.get());
        let mut time = i64::try_from(run.decode_time).unwrap_or(i64::MAX);
        for (sample, unit) in run.samples.iter().zip(units) {
            all.push((
                run.track,
                msight_media::Unit {
                    data: &unit.data,
                    parameter_sets: unit.sets.as_deref().filter(|_| unit.key),
                    pts: on_clock(time.saturating_add(sample.composition_offset.into())),
                    dts: on_clock(time),
                    key: unit.key,
                },
            ));
            time = time.saturating_add(sample.duration.into());
        }
    }
    all.sort_by_key(|(_, unit)| unit.dts);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{audio, video};
    use msight_media::mp4::FragmentSample;

    #[test]
    fn tracks_are_interleaved_from_the_start_of_the_presentation() {
        let sample = |unit: &Unit, duration, composition_offset| FragmentSample {
            data: unit.data.clone(),
            duration,
            composition_offset,
            key: unit.key,
        };
        // JPEG needs no parameter sets.
        let picture =
            |number| Unit { codec: msight_media::Codec::Jpeg, sets: None, ..video(number, number == 0) };
        let pictures: Vec<_> = (0..3).map(picture).collect();
        let sounds: Vec<_> = (0..10).map(audio).collect();
        let encodings = [&sounds[0], &pictures[0]].map(|unit| Encoding::of(unit).unwrap());
        let runs = [
            TrackRun {
                track: 0,
                decode_time: 0,
                samples: sounds.iter().map(|unit| sample(unit, 160, 0)).collect(),
            },
            TrackRun {
                track: 1,
                decode_time: 0,
                samples: pictures.iter().map(|unit| sample(unit, 9_000, 9_000)).collect(),
            },
        ];
        let units = [sounds, pictures];
        let all = in_decoding_order(&runs, &units, &encodings, 9_000);
        assert!(all.windows(2).all(|pair| pair[0].1.dts <= pair[1].1.dts));
        let of_video: Vec<_> =
            all.iter().filter(|(track, _)| *track == 1).map(|(_, unit)| (unit.pts, unit.dts)).collect();
        assert_eq!(of_video, [(0, -9_000), (9_000, 0), (18_000, 9_000)]);
        let of_sound: Vec<_> =
            all.iter().filter(|(track, _)| *track == 0).map(|(_, unit)| unit.pts).collect();
        assert_eq!(of_sound[..3], [0, 1_800, 3_600]);
    }
}
