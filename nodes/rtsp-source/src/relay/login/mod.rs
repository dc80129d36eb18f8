//! Authentication with the camera (RFC 7616, RFC 7617). The relay does it because only the relay knows the camera's own
//! URLs.

mod challenge;
mod digest;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use self::challenge::Challenge;
use self::digest::Digest;

/// Maximum number of challenges in a row that are answered if the camera says that its nonce is stale. A further refusal
/// is final: every attempt may count towards a lock of the account.
const MAX_STALE: u32 = 3;

/// Answers the challenges of one camera.
pub(crate) struct Login {
    credentials: Option<(String, String)>,
    /// How to answer, set by the last challenge.
    scheme: Option<Scheme>,
    /// Number of answers since the camera last accepted a request.
    refused: u32,
}

/// How to authenticate.
enum Scheme {
    Basic,
    Digest(Digest),
}

impl Scheme {
    /// The scheme of a challenge, if it is one that can be answered.
    fn new(challenge: &Challenge) -> Option<Self> {
        match challenge.scheme.as_str() {
            "basic" => Some(Self::Basic),
            "digest" => Digest::new(challenge).map(Self::Digest),
            _ => None,
        }
    }

    /// Higher is better.
    fn strength(&self) -> u8 {
        match self {
            Self::Basic => 0,
            Self::Digest(digest) => 1 + digest.strength(),
        }
    }

    /// Whether an answer to `self` answers `other` too, so that the camera has refused it already.
    fn is_answered_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Basic, Self::Basic) => true,
            (Self::Digest(old), Self::Digest(new)) => old.has_nonce_of(new),
            _ => false,
        }
    }
}

impl Login {
    /// A login with user name and password, if there are any.
    pub(crate) fn new(credentials: Option<(&str, &str)>) -> Self {
        let credentials = credentials.map(|(name, password)| (name.to_owned(), password.to_owned()));
        Self { credentials, scheme: None, refused: 0 }
    }

    /// Applies the `WWW-Authenticate` headers of a refusal, each with one or more challenges. Returns whether a retry makes
    /// sense: the strongest challenge can be answered, and no answer to it was refused.
    ///
    /// A nonce may expire in mid-session. The camera then states another one.
    pub(crate) fn challenge<'a>(&mut self, headers: impl Iterator<Item = &'a str>) -> bool {
        if self.credentials.is_none() {
            return false;
        }
        let schemes = headers.flat_map(challenge::parse).filter_map(|challenge| Scheme::new(&challenge));
        // The first one of those that are equally strong.
        let best =
            schemes.reduce(|best, other| if other.strength() > best.strength() { other } else { best });
        let Some(new) = best else { return false };
        let is_stale = matches!(&new, Scheme::Digest(digest) if digest.is_stale);
        let limit = if is_stale { MAX_STALE } else { 1 };
        let is_repeated = self.scheme.as_ref().is_some_and(|old| old.is_answered_like(&new));
        if is_repeated || self.refused >= limit {
            return false;
        }
        self.refused += 1;
        self.scheme = Some(new);
        true
    }

    /// The camera has answered a request otherwise than by a challenge.
    pub(crate) fn accepted(&mut self) {
        self.refused = 0;
    }

    /// The `Authorization` header of a request without a body, after a challenge.
    pub(crate) fn authorization(&mut self, method: &str, uri: &str) -> Option<String> {
        let (name, password) = self.credentials.as_ref()?;
        Some(match self.scheme.as_mut()? {
            Scheme::Basic => format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}"))),
            Scheme::Digest(digest) => digest.answer(name, password, method, uri),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Login {
        Login::new(Some(("viewer", "geheim")))
    }

    fn challenge(login: &mut Login, headers: &[&str]) -> bool {
        login.challenge(headers.iter().copied())
    }

    fn answer(login: &mut Login) -> String {
        login.authorization("OPTIONS", "rtsp://cam/a").unwrap()
    }

    #[test]
    fn both_schemes_are_answered_and_a_new_nonce_replaces_the_old() {
        let mut login = login();
        assert_eq!(login.authorization("OPTIONS", "rtsp://cam/"), None);
        assert!(challenge(&mut login, &["Basic realm=\"x\""]));
        assert_eq!(answer(&mut login), "Basic dmlld2VyOmdlaGVpbQ==");
        for nonce in ["first", "second"] {
            login.accepted();
            assert!(challenge(&mut login, &[&format!("Digest realm=\"x\", nonce=\"{nonce}\"")]));
            let header = answer(&mut login);
            assert!(header.contains(nonce) && header.contains("uri=\"rtsp://cam/a\""), "{header}");
            assert!(!header.contains("geheim"));
        }
        assert!(!challenge(&mut login, &["Negotiate"]));
        assert!(!Login::new(None).challenge(["Basic realm=\"x\""].into_iter()));
    }

    #[test]
    fn the_strongest_challenge_is_answered() {
        let md5 = "Digest realm=\"x\", nonce=\"m\", algorithm=MD5";
        let sha256 = "digest REALM=x,NONCE=s,ALGORITHM=\"SHA-256\"";
        let unknown = "Digest realm=\"x\", nonce=\"u\", algorithm=SHA3";
        let basic = "BASIC realm=\"x\"";
        let table: [(&[&str], &str); 7] = [
            (&[basic, md5], "nonce=\"m\""),
            (&[md5, basic], "nonce=\"m\""),
            (&[md5, sha256, basic], "nonce=\"s\""),
            (&[&format!("{basic}, {md5}, {sha256}")], "nonce=\"s\""),
            (&[&format!("{sha256}, {md5}"), basic], "nonce=\"s\""),
            (&[unknown, basic], "Basic "),
            (&[unknown, md5, "Negotiate"], "nonce=\"m\""),
        ];
        for (headers, wanted) in table {
            let mut login = login();
            assert!(challenge(&mut login, headers), "{headers:?}");
            let header = answer(&mut login);
            assert!(header.contains(wanted), "{headers:?} {header}");
        }
        assert!(!challenge(&mut login(), &[unknown]));
    }

    #[test]
    fn a_refused_answer_is_final_unless_the_nonce_is_stale() {
        let with = |nonce: &str, stale| format!("Digest realm=\"x\", nonce=\"{nonce}\", stale={stale}");
        // The same nonce, also after other requests; and a wrong password with a new nonce each time.
        let mut first = login();
        assert!(challenge(&mut first, &[&with("a", "false")]));
        assert!(
            !challenge(&mut first, &[&with("a", "false")]) && !challenge(&mut first, &[&with("b", "false")])
        );
        first.accepted();
        assert!(
            !challenge(&mut first, &[&with("a", "false")]) && challenge(&mut first, &[&with("b", "false")])
        );
        let mut second = login();
        for nonce in (0..MAX_STALE).map(|number| number.to_string()) {
            assert!(challenge(&mut second, &[&with(&nonce, "TRUE")]));
            assert!(!challenge(&mut second, &[&with(&nonce, "TRUE")]), "the nonce is not another one");
        }
        assert!(!challenge(&mut second, &[&with("another", "TRUE")]));
        let mut third = login();
        assert!(challenge(&mut third, &["Basic realm=x"]) && !challenge(&mut third, &["Basic realm=x"]));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_challenges_are_accepted(header in "((Digest|Basic|realm|nonce|=|\"|,| |\\\\)|\\PC){0,40}") {
            let mut login = login();
            if challenge(&mut login, &[&header, "Digest nonce=x"]) {
                proptest::prop_assert!(!answer(&mut login).contains(['\r', '\n']));
            }
        }
    }
}
