//! Films that ffmpeg has encoded and GStreamer's RTSP server sends, through the source and the recorder: the segments
//! together have exactly what was sent, at the times of the film.

use std::path::{Path, PathBuf};
use std::process::Command;

use msight_test_support::camera::Camera;
use msight_test_support::probe::{Packet, Stream, decode, packets};
use msight_test_support::redis::RedisServer;
use msight_test_support::{Program, until};
use tempfile::TempDir;

use crate::nodes;
use crate::pipeline::files;

/// A film, and how GStreamer sends it.
struct Film {
    /// Also the name of its sensor.
    name: &'static str,
    /// Arguments of ffmpeg.
    encoders: &'static str,
    /// What GStreamer sends video with, from its demultiplexer on.
    video: &'static str,
    /// The same for sound.
    audio: Option<&'static str>,
}

const H264: &str = "h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96";
const H265: &str = "h265parse config-interval=-1 ! rtph265pay name=pay0 pt=96";

const FILMS: &[Film] = &[
    Film { name: "h264", encoders: "-c:v libx264 -preset ultrafast -bf 0", video: H264, audio: None },
    Film {
        name: "h264-b-frames",
        encoders: "-c:v libx264 -preset ultrafast -bf 2 -x264-params b-adapt=0:scenecut=0",
        video: H264,
        audio: None,
    },
    Film {
        name: "h265",
        encoders: "-c:v libx265 -preset ultrafast -x265-params log-level=none:open-gop=0:bframes=2:scenecut=0",
        video: H265,
        audio: None,
    },
    Film {
        name: "aac",
        encoders: "-c:v libx264 -preset ultrafast -bf 0 -c:a aac -ac 2",
        video: H264,
        audio: Some("aacparse ! rtpmp4gpay name=pay1 pt=97"),
    },
    Film {
        name: "g711",
        encoders: "-c:v libx264 -preset ultrafast -bf 0 -c:a pcm_mulaw -ar 8000 -ac 1",
        video: H264,
        audio: Some("rtppcmupay max-ptime=20000000 name=pay1"),
    },
];

/// Longer than the sources run, so that each sees one session.
const SECONDS: u32 = 30;
/// Pictures a second.
const RATE: usize = 20;
/// Seconds between two pictures.
const FRAME: f64 = 1.0 / RATE as f64;
/// Seconds of G.711 in a packet.
const SAMPLES: f64 = 0.02;
/// Finished segments of each sensor, at two seconds each; one more is open at the stop.
const SEGMENTS: usize = 3;

impl Film {
    /// Has ffmpeg encode it, with a key frame every second, and serves it from its beginning in every session.
    fn serve(&self, folder: &Path) -> Camera {
        let path = self.path(folder);
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-f", "lavfi", "-i"]);
        command.arg(format!("testsrc2=size=320x180:rate={RATE},noise=alls=12:allf=t,format=yuv420p"));
        if self.audio.is_some() {
            command.args(["-f", "lavfi", "-i", "anoisesrc=amplitude=0.3:seed=7:sample_rate=48000"]);
        }
        command.args(["-t", &SECONDS.to_string(), "-g", "20", "-b:v", "500k"]).args(self.encoders.split(' '));
        // GStreamer would leave out what an edit list does.
        command.args(["-video_track_timescale", "90000", "-use_editlist", "0"]).arg(&path);
        let output = command.output().expect("ffmpeg is installed (apt-get install ffmpeg)");
        assert!(output.status.success(), "{}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        let mut elements = format!(
            "filesrc location={} ! qtdemux name=film film.video_0 ! queue ! {}",
            path.display(),
            self.video
        );
        if let Some(audio) = self.audio {
            elements += &format!(" film.audio_0 ! queue ! {audio}");
        }
        Camera::start(&elements, &[])
    }

    fn path(&self, folder: &Path) -> PathBuf {
        // G.711 has no place in MP4 that ffmpeg writes.
        folder.join(format!("{}.mov", self.name))
    }
}

/// Does the same for each film, in a thread of its own.
fn side_by_side<T: Send>(work: impl Fn(&Film) -> T + Sync) -> Vec<T> {
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let threads: Vec<_> = FILMS.iter().map(|film| scope.spawn(|| work(film))).collect();
            threads.into_iter().map(|thread| thread.join().expect("it is as it should be")).collect()
        })
    })
}

/// A program that takes part over a Redis.
fn node(redis: &RedisServer, program: &str, name: &str, flags: &[&str]) -> Program {
    let mut command = Command::new(nodes::program(program));
    command
        .args(["-n", name, "--metrics", "0", "--log-format", "text"])
        .args(flags)
        .env("MSIGHT_EDGE_DEVICE_NAME", "edge1")
        .env("MSIGHT_REDIS_MESSAGE_BROKER_PORT", redis.port.to_string());
    Program::start(name, command)
}

/// A recorder of all sensors that cuts every two seconds.
async fn recorder(redis: &RedisServer, name: &str, spool: &Path, flags: &[&str]) -> Program {
    let spool = spool.to_str().expect("a plain path");
    let flags =
        [&["-st", "units", "-pt", "segments", "--segment-duration", "2", "--spool", spool], flags].concat();
    let mut node = node(redis, "msight_launch_recorder", name, &flags);
    node.serves_metrics().await;
    until("the recorder is ready", async || {
        node.get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    })
    .await;
    node
}

/// The packets of the first video or sound of a file.
struct Track {
    stream: Stream,
    packets: Vec<Packet>,
}

impl Track {
    fn of((streams, packets): &(Vec<Stream>, Vec<Packet>), is_video: bool) -> Option<Self> {
        let at = streams.iter().position(|stream| stream.size.is_some() == is_video)?;
        let packets = packets.iter().filter(|packet| packet.stream == at as u64).cloned().collect();
        Some(Self { stream: streams[at].clone(), packets })
    }

    fn seconds(&self, ticks: i64) -> f64 {
        ticks as f64 / f64::from(self.stream.rate)
    }
}

/// Holds the segments of a sensor against its film.
struct Comparison {
    video: Track,
    /// Access units that were in the segments so far.
    units: usize,
    sound: Option<Sound>,
}

impl Comparison {
    fn new(film: &Path) -> Self {
        let found = packets(film);
        let video = Track::of(&found, true).expect("video");
        Self { video, units: 0, sound: Track::of(&found, false).map(Sound::new) }
    }

    /// The next segment. `is_whole`: the recorder has cut it, not the stop.
    fn segment(&mut self, path: &Path, is_whole: bool) {
        let at = path.display();
        let found = packets(path);
        let video = Track::of(&found, true).expect("video");
        let sent = &self.video.packets[self.units..][..video.packets.len()];
        assert!(sent[0].key && video.packets[0].key, "{at} begins with a key frame");
        assert_eq!(video.stream.rate, self.video.stream.rate);
        let offset = video.packets[0].pts - sent[0].pts;
        for (number, (found, sent)) in video.packets.iter().zip(sent).enumerate() {
            let number = self.units + number;
            assert!(found.data == sent.data, "{at}: {} bytes are not access unit {number}", found.data.len());
            let off = found.pts - sent.pts - offset;
            assert!(off.abs() <= 1, "{at}: access unit {number} is {off} ticks late");
        }
        let first = video.packets.iter().map(|packet| packet.pts).min();
        assert_eq!(first, Some(0), "{at}: the presentation begins at zero");
        self.units += video.packets.len();
        if let Some(next) = self.video.packets.get(self.units).filter(|_| is_whole) {
            let long: i64 = video.packets.iter().map(|packet| packet.duration).sum();
            let until_next = next.pts - sent[0].pts;
            assert!(
                (long - until_next).abs() <= 1,
                "{at}: {long} ticks to the next segment, not {until_next}"
            );
        }
        let sound = Track::of(&found, false);
        assert_eq!(sound.is_some(), self.sound.is_some(), "{at}: sound");
        if let (Some(found), Some(film)) = (sound, &mut self.sound) {
            let first = found.seconds(found.packets[0].pts);
            let unit = if found.stream.codec == "aac" { found.seconds(1024) } else { SAMPLES };
            assert!(first.abs() < unit + 0.0001, "{at}: sound begins {first} s after the picture");
            if found.stream.codec == film.track.stream.codec {
                film.segment(path, &found, video.seconds(offset));
            }
        }
    }
}

/// The sound of a film, and how much of it was in segments so far.
struct Sound {
    track: Track,
    /// All packets, one behind the other: samples of G.711 are sent in packets of another size.
    bytes: Vec<u8>,
    /// Where in `bytes` the next segment begins.
    next: Option<usize>,
    /// By how many seconds the sound of the latest segment is too late for its picture.
    late: f64,
}

impl Sound {
    fn new(track: Track) -> Self {
        let bytes = track.packets.iter().flat_map(|packet| packet.data.clone()).collect();
        Self { track, bytes, next: None, late: 0.0 }
    }

    /// The sound of the next segment, whose video is `offset` seconds later in it than in the film.
    fn segment(&mut self, path: &Path, found: &Track, offset: f64) {
        let first = &found.packets[0];
        // What is before the first picture is in no segment.
        let begin =
            self.next.or_else(|| self.bytes.windows(first.data.len()).position(|sent| sent == first.data));
        let mut next = begin.unwrap_or_else(|| panic!("{}: sound that was not sent", path.display()));
        self.late = found.seconds(first.pts) - self.seconds(next) - offset;
        for packet in &found.packets {
            let sent = &self.bytes[next..][..packet.data.len()];
            assert!(sent == packet.data, "{}: other sound than was sent", path.display());
            let late = found.seconds(packet.pts) - self.seconds(next) - offset - self.late;
            assert!(late.abs() < 2.0 / 8000.0, "{}: a unit of sound is {late} s late", path.display());
            next += packet.data.len();
        }
        self.next = Some(next);
    }

    /// When this byte is heard in the film. A sample of G.711 is a byte.
    fn seconds(&self, byte: usize) -> f64 {
        let mut begin = 0;
        for packet in &self.track.packets {
            if byte < begin + packet.data.len() {
                return self.track.seconds(packet.pts + (byte - begin) as i64);
            }
            begin += packet.data.len();
        }
        panic!("the film has no byte {byte}");
    }
}

fn check(film: &Film, path: &Path, spool: &Path) {
    let segments = files(&spool.join(film.name), "mp4");
    assert!(segments.len() > SEGMENTS, "{segments:?}");
    let mut compared = Comparison::new(path);
    for (number, segment) in segments.iter().enumerate() {
        decode(segment);
        compared.segment(segment, number + 1 < segments.len());
    }
    let least = SEGMENTS * 2 * RATE;
    assert!(compared.units >= least, "{}: {} access units", film.name, compared.units);
    // The first segments place their tracks by arrival, until the server's reports are there.
    if let Some(sound) = &compared.sound {
        assert!(sound.late.abs() < FRAME, "{}: sound is {} s late", film.name, sound.late);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_have_exactly_what_was_sent() {
    let (redis, folder) = (RedisServer::start(&[]), TempDir::new().expect("a folder"));
    let spools = ["aac", "kept"].map(|name| folder.path().join(name));
    let mut recorders = [
        recorder(&redis, "recorder", &spools[0], &[]).await,
        recorder(&redis, "recorder-kept", &spools[1], &["--audio", "keep"]).await,
    ];
    let served = side_by_side(|film| film.serve(folder.path()));
    let mut sources: Vec<_> = (FILMS.iter().zip(&served))
        .map(|(film, camera)| {
            let flags = ["-u", &camera.url(""), "-sn", film.name, "--packet-topic", "units"];
            node(&redis, "msight_launch_rtsp", film.name, &flags)
        })
        .collect();
    until("each camera has its segments", async || {
        let count = |spool: &PathBuf, film: &Film| files(&spool.join(film.name), "mp4").len();
        spools.iter().all(|spool| FILMS.iter().all(|film| count(spool, film) >= SEGMENTS))
    })
    .await;
    for node in sources.iter_mut().chain(&mut recorders) {
        node.stop().await;
    }
    side_by_side(|film| spools.iter().for_each(|spool| check(film, &film.path(folder.path()), spool)));
}
