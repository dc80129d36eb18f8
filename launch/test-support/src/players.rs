//! Programs that play a file, and which pictures they show: ffmpeg, GStreamer, and Chromium without a window.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use crate::probe::decode;
use crate::required::{can_run, is_installed};

/// The longest time for Chromium to play a file.
const DEADLINE: Duration = Duration::from_secs(60);

/// The page that plays a file.
const PAGE: &str = include_str!("players/page.html");

/// When ffmpeg shows the pictures of a file, in seconds from its beginning. Anything that it reports is an error.
pub fn ffmpeg(file: &Path) -> Vec<f64> {
    decode(file);
    let mut probe = Command::new("ffprobe");
    probe.args([
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-show_entries",
        "frame=pts_time",
        "-of",
        "csv=p=0",
    ]);
    times(probe.arg(file))
}

/// When GStreamer shows the pictures of a file, in seconds from its beginning.
pub fn gstreamer(file: &Path) -> Vec<f64> {
    // The interpreter of the distribution has GStreamer's bindings.
    let mut player = Command::new("/usr/bin/python3");
    player.args(["-c", include_str!("players/gstreamer.py")]);
    times(player.arg(file))
}

/// The numbers that a program prints, a line each.
fn times(command: &mut Command) -> Vec<f64> {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let number =
        |line: &str| line.trim_end_matches(',').parse().unwrap_or_else(|_| panic!("{command:?}: {text}"));
    text.lines().filter(|line| !line.is_empty()).map(number).collect()
}

/// When Chromium shows the pictures of a file, in seconds from its beginning: the first one, and then those that it shows at
/// each of `times` but the first, to which it seeks. It plays the end of the file, too. `None` if it is not installed.
///
/// # Panics
/// Chromium refuses the file.
#[track_caller]
pub fn chromium(file: &Path, content_type: &str, times: &[f64]) -> Option<Vec<f64>> {
    if !can_run(is_installed("chromium", &["--version"]), "chromium (apt-get install chromium)") {
        return None;
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("its port").port();
    let video = fs::read(file).expect("the file");
    let browser =
        Browser::open(&format!("http://127.0.0.1:{port}/page.html#{}", fragment(content_type, times)));
    let report =
        serve(&listener, &video).unwrap_or_else(|error| panic!("{}: Chromium: {error}", file.display()));
    drop(browser);
    let shown = report.split_once("\"shown\":[").and_then(|(_, rest)| rest.split_once(']'));
    let (shown, _) = shown.unwrap_or_else(|| panic!("{}: Chromium: {report}", file.display()));
    Some(shown.split(',').map(|time| time.parse().expect("a time")).collect())
}

/// What the page reads behind the `#` of its address.
fn fragment(content_type: &str, times: &[f64]) -> String {
    let escaped: String =
        format!("{{\"type\":\"{content_type}\",\"times\":{times:?}}}")
            .bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect();
    escaped
}

/// Chromium with a profile of its own, until this is dropped.
struct Browser {
    process: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    fn open(address: &str) -> Self {
        let profile = tempfile::tempdir().expect("a folder");
        let process = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Chromium starts");
        Self { process, _profile: profile }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Serves the page and the video until the page sends its report.
fn serve(listener: &TcpListener, video: &[u8]) -> io::Result<String> {
    listener.set_nonblocking(true)?;
    let until = Instant::now() + DEADLINE;
    while Instant::now() < until {
        match listener.accept() {
            Ok((connection, _)) => {
                connection.set_nonblocking(false)?;
                connection.set_read_timeout(Some(Duration::from_secs(5)))?;
                // A connection that the browser opens in advance and does not use ends with an error.
                if let Ok(Some(report)) = answer(&connection, video) {
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
fn answer(mut connection: &TcpStream, video: &[u8]) -> io::Result<Option<String>> {
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
        Some("/file") => ("200 OK", "application/octet-stream", video),
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
