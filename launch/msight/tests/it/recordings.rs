//! `msight inspect` and `msight repair` on files of ffmpeg, on disk and on servers.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use msight_media::SegmentMetadata;
use msight_test_support::tls;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

const MSIGHT: &str = env!("CARGO_BIN_EXE_msight");

fn msight(args: &[&str]) -> Output {
    Command::new(MSIGHT).args(args).stdin(Stdio::null()).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The JSON of `msight inspect`, and whether it exits with status 0.
fn inspected(source: &str) -> (Value, bool) {
    let output = msight(&["inspect", "--json", source]);
    let parsed = serde_json::from_slice(&output.stdout);
    (parsed.unwrap_or_else(|_| panic!("{source}: {}", text(&output.stderr))), output.status.success())
}

/// A folder with recordings of the same film: 60 frames of 20 a second with B-frames and sound.
struct Films(TempDir);

impl Films {
    fn new() -> Self {
        let films = Self(tempfile::tempdir().expect("a folder"));
        films.ffmpeg(
            "-f lavfi -i testsrc2=s=160x120:r=20 -f lavfi -i sine=r=48000 -t 3 -c:v libx264 -preset ultrafast \
             -bf 2 -g 10 -pix_fmt yuv420p -c:a aac first.mp4 -movflags faststart",
        );
        films.ffmpeg("-i first.mp4 -c copy -movflags faststart whole.mp4");
        films.ffmpeg("-i first.mp4 -c copy -movflags frag_keyframe+empty_moov+default_base_moof open.mp4");
        films
    }

    fn ffmpeg(&self, arguments: &str) {
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-y"])
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .expect("ffmpeg is installed (apt-get install ffmpeg)");
        assert!(output.status.success(), "{arguments}: {}", text(&output.stderr));
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("a path").to_owned()
    }

    /// Writes the first `part` of a file.
    fn cut(&self, name: &str, part: f64, cut: &str) -> String {
        let whole = fs::read(self.path(name)).expect("a file");
        fs::write(self.path(cut), &whole[..(whole.len() as f64 * part) as usize]).expect("a file");
        self.path(cut)
    }
}

/// Frames that ffmpeg shows of a file, in which it finds no fault.
fn shown(path: &str) -> usize {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i", path, "-map", "0:v", "-f", "framecrc", "-"])
        .output()
        .expect("ffmpeg is installed");
    assert!(output.status.success() && output.stderr.is_empty(), "{path}: {}", text(&output.stderr));
    text(&output.stdout).lines().filter(|line| !line.starts_with('#')).count()
}

#[test]
fn a_recording_is_shown_as_text_and_as_json() {
    let films = Films::new();
    let (whole, is_fine) = inspected(&films.path("whole.mp4"));
    assert!(is_fine, "{whole}");
    let bytes = fs::metadata(films.path("whole.mp4")).expect("a file").len();
    assert_eq!(
        (&whole["format"], &whole["bytes"], &whole["index_first"]),
        (&json!("mp4"), &json!(bytes), &json!(true))
    );
    let [video, audio] = &whole["tracks"].as_array().expect("tracks")[..] else { panic!("{whole}") };
    for (key, value) in [
        ("track_id", json!(1)),
        ("track_type", json!("video")),
        ("codec_name", json!("h264")),
        ("width", json!(160)),
        ("height", json!(120)),
        ("shown", json!(60)),
        ("hidden_before", json!(0)),
        ("key_frames", json!(6)),
        ("frame_rate", json!(20.0)),
        ("gap_count", json!(0)),
        ("start", json!(0.0)),
        ("end", json!(3.0)),
    ] {
        assert_eq!(video[key], value, "{key}: {video}");
    }
    assert_eq!(
        (&video["key_frame_distance"]["max"], &video["edits"][0]["type"]),
        (&json!(10.0), &json!("media"))
    );
    assert_eq!(
        (&audio["codec"], &audio["sample_rate"], &audio["channels"]),
        (&json!("mp4a.40.2"), &json!(48_000), &json!(1))
    );
    assert_eq!(inspected(&films.path("first.mp4")).0["tracks"][0]["shown"], 60);

    let output = msight(&["inspect", &films.path("whole.mp4")]);
    let said = text(&output.stdout);
    for part in
        ["index first", "avc1.", "h264", "160x120", "60, 20.000 a second", "every 10 frames", "mp4a.40.2"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let widths = said.lines().skip(1).map(|line| line.chars().count());
    assert!(widths.max() <= Some(80), "{said}");

    for (name, word) in [("missing.mp4", "No such file"), (".", "not a file")] {
        let output = msight(&["inspect", &films.path(name)]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(text(&output.stderr).contains(word), "{name}: {}", text(&output.stderr));
    }
}

/// The same film in other containers, without the frames of its third half second.
#[test]
fn other_containers_are_shown_as_well() {
    let films = Films::new();
    films.ffmpeg("-i whole.mp4 -c copy -bsf:v noise=drop=between(n\\,20\\,29) gap.mp4");
    films.ffmpeg("-i gap.mp4 -c copy -f mpegts film.ts");
    films.ffmpeg("-i gap.mp4 -c copy film.mkv");
    films.ffmpeg("-i gap.mp4 -c copy -f matroska -live 1 live.mkv");
    for (name, format, codec) in
        [("film.ts", "mpegts", "avc1."), ("film.mkv", "matroska", "avc1."), ("live.mkv", "matroska", "avc1.")]
    {
        let (report, is_fine) = inspected(&films.path(name));
        assert!(is_fine && report["format"] == format, "{report}");
        let [video, audio] = &report["tracks"].as_array().expect("tracks")[..] else { panic!("{report}") };
        for (key, value) in [
            ("track_type", json!("video")),
            ("codec_name", json!("h264")),
            ("width", json!(160)),
            ("height", json!(120)),
            ("samples", json!(50)),
            ("shown", json!(50)),
            ("key_frames", json!(5)),
            ("gap_count", json!(1)),
        ] {
            assert_eq!(video[key], value, "{name}, {key}: {video}");
        }
        assert!(video["codec"].as_str().is_some_and(|found| found.starts_with(codec)), "{video}");
        assert_eq!(
            (&audio["codec"], &audio["sample_rate"], &audio["channels"]),
            (&json!("mp4a.40.2"), &json!(48_000), &json!(1)),
            "{name}"
        );
        let gap = &video["gaps"][0];
        let near = |value: &Value, seconds: f64| (value.as_f64().expect("seconds") - seconds).abs() < 0.1;
        assert!(near(&gap["duration"], 0.55) && near(&video["end"], 3.0), "{report}");
        let rate = &video["frame_interval"]["median"];
        assert!(near(rate, 0.05) && near(&video["key_frame_distance"]["max"], 10.0), "{video}");
    }
    assert_eq!(inspected(&films.path("film.mkv")).0["index_first"], false);
    let said = text(&msight(&["inspect", &films.path("live.mkv")]).stdout);
    assert!(said.contains("Matroska") && said.contains("no index") && said.contains("160x120"), "{said}");

    for name in ["film.mkv", "film.ts"] {
        let cut = films.cut(name, 0.6, &format!("cut.{name}"));
        let (report, is_fine) = inspected(&cut);
        let fault = report["faults"][0].as_str().expect("a fault");
        assert!(!is_fine && fault.contains("cut off"), "{report}");
        let shown = report["tracks"][0]["shown"].as_u64().expect("frames");
        assert!((20..50).contains(&shown), "{report}");
        let said = text(&msight(&["repair", &cut]).stdout);
        assert!(said.contains("nothing to repair"), "{said}");
    }
}

/// A file that is still named as unfinished, while its recorder runs and after it has died.
#[test]
fn an_unfinished_recording_has_a_next_step() {
    let films = Films::new();
    let part = films.path("gate.mp4.part");
    fs::copy(films.path("open.mp4"), &part).expect("a file");
    let written = File::open(&part).expect("a file");
    written.lock().expect("locked");
    let (report, _) = inspected(&part);
    assert_eq!(
        (&report["open"], &report["unfinished"], report.get("next_step")),
        (&json!(true), &json!(false), None)
    );
    drop(written);
    let (report, is_fine) = inspected(&part);
    let step = report["next_step"].as_str().expect("a step");
    assert!(is_fine && report["unfinished"] == true, "{report}");
    assert!(step.contains("recorder") && step.contains(&format!("msight repair {part}")), "{step}");
    assert!(text(&msight(&["inspect", &part]).stdout).contains("unfinished"));

    assert!(msight(&["repair", "--in-place", &part]).status.success());
    let (report, _) = inspected(&part);
    assert_eq!((&report["unfinished"], report.get("next_step")), (&json!(false), None), "{report}");
    assert_eq!(report["unindexed_bytes"], 0, "the heads of its fragments do not count");
}

#[test]
fn a_sidecar_is_compared() {
    let films = Films::new();
    let video = fs::read(films.path("whole.mp4")).expect("a file");
    let hash = Sha256::digest(&video).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let check = |change: &dyn Fn(&mut Value)| {
        let times: Vec<f64> = (0..60).map(|frame| 1_700_000_000.0 + f64::from(frame) / 20.0).collect();
        let mut sidecar = json!({
            "sensor_name": "gate", "capture_timestamps": times, "frame_count": 60,
            "video_bytes": video.len(), "video_sha256": hash,
        });
        change(&mut sidecar);
        fs::write(films.path("whole.json"), sidecar.to_string()).expect("a file");
        let (report, is_fine) = inspected(&films.path("whole.mp4"));
        let fields = report["sidecar"]["disagreements"].as_array().expect("a list").iter();
        let fields: Vec<_> = fields.map(|one| one["field"].as_str().expect("a name").to_owned()).collect();
        assert_eq!(report["sidecar"]["agrees"], fields.is_empty());
        (fields.join(" "), is_fine)
    };
    assert_eq!(check(&|_| {}), (String::new(), true));
    assert_eq!(check(&|sidecar| sidecar["video_bytes"] = json!(7)), ("video_bytes".into(), false));
    assert_eq!(check(&|sidecar| sidecar["video_sha256"] = json!("00")), ("video_sha256".into(), false));
    let is_shorter = |sidecar: &mut Value| {
        sidecar["capture_timestamps"].as_array_mut().expect("times").pop();
        sidecar["frame_count"] = json!(59);
    };
    assert_eq!(check(&is_shorter), ("frames".into(), false));
    // As with `--timing constant`.
    assert_eq!(
        check(&|sidecar| sidecar["capture_timestamps"][59] = json!(1_700_000_009.0)),
        ("duration".into(), true)
    );
    assert_eq!(check(&|sidecar| *sidecar = json!([])), ("sidecar".into(), false));

    // As with a source that follows the camera's clock.
    let mut film = File::options().append(true).open(films.path("whole.mp4")).expect("a file");
    let mut metadata = Vec::new();
    SegmentMetadata { ending: "full".into(), copied: true, ..Default::default() }.append_to(&mut metadata);
    film.write_all(&metadata).expect("written");
    let adjusted = |sidecar: &mut Value| {
        *sidecar = json!({ "capture_timestamps": (0..60).map(|frame| f64::from(frame) * 0.048).collect::<Vec<_>>() });
    };
    assert_eq!(check(&adjusted), (String::new(), true));
    let said = text(&msight(&["inspect", &films.path("whole.mp4")]).stdout);
    assert!(said.contains("adjusted by -0.118 s") && said.contains("agrees"), "{said}");
    let is_slower = |sidecar: &mut Value| {
        *sidecar =
            json!({ "capture_timestamps": (0..60).map(|frame| f64::from(frame) * 0.06).collect::<Vec<_>>() });
    };
    assert_eq!(check(&is_slower), ("duration".into(), true));
}

#[test]
fn an_unfinished_recording_is_repaired() {
    let films = Films::new();
    let mut last = 0;
    for part in [0.4, 0.6, 0.75, 0.9] {
        for name in ["open.mp4", "whole.mp4"] {
            let cut = films.cut(name, part, "cut.mp4.part");
            let (damaged, is_fine) = inspected(&cut);
            assert!(
                !is_fine && damaged["next_step"].as_str().is_some_and(|step| step.contains("msight repair")),
                "{damaged}"
            );
            let original = fs::read(&cut).expect("a file");
            let output = msight(&["repair", &cut]);
            assert!(output.status.success(), "{}", text(&output.stderr));
            let said = text(&output.stdout);
            assert!(said.contains("kept") && said.contains("lost"), "{said}");
            assert_eq!(fs::read(&cut).expect("a file"), original, "it is as before");

            let out = films.path("cut.repaired.mp4");
            let (repaired, is_fine) = inspected(&out);
            assert!(
                is_fine && repaired["index_first"] == true && repaired["fragmented"] == false,
                "{repaired}"
            );
            let frames = repaired["tracks"][0]["shown"].as_u64().expect("a number");
            assert_eq!(shown(&out) as u64, frames);
            assert!(frames > 0 && (name != "open.mp4" || frames >= last), "{frames} of {part}");
            if name == "open.mp4" {
                last = frames;
            }
            let again = msight(&["repair", &cut]);
            assert_eq!(again.status.code(), Some(1), "{out} exists");
            fs::remove_file(out).expect("removed");
        }
    }
    assert!(last >= 40, "{last}");

    let cut = films.cut("open.mp4", 0.8, "cut.mp4");
    assert!(msight(&["repair", "--in-place", &cut]).status.success());
    assert!(shown(&cut) >= 40 && inspected(&cut).1);
    let output = msight(&["repair", &cut]);
    assert!(output.status.success() && text(&output.stdout).contains("nothing to repair"), "{output:?}");
}

#[test]
fn what_cannot_be_repaired_is_named() {
    let films = Films::new();
    films.ffmpeg("-i whole.mp4 -c copy last.mp4");
    let refused = |path: &str, word: &str| {
        let output = msight(&["repair", path]);
        assert_eq!(output.status.code(), Some(1), "{path}");
        assert!(text(&output.stderr).contains(word), "{path}: {}", text(&output.stderr));
    };
    refused(&films.cut("last.mp4", 0.7, "killed.mp4"), "no index");
    refused(&films.cut("open.mp4", 0.05, "early.mp4"), "no whole fragment");
    let movie = fs::read(films.path("whole.mp4")).expect("a file");
    let data = movie.windows(4).position(|kind| kind == b"mdat").expect("samples") as f64;
    let empty = films.cut("whole.mp4", (data + 8.0) / movie.len() as f64, "empty.mp4");
    refused(&empty, "no whole sample");
    for hopeless in [empty, films.path("early.mp4")] {
        let (report, _) = inspected(&hopeless);
        let step = report["next_step"].as_str().expect("a step");
        assert!(step.contains("nothing can be kept") && !step.contains("msight repair"), "{step}");
    }
    refused(&films.path("missing.mp4"), "No such file");
    let open = films.path("open.mp4");
    let written = File::open(&open).expect("a file");
    written.lock().expect("locked");
    refused(&open, "still writes it");
    films.cut("open.mp4", 0.6, "copy.mp4");
    fs::copy(films.path("copy.mp4"), &open).expect("a file");
    let (report, is_fine) = inspected(&open);
    assert!(is_fine && report["open"] == true && report["faults"] == json!([]), "{report}");
    written.unlock().expect("unlocked");
    assert!(msight(&["repair", &open]).status.success());
}

/// A server with the files of a folder, which counts the bytes that it sends.
struct Server {
    port: u16,
    sent: Arc<AtomicU64>,
}

impl Server {
    fn new(folder: PathBuf, has_ranges: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (folder, counter) = (folder.clone(), Arc::clone(&counter));
                thread::spawn(move || answer(client, &folder, has_ranges, &counter));
            }
        });
        Self { port, sent }
    }

    fn url(&self, name: &str) -> String {
        format!("http://me:hunter2@127.0.0.1:{}/{name}", self.port)
    }
}

/// Answers the requests of a connection.
fn answer(client: TcpStream, folder: &Path, has_ranges: bool, sent: &AtomicU64) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut client = client;
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head).ok()? == 0 {
                return None;
            }
        }
        let head = text(&head);
        let name = head.split(' ').nth(1)?.trim_start_matches('/').split('?').next()?;
        let range = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
        let content = match name.strip_prefix("moved/") {
            Some(name) => {
                write!(client, "HTTP/1.1 302 Found\r\nLocation: /{name}\r\nContent-Length: 0\r\n\r\n")
                    .ok()?;
                continue;
            }
            None => File::open(folder.join(name)),
        };
        let Ok(mut content) = content else {
            write!(client, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").ok()?;
            continue;
        };
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).ok()?;
        let (head, part) = match range.filter(|_| has_ranges) {
            Some(range) => {
                let (first, last) = range.split_once('-')?;
                let first: usize = first.parse().ok()?;
                let end = (last.trim().parse::<usize>().ok()? + 1).min(bytes.len());
                let range = format!("Content-Range: bytes {first}-{}/{}\r\n", end - 1, bytes.len());
                (format!("206 Partial Content\r\n{range}"), &bytes[first..end])
            }
            None => ("200 OK\r\n".to_owned(), &bytes[..]),
        };
        sent.fetch_add(part.len() as u64, Ordering::Relaxed);
        write!(client, "HTTP/1.1 {head}Content-Length: {}\r\n\r\n", part.len()).ok()?;
        client.write_all(part).ok()?;
    }
}

#[test]
fn a_recording_on_a_server_is_shown_without_its_samples() {
    let films = Films::new();
    films.ffmpeg(
        "-f lavfi -i testsrc2=s=1280x720:r=20 -t 20 -c:v libx264 -preset ultrafast -qp 10 -g 20 last.mp4",
    );
    films.ffmpeg("-i last.mp4 -c copy -movflags faststart begin.mp4");
    fs::write(films.path("begin.json"), r#"{"sensor_name": "gate", "video_bytes": 7}"#).expect("a file");
    let length = fs::metadata(films.path("last.mp4")).expect("a file").len();
    let server = Server::new(films.0.path().to_owned(), true);
    for name in ["last.mp4", "begin.mp4?signature=hunter2", "moved/last.mp4"] {
        let before = server.sent.load(Ordering::Relaxed);
        let (report, is_fine) = inspected(&server.url(name));
        assert_eq!(
            (&report["tracks"][0]["shown"], &report["bytes"]),
            (&json!(400), &json!(length)),
            "{report}"
        );
        assert!(is_fine && !report.to_string().contains("hunter2"), "{report}");
        let fetched = server.sent.load(Ordering::Relaxed) - before;
        assert!(fetched < length / 4, "{name}: {fetched} of {length} bytes");
    }
    let (report, is_fine) = inspected(&server.url("begin.mp4"));
    assert!(!is_fine && report["sidecar"]["disagreements"][0]["field"] == "video_bytes", "{report}");
    let whole = Server::new(films.0.path().to_owned(), false);
    assert_eq!(inspected(&whole.url("last.mp4")).0["tracks"][0]["shown"], 400);
    for (url, word) in [
        (server.url("missing.mp4"), "404"),
        ("http://127.0.0.1:1/a.mp4".to_owned(), "127.0.0.1:1"),
        ("s3://bucket/key.mp4".to_owned(), "presign"),
    ] {
        let output = msight(&["inspect", &url]);
        let said = text(&output.stderr);
        assert!(
            output.status.code() == Some(1) && said.contains(word) && !said.contains("hunter2"),
            "{said}"
        );
    }
}

/// Serves the files of its folder over TLS, and prints its port.
const HTTPS: &str = r#"
import http.server, ssl, sys
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(sys.argv[1] + "/server.pem", sys.argv[1] + "/server.key")
server.socket = tls.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

#[test]
fn a_server_with_a_certificate_of_its_own_authority_is_trusted_when_told() {
    let (films, certificates) = (Films::new(), tls::certificates());
    let mut server = Command::new("python3")
        .args(["-c", HTTPS])
        .arg(certificates.path())
        .current_dir(films.0.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("python3 is installed");
    let mut port = String::new();
    BufReader::new(server.stdout.take().expect("its output")).read_line(&mut port).expect("its port");
    let url = format!("https://127.0.0.1:{}/whole.mp4", port.trim());
    let inspect = |authority: &str| {
        let mut msight = Command::new(MSIGHT);
        msight.args(["inspect", &url]).env("SSL_CERT_FILE", certificates.path().join(authority));
        msight.output().expect("it runs")
    };
    let (refused, trusted) = (inspect("other.pem"), inspect("ca.pem"));
    server.kill().and_then(|()| server.wait()).expect("it ends");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("SSL_CERT_FILE"), "{}", text(&refused.stderr));
    assert!(trusted.status.success(), "{}", text(&trusted.stderr));
    assert!(text(&trusted.stdout).contains("60, 20.000 a second"), "{}", text(&trusted.stdout));
}
