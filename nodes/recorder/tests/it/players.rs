//! What players show of segments, whole ones and recovered ones: the table of the README, row by row.

use std::path::{Path, PathBuf};

use msight_bus::Bus;
use msight_proto::{AccessUnitData, Sample};
use msight_test_support::players::{self, Chromium, Shown};
use msight_test_support::probe::packets;
use msight_test_support::redis::RedisServer;
use msight_test_support::{Program, until};

use crate::recovery::{find, is_ready, publish, recorder};
use crate::segments::{H264, H265};
use crate::stream::{Recipe, units};

/// A sensor, what its streams are called in the table, and what they have.
const SENSORS: &[(&str, &str, Recipe)] = &[
    ("h264", "H.264", Recipe { video: H264_WITHOUT, audio: "", seconds: 7 }),
    ("h264b", "H.264 with B-frames", Recipe { video: H264, audio: "", seconds: 7 }),
    ("h265", "H.265 with B-frames", Recipe { video: H265, audio: "", seconds: 7 }),
    ("mjpeg", "MJPEG", Recipe { video: MJPEG, audio: "", seconds: 7 }),
    ("h264_aac", "H.264, AAC", Recipe { video: H264, audio: "-c:a aac", seconds: 7 }),
    ("h264_opus", "H.264, Opus", Recipe { video: H264, audio: "-c:a libopus", seconds: 7 }),
    ("h264_g711", "H.264, G.711", Recipe { video: H264, audio: G711, seconds: 7 }),
    ("aac", "AAC", Recipe { video: "", audio: "-c:a aac", seconds: 7 }),
    ("opus", "Opus", Recipe { video: "", audio: "-c:a libopus", seconds: 7 }),
];
const H264_WITHOUT: &str = "-c:v libx264 -preset ultrafast -bf 0 -g 12 -keyint_min 12 -sc_threshold 0";
const MJPEG: &str = "-c:v mjpeg -q:v 5 -pix_fmt yuvj420p";
const G711: &str = "-c:a pcm_mulaw -ar 8000 -ac 1";

/// What a recorder writes, as it is called in the table, and the sensors that it is for.
struct Kind {
    container: &'static str,
    flags: &'static [&'static str],
    sensors: &'static [&'static str],
    note: &'static str,
}

const KINDS: &[Kind] = &[
    Kind {
        container: "mp4",
        flags: &[],
        sensors: &["h264", "h264b", "h265", "mjpeg", "h264_aac", "h264_opus", "h264_g711", "aac", "opus"],
        note: "",
    },
    Kind { container: "mp4", flags: &["--audio=keep"], sensors: &["h264_g711"], note: ", kept" },
    Kind {
        container: "ts",
        flags: &[],
        sensors: &["h264", "h264b", "h265", "h264_aac", "h264_opus", "h264_g711", "aac", "opus"],
        note: "",
    },
    Kind {
        container: "mkv",
        flags: &[],
        sensors: &["h264", "h264b", "h265", "mjpeg", "h264_aac", "h264_opus", "h264_g711", "aac", "opus"],
        note: "",
    },
    Kind { container: "mkv", flags: &["--audio=keep"], sensors: &["h264_g711"], note: ", kept" },
];

/// A recorder of a kind.
struct Recording {
    kind: &'static Kind,
    folder: tempfile::TempDir,
    node: Program,
}

impl Recording {
    fn start(redis: &RedisServer, kind: &'static Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = Self::node(redis, kind, folder.path());
        Self { kind, folder, node }
    }

    fn node(redis: &RedisServer, kind: &Kind, folder: &Path) -> Program {
        let container = format!("--container={}", kind.container);
        let flags = [
            &["--segment-duration=2", "--fragment-duration=0.5", "--idle-timeout=60", &container],
            kind.flags,
        ]
        .concat();
        recorder(redis, &format!("recorder-{}{}", kind.container, kind.flags.concat()), folder, &flags)
    }

    /// Waits until each sensor has a whole segment, and an open one with fragments of all of its tracks.
    async fn is_under_way(&self) {
        let folder = self.folder.path();
        for sensor in self.kind.sensors {
            let (_, _, recipe) = SENSORS.iter().find(|(name, ..)| name == sensor).unwrap();
            let has_tracks = |path: &PathBuf| {
                let (streams, found) = packets(path);
                let has = |is_video: bool| {
                    found.iter().any(|packet| streams[packet.stream as usize].size.is_some() == is_video)
                };
                (has(true), has(false)) == (!recipe.video.is_empty(), !recipe.audio.is_empty())
            };
            // More than a file has before its first fragment.
            let is_begun = |path: &PathBuf| path.metadata().is_ok_and(|metadata| metadata.len() > 2000);
            until(&format!("{sensor} is recorded"), async || {
                !of_sensor(folder, sensor, self.kind.container).is_empty()
                    && of_sensor(folder, sensor, ".part")
                        .iter()
                        .any(|path| is_begun(path) && has_tracks(path))
            })
            .await;
        }
    }
}

/// The files of a sensor whose names end like this.
fn of_sensor(folder: &Path, sensor: &str, end: &str) -> Vec<PathBuf> {
    let folder = folder.join(sensor);
    if folder.exists() { find(&folder, end) } else { Vec::new() }
}

/// A row of the table, without the column of Chromium if it is not installed.
fn row(kind: &Kind, folder: &Path, sensor: &str, chromium: Option<&Chromium>) -> Vec<String> {
    let (_, name, recipe) = SENSORS.iter().find(|(name, ..)| *name == sensor).unwrap();
    let files = of_sensor(folder, sensor, kind.container);
    assert!(files.len() > 1, "{files:?}");
    // The last one is the one that was open.
    let both = [&files[0], files.last().unwrap()];
    assert_eq!(!middles(both[1]).is_empty(), !recipe.video.is_empty(), "{}", both[1].display());
    let has_sound = !recipe.audio.is_empty();
    let [whole, recovered] = both.map(|file| (file.as_path(), middles(file)));
    let mut cells = vec![format!("`{}`", kind.container), format!("{name}{}", kind.note)];
    for player in [players::ffmpeg, players::gstreamer] {
        let cell = |(file, wanted): &(&Path, Vec<f64>)| cell(Ok(player(file)), wanted, has_sound);
        cells.push(both_cells(cell(&whole), &cell(&recovered)));
    }
    if let Some(chromium) = chromium {
        let seeking =
            |(file, wanted): &(&Path, Vec<f64>)| cell(chromium.play(file, wanted), wanted, has_sound);
        let first = seeking(&whole);
        let second = match kind.container {
            // Without an index, it cannot seek.
            "mkv" => through(chromium.play_through(recovered.0), &recovered.1, has_sound),
            _ => seeking(&recovered),
        };
        cells.push(both_cells(first, &second));
    }
    cells
}

/// A cell of the table: what is shown of a whole segment and of a recovered one.
fn both_cells(whole: String, recovered: &str) -> String {
    if whole == recovered { whole } else { format!("{whole}; recovered: {recovered}") }
}

/// What a player shows of a file with these pictures.
fn cell(played: Result<Shown, String>, wanted: &[f64], has_sound: bool) -> String {
    let Ok(shown) = played else { return "not played".to_owned() };
    let count = shown.pictures.len();
    assert!(shown.pictures.is_sorted_by(|one, other| one < other), "{shown:?}");
    let pictures = match (count, wanted.len()) {
        (0, 0) => None,
        (count, wanted) if count == wanted => Some("all frames".to_owned()),
        (count, wanted) => Some(format!("{count} of {wanted} frames")),
    };
    with_sound(pictures, &shown, has_sound)
}

/// The same for a file that is played from beginning to end, which leaves out pictures on a busy machine.
fn through(played: Result<Shown, String>, wanted: &[f64], has_sound: bool) -> String {
    let Ok(shown) = played else { return "not played".to_owned() };
    let is_last =
        |last: &f64| shown.pictures.last().is_some_and(|shown| (shown + MIDDLE - last).abs() < MIDDLE);
    let pictures =
        wanted.last().map(|last| if is_last(last) { "played to the end" } else { "not to the end" });
    with_sound(pictures.map(str::to_owned), &shown, has_sound)
}

fn with_sound(pictures: Option<String>, shown: &Shown, has_sound: bool) -> String {
    assert!(!shown.has_sound || has_sound, "sound of nothing: {shown:?}");
    let sound = has_sound.then(|| if shown.has_sound { "sound" } else { "no sound" }.to_owned());
    pictures.into_iter().chain(sound).collect::<Vec<_>>().join(", ")
}

/// Half of the time between two pictures, in seconds.
const MIDDLE: f64 = 0.02;

/// A moment within each picture of a file, in seconds from its first one.
fn middles(file: &Path) -> Vec<f64> {
    let (streams, packets) = packets(file);
    let Some(at) = streams.iter().position(|stream| stream.size.is_some()) else { return Vec::new() };
    let rate = f64::from(streams[at].rate);
    let pictures = packets.iter().filter(|packet| packet.stream == at as u64);
    let mut times: Vec<f64> = pictures.map(|packet| packet.pts as f64 / rate).collect();
    times.sort_by(f64::total_cmp);
    times.iter().map(|time| time - times[0] + MIDDLE).collect()
}

/// Publishes the units of all sensors side by side.
async fn publish_all(bus: &dyn Bus) {
    let mut all: Vec<(f64, Sample<AccessUnitData>)> = Vec::new();
    for (sensor, _, recipe) in SENSORS {
        let units = units(sensor, "a", *recipe);
        let count = units.len() as f64;
        all.extend(units.into_iter().enumerate().map(|(number, unit)| (number as f64 / count, unit)));
    }
    all.sort_by(|one, other| one.0.total_cmp(&other.0));
    for (_, unit) in &all {
        assert!(publish(bus, unit).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn players_show_what_the_readme_says() {
    let redis = RedisServer::start(&[]);
    let bus = redis.bus().await;
    let mut recordings: Vec<_> = KINDS.iter().map(|kind| Recording::start(&redis, kind)).collect();
    for recording in &mut recordings {
        recording.node.serves_metrics().await;
        until("it is ready", async || is_ready(&recording.node)).await;
    }
    publish_all(&*bus).await;
    for recording in &mut recordings {
        recording.is_under_way().await;
        recording.node.signal("-KILL");
        recording.node.ended().await;
    }
    for recording in &mut recordings {
        recording.node = Recording::node(&redis, recording.kind, recording.folder.path());
        until("all is recovered", async || find(recording.folder.path(), ".part").is_empty()).await;
        recording.node.stop().await;
    }
    let folders: Vec<_> =
        recordings.iter().map(|recording| (recording.kind, recording.folder.path())).collect();
    let rows = tokio::task::block_in_place(|| {
        let rows = |kind: &Kind, folder: &Path| -> Vec<_> {
            let chromium = Chromium::open();
            kind.sensors.iter().map(|sensor| row(kind, folder, sensor, chromium.as_ref())).collect()
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                folders.iter().map(|(kind, folder)| scope.spawn(|| rows(kind, folder))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        })
    });
    players::check_table(Path::new(env!("CARGO_MANIFEST_DIR")), &rows);
}
