//! Access units over a network that loses packets: the units say where some are missing, and all of them can be decoded.

use std::process::Command;

use msight_media::nal;
use msight_proto::AccessUnitData;

use crate::hop::{Hop, Impairments};
use crate::packets::units;
use crate::recording::Recording;

/// The units as an Annex B byte stream.
fn annex_b(units: &[AccessUnitData]) -> Vec<u8> {
    let mut stream = Vec::new();
    for unit in units {
        let nals: Vec<_> = nal::units(&unit.data).collect();
        let length: usize = nals.iter().map(|nal| nal::START_CODE.len() + nal.len()).sum();
        assert_eq!(length, unit.data.len(), "the NAL units fill their access unit");
        let sets = unit.parameter_sets.iter().flatten().map(AsRef::as_ref);
        for nal in sets.chain(nals) {
            stream.extend_from_slice(&nal::START_CODE);
            stream.extend_from_slice(nal);
        }
    }
    stream
}

async fn assert_loss_is_visible(encoder: &str, options: &str, parser: &str, seed: u64) {
    let recording = Recording::video(8, encoder, options);
    let camera = recording.camera(&format!("qtdemux ! {parser} name=pay0 pt=96"));
    let sent = recording.packets();
    let hop = Hop::start(camera.port, Impairments { seed, loss: 0.05, reordering: 0.1, duplication: 0.02 });
    let units = units(&hop.url(""), &["--rtsp-transport", "udp"], 30).await;
    let place = |unit: &AccessUnitData| sent.iter().position(|sent| unit.data == sent.data);
    let (mut next, mut losses) = (None, 0);
    for (number, unit) in units.iter().enumerate() {
        let place = place(unit).unwrap_or_else(|| panic!("unit {number} was not sent like this"));
        assert_eq!((unit.sequence, &unit.session), (number as u64, &units[0].session));
        assert!(
            next.is_none_or(|next| (place > next) == unit.after_loss),
            "unit {number}: {next:?}, then {place}"
        );
        assert!(unit.key || next == Some(place), "unit {number} refers to one that is missing");
        assert_eq!(unit.parameter_sets.is_some(), unit.key);
        losses += usize::from(unit.after_loss);
        next = Some(place + 1);
    }
    assert!(losses > 2, "{losses} losses");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), annex_b(&units)).unwrap();
    let format = if encoder == "libx265" { "hevc" } else { "h264" };
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-nostdin", "-xerror", "-f", format, "-i"]).arg(file.path());
    let decoded = ffmpeg.args(["-f", "null", "-"]).output().expect("ffmpeg is installed");
    let errors = String::from_utf8_lossy(&decoded.stderr);
    assert!(decoded.status.success() && errors.is_empty(), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_after_a_loss_begins_with_a_key_frame() {
    let options = "-preset ultrafast -bf 0 -g 5 -x264-params slices=4";
    assert_loss_is_visible("libx264", options, "h264parse config-interval=-1 ! rtph264pay", 11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h265_after_a_loss_begins_with_a_key_frame() {
    let options = "-preset ultrafast -g 5 -x265-params bframes=0:log-level=none";
    assert_loss_is_visible("libx265", options, "h265parse ! rtph265pay", 12).await;
}
