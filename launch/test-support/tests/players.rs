//! Every player shows the same pictures of a file, also where an edit list hides some.

use std::path::Path;
use std::process::Command;

use msight_test_support::players::{self, Chromium};

/// Two seconds of H.264 at 10 frames a second, with pictures that refer to later ones.
fn film(path: &Path) {
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=10:duration=2"])
        .args(["-c:v", "libx264", "-bf", "2", "-g", "20", "-pix_fmt", "yuv420p", "-movflags", "faststart"])
        .arg(path)
        .status();
    assert!(made.expect("ffmpeg is installed").success());
}

#[test]
fn all_players_show_all_pictures_at_their_times() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("film.mp4");
    film(&file);
    let expected: Vec<f64> = (0..20).map(|frame| f64::from(frame) / 10.0).collect();
    let middles: Vec<f64> = expected.iter().map(|time| time + 0.05).collect();
    let is_near = |shown: &[f64]| {
        shown.len() == expected.len()
            && shown.iter().zip(&expected).all(|(one, other)| (one - other).abs() < 0.002)
    };
    let (ffmpeg, gstreamer) = (players::ffmpeg(&file).pictures, players::gstreamer(&file).pictures);
    assert!(is_near(&ffmpeg), "ffmpeg: {ffmpeg:?}");
    assert!(is_near(&gstreamer), "GStreamer: {gstreamer:?}");
    if let Some(chromium) = Chromium::open() {
        let chromium = chromium.play(&file, &middles).unwrap().pictures;
        assert!(is_near(&chromium), "Chromium: {chromium:?}");
    }
}
