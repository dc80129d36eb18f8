//! The camera's URL. Its printed form has no secrets.

use std::fmt;

use percent_encoding::percent_decode_str;
use thiserror::Error;
use url::Url;

/// Maximum length of a text from a camera, in characters; a longer one is cut.
const MAX_TEXT: usize = 300;

/// The text that replaces a secret.
const HIDDEN: &str = "***";

/// Why a text is not a camera's URL. No variant contains the text itself, which may hold a password.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum UrlError {
    /// Not a URL.
    #[error(
        "the camera's URL cannot be read ({0}); it has the form rtsp://[user:password@]host[:port]/path, \
         where the characters @ : / ? # % in a user name or password are percent-encoded (%40 %3A %2F %3F %23 %25)"
    )]
    Syntax(url::ParseError),
    /// No scheme, as in `camera:554/live`.
    #[error(
        "the camera's URL lacks rtsp:// at its beginning; it has the form rtsp://[user:password@]host[:port]/path"
    )]
    NoScheme,
    /// Another scheme.
    #[error("the scheme {0}:// is not supported; the camera's URL starts with rtsp:// or rtsps://")]
    Scheme(String),
    /// An `@` after the host: the password seems to hold an unencoded character.
    #[error(
        "the camera's URL has an @ behind its host, so its password seems to hold an @, /, ? or #; write them as \
         %40, %2F, %3F and %23"
    )]
    Unencoded,
    /// No host.
    #[error("the camera's URL names no host; it has the form rtsp://[user:password@]host[:port]/path")]
    NoHost,
    /// Credentials that cannot be sent in an RTSP header.
    #[error(
        "the {0} contains a control character or is not UTF-8; check the URL's percent-encoding or the file"
    )]
    BadCredential(&'static str),
    /// A password without a user name.
    #[error("a password without a user name; add the user name to the URL, or set --username")]
    PasswordAlone,
}

/// A camera's RTSP URL without its credentials, and the credentials.
///
/// `Display` and `Debug` show neither credentials nor the parts of the URL in which cameras expect them:
/// the query, and path segments of the form `user=…`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CameraUrl {
    bare: Url,
    credentials: Option<(String, String)>,
}

impl CameraUrl {
    /// Parses `text`; `username` and `password` apply if the URL has none.
    ///
    /// Credentials in the URL are percent-decoded, so that any character can be part of them (RFC 3986 section 3.2.1).
    pub(crate) fn parse(
        text: &str,
        username: Option<&str>,
        password: Option<&str>,
    ) -> Result<Self, UrlError> {
        let text = text.trim();
        if !text.is_empty() && !text.contains("://") {
            return Err(UrlError::NoScheme);
        }
        let mut bare = Url::parse(text).map_err(UrlError::Syntax)?;
        match bare.scheme() {
            "rtsp" | "rtsps" => {}
            // A mistyped URL may hold its password in what looks like the scheme.
            other if other.len() <= 8 => return Err(UrlError::Scheme(other.to_owned())),
            _ => return Err(UrlError::Scheme(HIDDEN.to_owned())),
        }
        if bare.host_str().is_none_or(str::is_empty) {
            return Err(UrlError::NoHost);
        }
        // Logs show the part after the host, which may be the rest of a password here.
        let has_credentials = !bare.username().is_empty() || bare.password().is_some();
        if has_credentials && bare[url::Position::BeforePath..].contains('@') {
            return Err(UrlError::Unencoded);
        }
        let from_url = |part: &str, what| {
            let decoded =
                percent_decode_str(part).decode_utf8().map_err(|_| UrlError::BadCredential(what))?;
            Ok::<_, UrlError>(decoded.into_owned())
        };
        let name = match bare.username() {
            "" => username.map(str::to_owned),
            in_url => Some(from_url(in_url, "user name")?),
        };
        let secret = match bare.password() {
            None => password.map(str::to_owned),
            Some(in_url) => Some(from_url(in_url, "password")?),
        };
        let credentials = match (name, secret) {
            (None, None) => None,
            (None, Some(_)) => return Err(UrlError::PasswordAlone),
            (Some(name), secret) => Some((name, secret.unwrap_or_default())),
        };
        if let Some((name, secret)) = &credentials {
            for (value, what) in [(name, "user name"), (secret, "password")] {
                if value.chars().any(char::is_control) {
                    return Err(UrlError::BadCredential(what));
                }
            }
        }
        bare.set_username("").and_then(|()| bare.set_password(None)).map_err(|()| UrlError::NoHost)?;
        Ok(Self { bare, credentials })
    }

    /// The URL of requests: without credentials, with its query.
    pub(crate) fn bare(&self) -> &Url {
        &self.bare
    }

    /// Whether the connection is encrypted: `rtsps://`.
    pub(crate) fn is_tls(&self) -> bool {
        self.bare.scheme() == "rtsps"
    }

    /// User name and password, decoded.
    pub(crate) fn credentials(&self) -> Option<(&str, &str)> {
        self.credentials.as_ref().map(|(name, secret)| (name.as_str(), secret.as_str()))
    }

    /// The segments of the path, and whether each may be a secret: `user=…`, and all segments up to an `@`, because
    /// `rtsp://user:12/word@host` has a password with a slash that looks like a port and a path.
    fn segments(&self) -> impl Iterator<Item = (&str, bool)> {
        let segments: Vec<&str> = self.bare.path_segments().into_iter().flatten().collect();
        let before_at = segments.iter().rposition(|segment| segment.contains('@')).map_or(0, |at| at + 1);
        segments
            .into_iter()
            .enumerate()
            .map(move |(at, segment)| (segment, at < before_at || segment.contains('=')))
    }

    /// The first line of `text` (an error of a library, or a response of the camera), cut to a maximum length, without
    /// this URL's secrets.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let mut line = text.lines().next().unwrap_or_default().to_owned();
        let assigned = self.segments().filter(|(_, is_secret)| *is_secret).map(|(segment, _)| segment);
        let hidden: Vec<&str> = assigned.chain(self.bare.query()).collect();
        // A camera may repeat only one of several `password=…`.
        let pairs = hidden.iter().flat_map(|part| part.split(['&', ';'])).filter(|pair| pair.contains('='));
        let password = self.credentials.as_ref().map(|(_, secret)| secret.as_str());
        let mut secrets: Vec<&str> =
            password.into_iter().chain(hidden.iter().copied()).chain(pairs).collect();
        // Longest first, because a secret may hold another one.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
            line = line.replace(secret, HIDDEN);
        }
        if let Some((end, _)) = line.char_indices().nth(MAX_TEXT) {
            line.replace_range(end.., "…");
        }
        line
    }
}

impl fmt::Display for CameraUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.bare.scheme(), self.bare.host_str().unwrap_or_default())?;
        if let Some(port) = self.bare.port() {
            write!(f, ":{port}")?;
        }
        for (segment, is_secret) in self.segments() {
            write!(f, "/{}", if is_secret { HIDDEN } else { segment })?;
        }
        if self.bare.query().is_some() {
            write!(f, "?{HIDDEN}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for CameraUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn credentials_are_decoded_and_removed_from_the_url() {
        let url =
            CameraUrl::parse("rtsp://ad%40min:p%40s%3As%2Fw%25r%23d@10.0.0.7:8554/main?x=1", None, None)
                .unwrap();
        assert_eq!(url.credentials(), Some(("ad@min", "p@s:s/w%r#d")));
        assert_eq!(url.bare().as_str(), "rtsp://10.0.0.7:8554/main?x=1");
        assert_eq!(url.to_string(), "rtsp://10.0.0.7:8554/main?***");
        let url = CameraUrl::parse("rtsps://viewer:geheim@camera/main", None, None).unwrap();
        assert_eq!((url.to_string().as_str(), url.is_tls()), ("rtsps://camera/main", true));
    }

    #[test]
    fn flags_apply_if_the_url_has_no_credentials() {
        let url = CameraUrl::parse("rtsp://camera/", Some("viewer"), Some("geheim")).unwrap();
        assert_eq!(url.credentials(), Some(("viewer", "geheim")));
        let url = CameraUrl::parse("rtsp://root@camera/", Some("viewer"), Some("geheim")).unwrap();
        assert_eq!(url.credentials(), Some(("root", "geheim")));
        assert_eq!(CameraUrl::parse("rtsp://camera/", None, Some("x")), Err(UrlError::PasswordAlone));
        for url in ["rtsp://admin:S3cret@Bldg/7@camera:8554/live", "rtsp://admin:a@b?c@camera/live"] {
            let error = CameraUrl::parse(url, None, None).unwrap_err();
            assert_eq!(error, UrlError::Unencoded);
            assert!(!error.to_string().contains("Bldg"));
        }
    }

    #[test]
    fn paths_that_carry_credentials_are_hidden() {
        let url =
            CameraUrl::parse("rtsp://cam/user=admin&password=geheim&channel=1.sdp/x", None, None).unwrap();
        assert_eq!(url.to_string(), "rtsp://cam/***/x");
        assert_eq!(
            url.scrub("no stream at rtsp://cam/user=admin&password=geheim&channel=1.sdp/x\nconn: .."),
            { "no stream at rtsp://cam/***/x" }
        );
    }

    #[test]
    fn a_password_that_reads_as_a_port_and_a_path_is_hidden() {
        let url = CameraUrl::parse("rtsp://u:12/geheim@camera/live", None, None).unwrap();
        assert_eq!(url.to_string(), "rtsp://u:12/***/live");
        assert!(!url.scrub("no answer from rtsp://u:12/geheim@camera/live").contains("geheim"));
    }

    #[test]
    fn every_secret_part_is_scrubbed_also_alone() {
        let url =
            CameraUrl::parse("rtsp://cam/user=admin/password=geheim/x?token=leise&key=still;n=1", None, None)
                .unwrap();
        assert_eq!(url.to_string(), "rtsp://cam/***/***/x?***");
        for (said, wanted) in [
            (url.bare().as_str(), "rtsp://cam/***/***/x?***"),
            ("404 for password=geheim", "404 for ***"),
            ("bad /user=admin/password=geheim", "bad /***/***"),
            ("bad key=still, token=leise", "bad ***, ***"),
        ] {
            assert_eq!(url.scrub(said), wanted);
        }
    }

    #[test]
    fn the_error_for_an_invalid_url_does_not_repeat_it() {
        for (text, wanted) in [
            ("http://u:geheim@cam/", UrlError::Scheme("http".into())),
            ("geheimgeheim://x", UrlError::Scheme("***".into())),
            ("localhost:8554/live", UrlError::NoScheme),
            ("u:geheim@cam/live", UrlError::NoScheme),
            ("rtsp:///x", UrlError::NoHost),
            ("rtsp://u:a%0Ageheim@cam/", UrlError::BadCredential("password")),
        ] {
            let error = CameraUrl::parse(text, None, None).unwrap_err();
            assert_eq!(error, wanted, "{text}");
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
        let error = CameraUrl::parse("rtsp://u:geheim/x@cam/", None, None).unwrap_err();
        assert!(!error.to_string().contains("geheim"), "{error}");
    }

    proptest! {
        #[test]
        fn any_credentials_are_decoded_and_hidden(name in "[^\\p{Cc}]{1,12}", secret in "[^\\p{Cc}]{6,20}") {
            let encode = |s: &str| utf8_percent_encode(s, NON_ALPHANUMERIC).to_string();
            let text = format!("rtsp://{}:{}@host:554/a", encode(&name), encode(&secret));
            let url = CameraUrl::parse(&text, None, None).unwrap();
            prop_assert_eq!(url.credentials(), Some((name.as_str(), secret.as_str())));
            prop_assert_eq!(format!("{url} {url:?}"), "rtsp://host:554/a rtsp://host:554/a");
            let scrubbed = url.scrub(&format!("bad {secret}!"));
            prop_assert!(!scrubbed.contains(&secret));
        }

        #[test]
        fn any_text_is_accepted_or_rejected(text in "\\PC{0,60}") {
            let _ = CameraUrl::parse(&text, None, None);
            let _ = CameraUrl::parse(&format!("rtsp://{text}"), None, None);
        }
    }
}
