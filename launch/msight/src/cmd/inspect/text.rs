//! The report as text: a label and a value on each line.

use std::fmt::Write as _;

use msight_compose::terminal::{printable, shortened};

use super::report::{Report, SpreadReport, TrackReport, is_much};
use super::sidecar::Sidecar;

/// Most gaps, and parts of the edit list, that are listed of a track.
const MAX_LISTED: usize = 5;

/// The report as text.
pub(super) fn text(report: &Report) -> String {
    let mut text = format!("{}\n", printable(&report.source));
    let mut line = |label: &str, value: &str| {
        let _ = writeln!(text, "  {label:<10} {}", printable(value));
    };
    line("format", &format(report));
    if let Some(created) = &report.created {
        line("made", created);
    }
    line("duration", &format!("{:.3} s", report.duration));
    for track in &report.tracks {
        line(&format!("track {}", track.track_id), &head(track));
        lines(track, &report.format).iter().for_each(|(label, value)| line(label, value));
    }
    if let Some(offset) = report.audio_offset {
        let word = if offset < 0.0 { "before" } else { "after" };
        line("audio", &format!("begins {:.0} ms {word} the video", offset.abs() * 1000.0));
    }
    if let Some(segment) = &report.segment {
        let lost = (segment.frames_lost_before, segment.frames_lost_within);
        let copied = if segment.copied { ", as the camera encoded it" } else { "" };
        line(
            "segment",
            &format!(
                "ended by {}{copied}; frames lost: {} before, {} within",
                segment.ending, lost.0, lost.1
            ),
        );
    }
    if let Some(captured) = report.sidecar.as_ref().and_then(Sidecar::captured) {
        line("captured", &captured);
    }
    if let Some(sidecar) = &report.sidecar {
        line("sidecar", &sidecar.summary());
        if let Some(adjusted) = sidecar.clock_adjusted {
            line("clock", &format!("capture times were adjusted by {adjusted:+.3} s"));
        }
        sidecar.disagreements.iter().for_each(|found| line("", &found.text()));
    }
    for fault in &report.faults {
        line("damaged", &shortened(fault, 300));
    }
    if let Some(step) = &report.next_step {
        line("next step", step);
    }
    text
}

fn format(report: &Report) -> String {
    let name = match &*report.format {
        "mp4" => "MP4",
        "mpegts" => "MPEG transport stream",
        "webm" => "WebM",
        _ => "Matroska",
    };
    let mut text = format!("{name}, {}", bytes(report.bytes));
    match report.index_first {
        _ if report.fragmented => {
            let _ = write!(text, ", fragmented ({})", plural(report.fragments, "fragment"));
        }
        Some(true) => text.push_str(", index first"),
        Some(false) => text.push_str(", index last"),
        None if report.has_no_index() => text.push_str(", no index"),
        None => {}
    }
    if report.open {
        text.push_str(", still being written");
    }
    if report.unfinished {
        text.push_str(", unfinished");
    }
    if !report.brands.is_empty() {
        let _ = write!(text, "; {}", report.brands.iter().take(8).cloned().collect::<Vec<_>>().join(" "));
    }
    if is_much(report.unindexed_bytes, report.bytes) {
        let _ = write!(text, "; {} of samples without index", bytes(report.unindexed_bytes));
    }
    text
}

fn head(track: &TrackReport) -> String {
    let mut text = format!("{} {}", track.track_type, track.codec);
    if let Some(name) = track.codec_name.filter(|name| *name != track.codec) {
        let _ = write!(text, " ({name})");
    }
    if let Some((width, height)) = track.width.zip(track.height) {
        let _ = write!(text, ", {width}x{height}");
    }
    if let Some((rate, channels)) = track.sample_rate.zip(track.channels) {
        let _ = write!(text, ", {rate} Hz, {}", plural(channels, "channel"));
    }
    if let Some(bitrate) = track.bitrate {
        let _ = match bitrate {
            0..1_000_000 => write!(text, ", {:.1} kbit/s", bitrate as f64 / 1e3),
            _ => write!(text, ", {:.2} Mbit/s", bitrate as f64 / 1e6),
        };
    }
    text
}

/// What follows the first line of a track.
fn lines(track: &TrackReport, format: &str) -> Vec<(&'static str, String)> {
    let is_video = track.track_type == "video";
    let units = match format {
        _ if is_video => "  frames",
        // Of the elementary stream, each with some frames of sound.
        "mpegts" => "  packets",
        _ => "  samples",
    };
    let mut lines = vec![(units, count(track))];
    if let Some(interval) = track.frame_interval.filter(|_| is_video) {
        lines.push(("  interval", format!("{}s", spread(interval, 1000.0, "m"))));
    }
    if is_video {
        let mut keys = track.key_frames.to_string();
        if let Some((frames, seconds)) = track.key_frame_distance.zip(track.key_frame_interval) {
            let _ =
                write!(keys, "; every {} frames, {:.3} s", spread(frames, 1.0, "").trim_end(), seconds.mean);
        }
        lines.push(("  keys", keys));
    }
    lines.push(("  time", format!("{:.3} to {:.3} s", track.start, track.end)));
    let is_plain = track.edits.len() < 2 && track.edits.iter().all(|edit| edit.media_time == Some(0.0));
    for edit in track.edits.iter().take(MAX_LISTED).filter(|_| !is_plain) {
        let from = edit.media_time.map(|time| format!(" from {time:.3} s of the track")).unwrap_or_default();
        lines.push(("  edit", format!("{:.3} to {:.3} s: {}{from}", edit.start, edit.end, edit.kind)));
    }
    if track.edits.len() > MAX_LISTED {
        lines.push(("", format!("and {} more; --json lists all", track.edits.len() - MAX_LISTED)));
    }
    for gap in track.gaps.iter().take(MAX_LISTED) {
        lines.push(("  gap", format!("at {:.3} s, for {:.3} s", gap.start, gap.duration)));
    }
    if track.gap_count > MAX_LISTED {
        lines.push(("", format!("and {} more; --json lists them", track.gap_count - MAX_LISTED)));
    }
    lines
}

fn count(track: &TrackReport) -> String {
    let mut text = track.shown.to_string();
    if let Some(rate) = track.frame_rate.filter(|_| track.track_type == "video") {
        let _ = write!(text, ", {rate:.3} a second");
    }
    let hidden =
        [(track.hidden_before, "before"), (track.hidden_between, "between"), (track.hidden_after, "after")];
    for (hidden, place) in hidden.iter().filter(|(hidden, _)| *hidden > 0) {
        let _ = write!(text, "; {hidden} hidden {place} the shown ones");
    }
    text
}

/// One number if all are equal, else the mean with shortest and longest.
fn spread(spread: SpreadReport, factor: f64, unit: &str) -> String {
    let [min, mean, max] = [spread.min, spread.mean, spread.max].map(|one| short(one * factor));
    if min == max { format!("{mean} {unit}") } else { format!("{mean} ({min} to {max}) {unit}") }
}

/// With a digit behind the point, if it is not 0.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// A number of things, such as `1 channel` and `2 channels`.
pub(in crate::cmd) fn plural(count: u32, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A number of bytes in its unit.
pub(in crate::cmd) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} bytes"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
