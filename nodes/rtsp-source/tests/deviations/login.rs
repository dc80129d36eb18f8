//! The camera's side of a login: Basic (RFC 7617) and Digest (RFC 7616, and RFC 2069 without `qop`).

use md5::Md5;
use rtsp_types::Request;
use rtsp_types::headers::AUTHORIZATION;
use sha2::Sha256;

use crate::camera::base64;

/// The challenge of a camera.
pub(crate) struct Login {
    /// Whole header lines.
    challenges: &'static str,
    /// Requests after which the nonce changes.
    pub(crate) requests_per_nonce: usize,
}

impl Login {
    pub(crate) fn new(challenges: &'static str) -> Self {
        Self { challenges, requests_per_nonce: usize::MAX }
    }

    /// The header lines of the answer 401, unless the request is authorised. `served`: requests of this session.
    pub(crate) fn challenge(
        &self,
        request: &Request<Vec<u8>>,
        credentials: (&str, &str),
        served: &mut usize,
    ) -> Option<String> {
        let nonce = format!("nonce-{}", *served / self.requests_per_nonce);
        let header = request.header(&AUTHORIZATION).map(|value| value.as_str()).unwrap_or_default();
        if self.accepts(header, request, credentials, &nonce) {
            *served += 1;
            // A nonce that has just expired is still good for this answer.
            return None;
        }
        let stale = if header.is_empty() { "FALSE" } else { "TRUE" };
        Some(self.challenges.replace("NONCE", &nonce).replace("STALE", stale))
    }

    fn accepts(
        &self,
        header: &str,
        request: &Request<Vec<u8>>,
        (user, password): (&str, &str),
        nonce: &str,
    ) -> bool {
        let offered = self.challenges.to_ascii_lowercase();
        let Some((scheme, rest)) = header.split_once(' ') else { return false };
        if scheme == "Basic" {
            return offered.contains("basic") && rest == base64(format!("{user}:{password}").as_bytes());
        }
        let algorithm = parameter(rest, "algorithm").unwrap_or("MD5").to_ascii_lowercase();
        // A camera that names no algorithm means MD5.
        let named = if offered.contains("algorithm") { algorithm.as_str() } else { "digest" };
        let hash = match algorithm.as_str() {
            "md5" => hex::<Md5>,
            "sha-256" => hex::<Sha256>,
            _ => return false,
        };
        let of = |name| parameter(rest, name).unwrap_or_default();
        let method: &str = request.method().into();
        let uri = request.request_uri().map(ToString::to_string).unwrap_or_default();
        let secret = hash(&format!("{user}:{}:{password}", of("realm")));
        let what = hash(&format!("{method}:{uri}"));
        let expected = match parameter(rest, "qop") {
            Some(qop) => format!("{secret}:{nonce}:{}:{}:{qop}:{what}", of("nc"), of("cnonce")),
            None => format!("{secret}:{nonce}:{what}"),
        };
        offered.contains(named) && of("uri") == uri && of("response") == hash(&expected)
    }
}

/// The value of a parameter of an `Authorization` header, without its quotes.
fn parameter<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let mut is_quoted = false;
    let mut parts = header.split(|c| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    });
    let value = parts.find_map(|part| part.trim_start().strip_prefix(name)?.strip_prefix('='))?.trim();
    Some(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

fn hex<D: md5::Digest>(text: &str) -> String {
    D::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
