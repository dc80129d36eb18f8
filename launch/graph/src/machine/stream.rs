//! Compares the stream of a running RTSP server with that of the compose file, so that no graph records the camera of
//! another one.

use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use msight_compose::terminal::cell;
use msight_media::Sps;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The time limit for a description.
const PATIENCE: Duration = Duration::from_secs(2);

/// The maximum number of bytes read of a description.
const MAX_BYTES: usize = 64 * 1024;

/// Rates that differ by less are the same: files and cameras round them.
const SAME_RATE: f64 = 0.02;

/// The properties of a stream, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StreamProperties {
    /// The encoding name in RTP, such as `H264`.
    pub(super) codec: Option<String>,
    /// Width and height in pixels.
    pub(super) size: Option<(u32, u32)>,
    /// Frames per second.
    pub(super) rate: Option<f64>,
}

/// The answer of a server to the question for a stream.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Described {
    /// There is no stream at this path.
    NotFound,
    /// There is a stream.
    Stream(StreamProperties),
    /// The server tells nothing, for example without a password.
    Unknown,
}

impl StreamProperties {
    /// The test picture of `msight camera`.
    pub(super) fn of_test_picture() -> Self {
        Self { codec: Some("H264".to_owned()), size: Some((1280, 720)), rate: Some(10.0) }
    }

    /// The properties of an MP4 file with H.264; unknown ones of any other file.
    pub(super) fn of_file(path: &Path) -> Self {
        let read = || {
            let file = File::open(path).ok()?;
            let bytes = file.metadata().ok()?.len();
            let movie = mp4::Mp4Reader::read_header(BufReader::new(file), bytes).ok()?;
            let is_h264 = |track: &&mp4::Mp4Track| matches!(track.media_type(), Ok(mp4::MediaType::H264));
            let track = movie.tracks().values().find(is_h264)?;
            let sps = track.sequence_parameter_set().ok().and_then(|sps| Sps::parse(sps).ok());
            Some(Self {
                codec: Some("H264".to_owned()),
                size: sps.map(|sps| (sps.width, sps.height)),
                // `Mp4Track::frame_rate` divides integers: 29.97 would be 29.
                rate: Some(f64::from(track.sample_count()) / track.duration().as_secs_f64())
                    .filter(|rate| rate.is_finite() && *rate > 0.0),
            })
        };
        read().unwrap_or_default()
    }

    /// Reads the first video of a description in SDP (RFC 8866, RFC 6184 section 8.2).
    fn of_sdp(sdp: &str) -> Self {
        let mut lines = sdp.lines().map(str::trim).skip_while(|line| !line.starts_with("m=video "));
        let payload =
            lines.next().and_then(|media| media.split_ascii_whitespace().nth(3)).unwrap_or_default();
        let mut found = Self::default();
        for line in lines.take_while(|line| !line.starts_with("m=")) {
            let Some((name, value)) = line.strip_prefix("a=").and_then(|line| line.split_once(':')) else {
                continue;
            };
            let of_payload = value.strip_prefix(payload).and_then(|rest| rest.strip_prefix(' '));
            match (name, of_payload) {
                ("rtpmap", Some(map)) => {
                    found.codec = map.split('/').next().map(|codec| cell(codec).to_ascii_uppercase());
                }
                ("fmtp", Some(parameters)) => {
                    let mut parameters = parameters.split(';').filter_map(|one| one.trim().split_once('='));
                    let sets = parameters.find(|(name, _)| name.eq_ignore_ascii_case("sprop-parameter-sets"));
                    // The rate in a parameter set often differs from that of the camera.
                    found.size = sets.and_then(|(_, sets)| {
                        let sps = BASE64_STANDARD.decode(sets.split(',').next()?).ok()?;
                        Sps::parse(&sps).ok().map(|sps| (sps.width, sps.height))
                    });
                }
                ("framerate", _) => {
                    let rate = value.trim().parse().ok();
                    found.rate = rate.filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
                }
                _ => {}
            }
        }
        found
    }

    /// Whether nothing that is known of both differs.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        fn same<T>(one: Option<T>, other: Option<T>, is_same: impl FnOnce(T, T) -> bool) -> bool {
            one.zip(other).is_none_or(|(one, other)| is_same(one, other))
        }
        same(self.codec.as_ref(), other.codec.as_ref(), |one, other| one == other)
            && same(self.size, other.size, |one, other| one == other)
            && same(self.rate, other.rate, |one, other| (one / other - 1.0).abs() < SAME_RATE)
    }
}

impl fmt::Display for StreamProperties {
    /// What is known: `H264 1280x720 at 10 frames per second`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codec = self.codec.iter().cloned();
        let size = self.size.iter().map(|(width, height)| format!("{width}x{height}"));
        let rate =
            self.rate.iter().map(|rate| format!("at {} frames per second", (rate * 10.0).round() / 10.0));
        let known: Vec<String> = codec.chain(size).chain(rate).collect();
        f.write_str(if known.is_empty() { "another video" } else { "" })?;
        f.write_str(&known.join(" "))
    }
}

/// Asks the server at this address for the stream at a path (RFC 2326, section 10.2).
pub(super) async fn describe(address: SocketAddr, path: &str) -> Described {
    let path = path.trim_matches('/');
    let question = format!(
        "DESCRIBE rtsp://{address}/{path} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\nUser-Agent: msight\r\n\r\n"
    );
    let mut said = Vec::new();
    let conversation = async {
        let mut tcp = TcpStream::connect(address).await?;
        tcp.write_all(question.as_bytes()).await?;
        while said.len() < MAX_BYTES && !is_whole(&said) && tcp.read_buf(&mut said).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = timeout(PATIENCE, conversation).await;
    read(&String::from_utf8_lossy(&said))
}

/// Whether an answer is there with its body.
fn is_whole(said: &[u8]) -> bool {
    let text = String::from_utf8_lossy(said);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    body.len() >= length(head).unwrap_or(0)
}

fn length(head: &str) -> Option<usize> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-length"));
    lengths.next()?.1.trim().parse().ok()
}

fn read(said: &str) -> Described {
    let status = said.strip_prefix("RTSP/").and_then(|rest| rest.split_ascii_whitespace().nth(1));
    match (status, said.split_once("\r\n\r\n")) {
        (Some("200"), Some((_, body))) if body.contains("m=video ") => {
            Described::Stream(StreamProperties::of_sdp(body))
        }
        (Some("404"), _) => Described::NotFound,
        _ => Described::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use msight_camera::{Camera, CameraConfig};

    use super::*;

    /// The address and path of a camera.
    fn target(camera: &Camera) -> (SocketAddr, String) {
        let url = url::Url::parse(&camera.url()).expect("a URL");
        let address = url.socket_addrs(|| None).expect("an address")[0];
        (address, url.path().to_owned())
    }

    #[tokio::test]
    async fn the_test_picture_is_what_the_camera_shows_by_default() {
        let camera = Camera::start(CameraConfig::default()).await.expect("a camera");
        let (address, path) = target(&camera);
        assert_eq!(describe(address, &path).await, Described::Stream(StreamProperties::of_test_picture()));
        assert_eq!(describe(address, "/other").await, Described::NotFound);
    }

    #[tokio::test]
    async fn a_server_that_tells_nothing_is_unknown() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let answer = tokio::spawn(async move {
            for text in ["RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\n\r\n", "HTTP/1.0 404\r\n\r\n", ""] {
                let (mut client, _) = listener.accept().await.expect("a client");
                let _ = client.read(&mut [0; 1024]).await;
                client.write_all(text.as_bytes()).await.expect("it reads");
            }
        });
        for _ in 0..3 {
            assert_eq!(describe(address, "live").await, Described::Unknown);
        }
        answer.await.expect("it has answered");
    }

    #[test]
    fn only_what_both_know_can_differ() {
        let known = StreamProperties::of_test_picture();
        let table = [
            (StreamProperties::default(), true),
            (StreamProperties { rate: Some(9.99), ..known.clone() }, true),
            (StreamProperties { rate: Some(25.0), ..known.clone() }, false),
            (StreamProperties { size: Some((640, 360)), ..known.clone() }, false),
            (StreamProperties { codec: Some("H265".to_owned()), ..StreamProperties::default() }, false),
        ];
        for (other, agrees) in table {
            assert_eq!(known.agrees_with(&other), agrees, "{other}");
        }
    }

    #[test]
    fn descriptions_of_other_servers_are_read() {
        let sdp = "v=0\r\nm=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/44100\r\n\
                   m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=framerate:25\r\na=rtpmap:9 X/1\r\n\
                   m=application 0 RTP/AVP 98\r\na=framerate:1\r\n";
        let found = StreamProperties::of_sdp(sdp);
        assert_eq!(found.to_string(), "H265 at 25 frames per second");
        assert_eq!(StreamProperties::of_sdp("m=video"), StreamProperties::default());
        assert_eq!(StreamProperties::default().to_string(), "another video");
        let hostile = format!("m=video 0 RTP/AVP 96\r\na=rtpmap:96 {}\u{1b}/1\r\n", "x".repeat(9999));
        let codec = StreamProperties::of_sdp(&hostile).codec.expect("a codec");
        assert!(codec.chars().count() <= 120 && !codec.contains('\u{1b}'), "{codec}");
    }
}
