//! The Digest scheme (RFC 7616, and RFC 2069 for cameras that state no `qop`).

use std::fmt::Write as _;

use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512_256};

use super::challenge::Challenge;

/// The answers to one challenge.
pub(super) struct Digest {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// `algorithm` as the camera writes it, if it states one: the answer repeats it (RFC 7616, section 3.4).
    algorithm: Option<String>,
    hash: Hash,
    /// The variant `-sess`, whose key contains both nonces.
    is_session: bool,
    /// The quality of protection; `None` for RFC 2069.
    qop: Option<&'static str>,
    /// The answer has a hash of the user's name.
    hides_name: bool,
    /// The camera says that only the nonce has expired.
    pub(super) is_stale: bool,
    /// Our own nonce, one for all answers, because `-sess` derives its key from the first one.
    cnonce: String,
    /// Number of answers.
    count: u32,
}

#[derive(Clone, Copy)]
enum Hash {
    Md5,
    Sha256,
    Sha512_256,
}

impl Hash {
    /// The hash of a text in lower-case hexadecimal digits.
    fn hex(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
            Self::Sha512_256 => hex(&Sha512_256::digest(text)),
        }
    }
}

impl Digest {
    /// `None` if the challenge has no nonce or an unknown algorithm.
    pub(super) fn new(challenge: &Challenge) -> Option<Self> {
        let algorithm = challenge.get("algorithm").map(str::trim).filter(|algorithm| !algorithm.is_empty());
        let name = algorithm.unwrap_or("MD5").to_ascii_uppercase();
        let (name, is_session) =
            name.strip_suffix("-SESS").map_or((name.as_str(), false), |name| (name, true));
        let hash = match name {
            "MD5" => Hash::Md5,
            "SHA-256" | "SHA256" => Hash::Sha256,
            "SHA-512-256" => Hash::Sha512_256,
            _ => return None,
        };
        let offered = |qop: &str| {
            let mut all = challenge.get("qop").into_iter().flat_map(|all| all.split([',', ' ']));
            all.any(|offered| offered.eq_ignore_ascii_case(qop))
        };
        let is_true = |name| challenge.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let mut random = [0; 16];
        getrandom::fill(&mut random).ok()?;
        Some(Self {
            realm: printable(challenge.get("realm").unwrap_or_default()),
            nonce: printable(challenge.get("nonce")?),
            opaque: challenge.get("opaque").map(printable),
            algorithm: algorithm.map(str::to_owned),
            hash,
            is_session,
            qop: ["auth", "auth-int"].into_iter().find(|qop| offered(qop)),
            hides_name: is_true("userhash"),
            is_stale: is_true("stale"),
            cnonce: hex(&random),
            count: 0,
        })
    }

    /// Higher is better.
    pub(super) fn strength(&self) -> u8 {
        match self.hash {
            Hash::Md5 => 0,
            Hash::Sha256 => 1,
            Hash::Sha512_256 => 2,
        }
    }

    /// Whether both challenges expect the same answer.
    pub(super) fn has_nonce_of(&self, other: &Self) -> bool {
        (&self.realm, &self.nonce, self.strength()) == (&other.realm, &other.nonce, other.strength())
    }

    /// The `Authorization` header of a request without a body.
    pub(super) fn answer(&mut self, name: &str, password: &str, method: &str, uri: &str) -> String {
        self.count += 1;
        let (hash, realm, nonce, cnonce) = (self.hash, &self.realm, &self.nonce, &self.cnonce);
        let mut key = hash.hex(&format!("{name}:{realm}:{password}"));
        if self.is_session {
            key = hash.hex(&format!("{key}:{nonce}:{cnonce}"));
        }
        let mut request = format!("{method}:{uri}");
        if self.qop == Some("auth-int") {
            request = format!("{request}:{}", hash.hex(""));
        }
        let request = hash.hex(&request);
        let response = match self.qop {
            Some(qop) => hash.hex(&format!("{key}:{nonce}:{:08x}:{cnonce}:{qop}:{request}", self.count)),
            None => hash.hex(&format!("{key}:{nonce}:{request}")),
        };
        let hidden;
        let shown = if self.hides_name {
            hidden = hash.hex(&format!("{name}:{realm}"));
            &hidden
        } else {
            name
        };
        let mut header = "Digest ".to_owned();
        let quoted =
            [("username", shown), ("realm", realm), ("nonce", nonce), ("uri", uri), ("response", &response)];
        for (name, value) in quoted.into_iter().chain(self.opaque.as_deref().map(|opaque| ("opaque", opaque)))
        {
            let separator = if name == "username" { "" } else { ", " };
            let _ = write!(header, "{separator}{name}=\"{}\"", escaped(value));
        }
        if let Some(algorithm) = &self.algorithm {
            let _ = write!(header, ", algorithm={algorithm}");
        }
        if let Some(qop) = self.qop {
            let _ = write!(header, ", qop={qop}, nc={:08x}", self.count);
        }
        if self.qop.is_some() || self.is_session {
            let _ = write!(header, ", cnonce=\"{cnonce}\"");
        }
        if self.hides_name {
            header.push_str(", userhash=true");
        }
        header
    }
}

/// A text of the camera without control characters, which would end our header.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// A text inside quotes (RFC 9110, section 5.6.4).
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::super::challenge;
    use super::*;

    /// Further parameters of the challenge; the response, computed with Python's hashlib; the end of the answer.
    const VARIANTS: [(&str, &str, &str); 7] = [
        ("stale=false", "7a01575aa9a05ef3434f0e6a85f817f1", "\""),
        ("algorithm=md5", "7a01575aa9a05ef3434f0e6a85f817f1", ", algorithm=md5"),
        (
            "algorithm=\"SHA-256\"",
            "9073a89148d85eddd0cfe2b53f8b181e6967c93a49e66a8465748bdee9d89f87",
            ", algorithm=SHA-256",
        ),
        (
            "algorithm=MD5-sess, qop=auth",
            "18bc1a94ebd7109c75df9fec21d6894b",
            ", algorithm=MD5-sess, qop=auth, nc=00000001, cnonce=\"c\"",
        ),
        (
            "algorithm=SHA-256-sess",
            "ea855f22f73673b35349f795b66e4dba98c897c7629bcf7b4c91b85313e86f50",
            ", algorithm=SHA-256-sess, cnonce=\"c\"",
        ),
        ("qop=\"auth-int\"", "50295ace75e975f6285aa52539729a13", ", qop=auth-int, nc=00000001, cnonce=\"c\""),
        (
            "algorithm=SHA-512-256, qop=AUTH, userhash=true",
            "a69b23a1afb9b3ca875a52df6e731492adc9780ce10344a7c939e358d9fdec29",
            ", qop=auth, nc=00000001, cnonce=\"c\", userhash=true",
        ),
    ];

    fn digest(header: &str, cnonce: &str) -> Digest {
        let mut digest = Digest::new(&challenge::parse(header)[0]).unwrap();
        cnonce.clone_into(&mut digest.cnonce);
        digest
    }

    #[test]
    fn the_examples_of_the_standards_are_answered() {
        // RFC 7616, section 3.9.1.
        let challenge = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
                         nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                         opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\", algorithm=";
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
            let mut digest = digest(&format!("{challenge}{algorithm}"), cnonce);
            assert_eq!(
                digest.answer("Mufasa", "Circle of Life", "GET", "/dir/index.html"),
                format!(
                    "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", \
                     nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", uri=\"/dir/index.html\", \
                     response=\"{response}\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\", \
                     algorithm={algorithm}, qop=auth, nc=00000001, cnonce=\"{cnonce}\""
                )
            );
        }
        // RFC 2617, section 3.5.
        let challenge = "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", \
                         nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        let header =
            digest(challenge, "0a4f113b").answer("Mufasa", "Circle Of Life", "GET", "/dir/index.html");
        assert!(
            header.contains("response=\"6629fae49393a05397450978507c4ef1\"") && !header.contains("algorithm")
        );
    }

    #[test]
    fn all_variants_are_answered() {
        for (parameters, response, end) in VARIANTS {
            let challenge = format!("Digest realm=\"a \\\"b\\\"\", nonce=\"n\\\\m\", {parameters}");
            let header = digest(&challenge, "c").answer("J\"ö", "pä:ss\\ wort\"", "DESCRIBE", "rtsp://h/x");
            assert!(header.contains(&format!("response=\"{response}\"")), "{parameters}: {header}");
            assert!(header.ends_with(end), "{parameters}: {header}");
            assert!(header.contains("realm=\"a \\\"b\\\"\", nonce=\"n\\\\m\""), "{header}");
        }
    }

    #[test]
    fn answers_are_counted() {
        let mut digest = digest("Digest nonce=n,qop=auth", "c");
        let _ = digest.answer("u", "p", "OPTIONS", "*");
        assert!(digest.answer("u", "p", "OPTIONS", "*").contains("nc=00000002"));
    }
}
