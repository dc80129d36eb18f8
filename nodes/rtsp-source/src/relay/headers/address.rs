//! The address of a track (RFC 2326, section C.1.1), as FFmpeg, live555 and GStreamer resolve it.

use url::{Position, Url};

/// The address for requests of a track, or of all tracks if `track_control` is `None`.
///
/// - `user`: the URL that the user gave. Its host and port always apply: cameras behind a translating router, and those
///   with several addresses, name hosts that cannot be reached.
/// - `content_base`: the header `Content-Base`, or else `Content-Location`.
/// - `session_control` and `track_control`: the `a=control` attributes.
///
/// A relative control is appended to the base, query and all, where RFC 3986 would replace the last segment: cameras
/// expect that, because FFmpeg and live555 do it.
pub(crate) fn resolve(
    user: &Url,
    content_base: Option<&str>,
    session_control: Option<&str>,
    track_control: Option<&str>,
) -> Url {
    let own = &user[Position::BeforePath..];
    let base = session_control.and_then(path_of).or_else(|| content_base.and_then(path_of)).unwrap_or(own);
    let track_control = track_control.map(str::trim).filter(|control| !matches!(*control, "" | "*"));
    let path = match track_control {
        None => base.to_owned(),
        Some(control) => match path_of(control) {
            Some(path) => path.to_owned(),
            None => format!("{}/{}", base.strip_suffix('/').unwrap_or(base), control.trim_start_matches('/')),
        },
    };
    let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
    Url::parse(&format!("{}{slash}{path}", &user[..Position::BeforePath])).unwrap_or_else(|_| user.clone())
}

/// Path and query of an absolute URL of any scheme.
fn path_of(text: &str) -> Option<&str> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '"');
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let path = rest.find(['/', '?']).unwrap_or(rest.len());
    is_scheme.then_some(&rest[path..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_resolved_as_ffmpeg_and_live555_do() {
        // User's URL, Content-Base, control of the session, control of the track, address.
        let table = [
            ("rtsp://h/cam", "", "", "trackID=1", "rtsp://h/cam/trackID=1"),
            ("rtsp://h/cam/", "", "*", " trackID=1 ", "rtsp://h/cam/trackID=1"),
            ("rtsp://h/cam", "rtsp://h/cam/", "*", "trackID=1", "rtsp://h/cam/trackID=1"),
            ("rtsp://h/cam", "rtsp://h/cam", "*", "/trackID=1", "rtsp://h/cam/trackID=1"),
            ("rtsp://h", "", "", "track1", "rtsp://h/track1"),
            ("rtsp://h/a/b", "rtsp://h/a/b", "", "c", "rtsp://h/a/b/c"),
            // A query stays.
            ("rtsp://h/cam?channel=1", "", "", "trackID=1", "rtsp://h/cam?channel=1/trackID=1"),
            (
                "rtsp://h/c?n=1",
                "rtsp://h/c?n=1&proto=Onvif/",
                "*",
                "trackID=4",
                "rtsp://h/c?n=1&proto=Onvif/trackID=4",
            ),
            ("rtsp://h/c?n=1", "", "", "rtsp://h/c/t?n=1", "rtsp://h/c/t?n=1"),
            // Host and port are the user's.
            ("rtsp://h:8554/cam", "rtsp://192.0.2.1:554/live/", "", "t", "rtsp://h:8554/live/t"),
            ("rtsp://h:8554/cam", "", "rtsp://192.0.2.1/live", "t", "rtsp://h:8554/live/t"),
            ("rtsp://h:8554/cam", "rtsp://h/x", "", "rtsp://u:p@192.0.2.1/live/t", "rtsp://h:8554/live/t"),
            ("rtsp://h/cam", "\"rtsp://192.0.2.1/live/\"", "", "t", "rtsp://h/live/t"),
            ("rtsp://h/cam", "", "", "http://192.0.2.1/live/t", "rtsp://h/live/t"),
            ("rtsp://h/cam", "", "", "RTSP://[fd00::1]:554/live/t", "rtsp://h/live/t"),
            ("rtsp://[fd00::1]:8554/cam", "", "", "t", "rtsp://[fd00::1]:8554/cam/t"),
            ("rtsp://h/cam", "rtsp://192.0.2.1", "", "t", "rtsp://h/t"),
            ("rtsp://h/cam", "", "", "rtsp://192.0.2.1?t=1", "rtsp://h/?t=1"),
            // No address of its own.
            ("rtsp://h/cam", "rtsp://h/live/", "", "", "rtsp://h/live/"),
            ("rtsp://h/cam", "", "*", "*", "rtsp://h/cam"),
            // What is no URL is ignored.
            ("rtsp://h/cam", "192.0.2.1:554/live", "", "t", "rtsp://h/cam/t"),
            ("rtsp://h/cam", " ", "live", "t", "rtsp://h/cam/t"),
            ("rtsp://h/cam", "://", "?://x/y", "a b", "rtsp://h/cam/a%20b"),
        ];
        let stated = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        for (user, content_base, session, track, wanted) in table {
            let user = Url::parse(user).unwrap();
            let address = resolve(&user, stated(content_base), stated(session), stated(track));
            assert_eq!(address.as_str(), wanted, "{user} {content_base:?} {session:?} {track:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn host_and_port_are_always_those_of_the_user(
            content_base in "(rtsp://)?[ -~]{0,20}",
            session in "(rtsp://)?[ -~]{0,20}",
            track in "(rtsp://)?\\PC{0,20}",
        ) {
            let user = Url::parse("rtsp://camera.example:8554/live?x=1").unwrap();
            let address = resolve(&user, Some(&content_base), Some(&session), Some(&track));
            proptest::prop_assert_eq!(&address[..Position::BeforePath], &user[..Position::BeforePath]);
        }
    }
}
