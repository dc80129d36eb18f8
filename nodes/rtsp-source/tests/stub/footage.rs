//! Elementary streams that ffmpeg makes when they are first needed.

use std::path::{Path, PathBuf};
use std::process::Command;

/// `nal_unit_type` of an access unit delimiter, and of an IDR picture's slice (H.264 table 7-1).
const DELIMITER: u8 = 9;
const IDR: u8 = 5;

/// A stream of H.264 as access units, each a list of NAL units without start codes.
#[derive(Clone)]
pub(crate) struct Footage {
    pub(crate) units: Vec<Vec<Vec<u8>>>,
}

impl Footage {
    /// `count` frames of `size` with a key frame every `key` frames, encoded by libx264 with `options` of ffmpeg.
    pub(crate) fn h264(size: &str, count: usize, key: usize, options: &str) -> Self {
        let source = format!("testsrc2=size={size}:rate=25");
        let (frames, key) = (count.to_string(), key.to_string());
        let mut args = vec!["-f", "lavfi", "-i", &source, "-frames:v", &frames, "-c:v", "libx264"];
        args.extend(["-preset", "ultrafast", "-tune", "zerolatency", "-g", &key]);
        args.extend(options.split_whitespace());
        args.extend(["-bsf:v", "h264_metadata=aud=insert", "-f", "h264"]);
        Self::split(&cached(&args))
    }

    fn split(stream: &[u8]) -> Self {
        let mut units: Vec<Vec<Vec<u8>>> = Vec::new();
        for nal in openh264::nal_units(stream) {
            let zeros = nal.iter().take_while(|byte| **byte == 0).count();
            let nal = &nal[zeros + 1..];
            match nal[0] & 0x1f {
                DELIMITER => units.push(Vec::new()),
                _ => units.last_mut().expect("a delimiter comes first").push(nal.to_vec()),
            }
        }
        Self { units }
    }

    /// The number of access units that start with an IDR picture.
    pub(crate) fn key_frames(&self) -> usize {
        self.units.iter().filter(|unit| unit.iter().any(|nal| nal[0] & 0x1f == IDR)).count()
    }

    /// A description without parameter sets, as many cameras send it.
    pub(crate) fn sdp(&self) -> String {
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=stub\r\nt=0 0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\n\
         a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track\r\n"
            .to_owned()
    }
}

/// The output of ffmpeg, cached in the build's folder of temporary files.
fn cached(args: &[&str]) -> Vec<u8> {
    let name: String =
        args.join("_").chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let file: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.h264"));
    if let Ok(stream) = std::fs::read(&file) {
        return stream;
    }
    let made = Command::new("ffmpeg").args(["-v", "error", "-nostdin"]).args(args).arg("-").output();
    let made = made.expect("ffmpeg is installed (on Debian: apt-get install ffmpeg)");
    assert!(made.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&made.stderr));
    // Other tests may write the same file, so it is renamed into place when it is complete.
    let part = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::write(part.path(), &made.stdout).unwrap();
    part.persist(file).unwrap();
    made.stdout
}
