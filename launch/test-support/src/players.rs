//! Programs that play a file, and what they show of it: ffmpeg, GStreamer, and Chromium without a window.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use serde_json::{Value, json};

use crate::probe::decode;
use crate::required::{can_run, is_installed};

/// The longest time for Chromium to play a file.
const DEADLINE: Duration = Duration::from_secs(60);

/// The page that plays files.
const PAGE: &str = include_str!("players/page.html");

/// What a player shows of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shown {
    /// When it shows each picture, in seconds from the beginning of the file.
    pub pictures: Vec<f64>,
    /// Whether it plays sound.
    pub has_sound: bool,
}

impl Shown {
    /// Of lines such as `video 0.04` and `audio 0.02`, with a separator of any kind between kind and time.
    fn of_lines(command: &mut Command) -> Self {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        let mut shown = Self::default();
        for line in text.lines() {
            let mut fields = line.split([',', ' ']);
            match (fields.next(), fields.next().and_then(|time| time.parse().ok())) {
                (Some("video"), Some(time)) => shown.pictures.push(time),
                (Some("audio"), Some(_)) => shown.has_sound = true,
                (Some("video"), None) => panic!("{command:?}: {line}"),
                _ => {}
            }
        }
        shown
    }
}

/// What ffmpeg and ffprobe show of a file.
///
/// # Panics
/// ffmpeg reports anything.
pub fn ffmpeg(file: &Path) -> Shown {
    decode(file);
    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "error", "-show_entries", "frame=media_type,pts_time", "-of", "csv=p=0"]);
    Shown::of_lines(probe.arg(file))
}

/// What GStreamer shows of a file.
///
/// # Panics
/// GStreamer reports an error.
pub fn gstreamer(file: &Path) -> Shown {
    // The interpreter of the distribution has GStreamer's bindings.
    let mut player = Command::new("/usr/bin/python3");
    player.args(["-c", include_str!("players/gstreamer.py")]);
    Shown::of_lines(player.arg(file))
}

/// Chromium, which plays one file after another until this is dropped.
pub struct Chromium {
    process: Child,
    listener: TcpListener,
    _profile: tempfile::TempDir,
}

impl Chromium {
    /// `None` if it is not installed.
    #[track_caller]
    pub fn open() -> Option<Self> {
        if !can_run(is_installed("chromium", &["--version"]), "chromium (apt-get install chromium)") {
            return None;
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a listener that does not wait");
        let port = listener.local_addr().expect("its port").port();
        let profile = tempfile::tempdir().expect("a folder");
        let process = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("http://127.0.0.1:{port}/page.html"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Chromium starts");
        Some(Self { process, listener, _profile: profile })
    }

    /// What it shows of a file. It seeks to each of `times`, which lie each in another of the wanted pictures, and to what the
    /// file has behind the last one, and plays the end.
    ///
    /// # Errors
    /// It refuses the file: what it reports.
    pub fn play(&self, file: &Path, times: &[f64]) -> Result<Shown, String> {
        self.job(file, Some(times))
    }

    /// What it shows of a file that it plays from beginning to end, without seeking. On a busy machine it leaves out pictures.
    ///
    /// # Errors
    /// As for [`play`](Self::play).
    pub fn play_through(&self, file: &Path) -> Result<Shown, String> {
        self.job(file, None)
    }

    fn job(&self, file: &Path, times: Option<&[f64]>) -> Result<Shown, String> {
        let content = fs::read(file).expect("the file");
        let content_type = match file.extension().and_then(|extension| extension.to_str()) {
            Some("mkv") => "video/x-matroska",
            Some("ts") => "video/mp2t",
            _ => "video/mp4",
        };
        let job = json!({ "type": content_type, "times": times });
        let report = serve(&self.listener, job.to_string().as_bytes(), &content)
            .unwrap_or_else(|error| panic!("{}: Chromium: {error}", file.display()));
        let report: Value = serde_json::from_str(&report).expect("a report");
        if let Some(error) = report["error"].as_str() {
            return Err(error.to_owned());
        }
        let times = report["shown"].as_array().expect("a list").iter();
        Ok(Shown {
            pictures: times.map(|time| time.as_f64().expect("a time")).collect(),
            has_sound: report["sound"].as_bool().expect("a boolean"),
        })
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Checks rows that were measured against the table in the README of a crate, in the folder `of`. A cell of the table can say
/// why, as in `not played: no decoder`.
///
/// # Panics
/// The table does not have them.
pub fn check_table(of: &Path, rows: &[Vec<String>]) {
    let readme = fs::read_to_string(of.join("README.md")).expect("a README");
    let table: Vec<Vec<&str>> = readme
        .lines()
        .filter_map(|line| Some(line.trim_start().strip_prefix('|')?.split('|').map(str::trim).collect()))
        .collect();
    let agree = |said: &str, measured: &str| {
        said.strip_prefix(measured).is_some_and(|why| why.is_empty() || why.starts_with(": "))
    };
    // Without Chromium, its cell is missing.
    let has = |row: &Vec<String>| {
        table.iter().any(|line| {
            line.len() >= row.len() && line.iter().zip(row).all(|(said, measured)| agree(said, measured))
        })
    };
    let wrong: Vec<_> =
        rows.iter().filter(|row| !has(row)).map(|row| format!("| {} |", row.join(" | "))).collect();
    assert!(wrong.is_empty(), "the table of {} does not say:\n{}", of.display(), wrong.join("\n"));
}

/// Serves the page, what it is to do, and the file, until the page sends its report.
fn serve(listener: &TcpListener, job: &[u8], file: &[u8]) -> io::Result<String> {
    let until = Instant::now() + DEADLINE;
    while Instant::now() < until {
        match listener.accept() {
            Ok((connection, _)) => {
                connection.set_nonblocking(false)?;
                connection.set_read_timeout(Some(Duration::from_secs(1)))?;
                // A connection that the browser opens in advance and does not use ends with an error.
                if let Ok(Some(report)) = answer(&connection, job, file) {
                    return Ok(report);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("no report from the page"))
}

/// Answers one request. Returns the report, if it was one.
fn answer(mut connection: &TcpStream, job: &[u8], file: &[u8]) -> io::Result<Option<String>> {
    let mut reader = BufReader::new(connection);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, kind, content) = match first.split(' ').nth(1) {
        Some("/page.html") => ("200 OK", "text/html", PAGE.as_bytes()),
        Some("/next") => ("200 OK", "application/json", job),
        Some("/file") => ("200 OK", "application/octet-stream", file),
        Some("/report") => ("204 No Content", "text/plain", &[][..]),
        _ => ("404 Not Found", "text/plain", &[][..]),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        content.len()
    );
    connection.write_all(head.as_bytes())?;
    connection.write_all(content)?;
    Ok(first.starts_with("POST /report ").then(|| String::from_utf8_lossy(&body).into_owned()))
}
