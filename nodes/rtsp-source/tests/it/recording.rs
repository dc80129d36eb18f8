//! Recordings for cameras, with the encoded packets in them as ffprobe finds them.

use std::path::PathBuf;
use std::process::{Command, Output};

use msight_test_support::camera::Camera;

/// A file that ffmpeg has made.
pub(crate) struct Recording {
    pub(crate) path: PathBuf,
    _folder: tempfile::TempDir,
}

/// A packet of a recording.
pub(crate) struct Sent {
    /// As it is in the file. Video: NAL units, each after its length in four bytes.
    pub(crate) data: Vec<u8>,
    /// Presentation time after that of the first packet.
    pub(crate) pts: i64,
    pub(crate) key: bool,
}

impl Recording {
    /// A file of one track, from a source of ffmpeg.
    pub(crate) fn new(name: &str, source: &str, options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", source]);
        if name.ends_with(".mp4") {
            // GStreamer would leave out what an edit list does.
            command.args(["-use_editlist", "0"]);
        }
        run(command.args(options.split_whitespace()).arg(&path));
        Self { path, _folder: folder }
    }

    /// Video at 320x180, with a key frame every second unless the options say otherwise.
    pub(crate) fn video(seconds: u32, encoder: &str, options: &str) -> Self {
        let source =
            format!("testsrc2=size=320x180:rate=20:duration={seconds},noise=alls=12:allf=t,format=yuv420p");
        let options = format!("-c:v {encoder} -g 20 -b:v 1M {options} -video_track_timescale 90000");
        Self::new("video.mp4", &source, &options)
    }

    /// A camera that sends the recording through these elements of GStreamer, from its beginning in every session.
    pub(crate) fn camera(&self, elements: &str) -> Camera {
        Camera::start(&format!("filesrc location={} ! {elements}", self.path.display()), &[])
    }

    /// Its packets, in the order of decoding.
    pub(crate) fn packets(&self) -> Vec<Sent> {
        let mut command = Command::new("ffprobe");
        command.args(["-v", "error", "-show_entries", "packet=pts,size,pos,flags", "-of", "csv=p=0"]);
        let output = run(command.arg(&self.path));
        let (table, file) = (String::from_utf8(output.stdout).unwrap(), std::fs::read(&self.path).unwrap());
        let mut first = None;
        let packet = |line: &str| {
            let mut fields = line.split(',');
            let mut number = || fields.next().and_then(|field| field.parse::<i64>().ok()).expect(line);
            let (pts, size, position) = (number(), number() as usize, number() as usize);
            let pts = pts - *first.get_or_insert(pts);
            let key = fields.next().is_some_and(|flags| flags.starts_with('K'));
            Sent { data: file[position..][..size].to_vec(), pts, key }
        };
        // A line without fields is for the side data of the packet before.
        table.lines().filter(|line| !line.is_empty()).map(packet).collect()
    }
}

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("ffmpeg is installed (apt-get install ffmpeg)");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
