//! Challenges in `WWW-Authenticate` (RFC 9110, section 11.6.1), as cameras write them.

/// A longer header is ignored, bytes. A challenge has some hundred bytes.
const MAX_HEADER: usize = 8 << 10;
/// Maximum number of challenges in a header.
const MAX_CHALLENGES: usize = 16;

/// One challenge.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// The scheme in lower case.
    pub(super) scheme: String,
    /// Names in lower case, and values without quotes and escapes.
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// The value of a parameter; `name` is in lower case.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Reads the challenges of a header.
///
/// Commas separate both challenges and parameters, and cameras omit quotes. So a word that is followed by `=` begins a
/// parameter; another one begins a challenge if a parameter follows it, or if it names a scheme that has none.
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = if header.len() > MAX_HEADER { "" } else { header };
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '"'));
        if rest.is_empty() {
            return challenges;
        }
        let (word, behind) = word(rest);
        if let Some(value) = behind.strip_prefix('=') {
            let (value, behind) = take_value(value.trim_start());
            rest = behind;
            if let Some(challenge) = challenges.last_mut() {
                challenge.parameters.push((word.to_ascii_lowercase(), value));
            }
        } else {
            rest = behind;
            let scheme = word.trim_end_matches(':').to_ascii_lowercase();
            let is_scheme = matches!(scheme.as_str(), "basic" | "digest") || begins_parameter(behind);
            if is_scheme && challenges.len() < MAX_CHALLENGES {
                challenges.push(Challenge { scheme, parameters: Vec::new() });
            }
        }
    }
}

/// The word at the beginning of a text, and what follows it and the blanks after it.
fn word(text: &str) -> (&str, &str) {
    let is_end = |c: char| c.is_whitespace() || matches!(c, '=' | ',' | ';' | '"');
    let (word, behind) = text.split_at(text.find(is_end).unwrap_or(text.len()));
    (word, behind.trim_start())
}

fn begins_parameter(text: &str) -> bool {
    let (name, behind) = word(text);
    !name.is_empty() && behind.starts_with('=')
}

/// The value at the beginning of a text, and what follows it.
fn take_value(text: &str) -> (String, &str) {
    match text.strip_prefix('"') {
        Some(quoted) => quoted_value(quoted),
        None => unquoted_value(text),
    }
}

/// The value up to a comma. Blanks belong to it, unless the next parameter follows without a comma.
///
/// The search goes on behind each run of blanks, so that a header of blanks takes linear time.
fn unquoted_value(text: &str) -> (String, &str) {
    let mut end = 0;
    loop {
        let rest = &text[end..];
        end += rest.find(|c: char| !is_value(c)).unwrap_or(rest.len());
        let behind = text[end..].trim_start();
        if !behind.starts_with(is_value) || begins_parameter(behind) {
            return (text[..end].trim().trim_end_matches('"').to_owned(), &text[end..]);
        }
        end = text.len() - behind.len();
    }
}

/// The value up to the closing quote, or to the end of the text.
fn quoted_value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            '"' => {
                let behind = &text[at + 1..];
                // In `realm="x, nonce="y"`, the quote opens the next value.
                let is_opening = text[..at].trim_end().ends_with('=') && behind.starts_with(is_value);
                if let (true, Some((own, _))) = (is_opening, text[..at].rsplit_once(',')) {
                    return (own.to_owned(), &text[own.len()..]);
                }
                return (value, behind);
            }
            other => value.push(other),
        }
    }
    (value, "")
}

/// Whether a character belongs to a value rather than to what separates values.
fn is_value(character: char) -> bool {
    !character.is_whitespace() && !matches!(character, ',' | ';')
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn challenge(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Challenge { scheme: scheme.to_owned(), parameters: parameters.collect() }
    }

    #[test]
    fn challenges_are_read_however_they_are_written() {
        let digest = || challenge("digest", &[("realm", "a b"), ("nonce", "x==")]);
        for header in [
            "Digest realm=\"a b\", nonce=\"x==\"",
            "digest  REALM = \"a b\" ,nonce= \"x==\",",
            "DIGEST realm=a b,nonce=x==",
            "Digest realm=\"a b\" nonce=\"x==\"",
            "Digest realm=\"a b\"; nonce=x==;",
            "Digest realm=\"a b, nonce=\"x==\"",
            "Digest realm=\"a b\", nonce=\"x==",
            "Digest realm=a b nonce=x==",
            "Digest: realm=\"a b\", nonce=\"x==\"",
            "Digest,realm=\"a b\",nonce=\"x==\"",
            ", ,Digest realm=\"a \\b\",nonce=\"x\\==\"",
        ] {
            assert_eq!(parse(header), [digest()], "{header}");
        }
    }

    #[test]
    fn long_headers_are_read_in_linear_time() {
        let started = Instant::now();
        for piece in [" ", "x=y "] {
            let header = format!("Digest x=y {}", piece.repeat(MAX_HEADER / piece.len() - 11));
            for _ in 0..100 {
                assert_eq!(parse(&header)[0].get("x"), Some("y"));
            }
        }
        // Reading from each blank to the end takes more than a minute.
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }

    #[test]
    fn several_challenges_are_told_apart() {
        let header = "Negotiate, Basic realm=\"Digest x=y, z\", Digest realm=\"\\\"q\\\\\", qop=\"auth,auth-int\", \
                      nonce=n, Bearer scope=s, Basic";
        assert_eq!(
            parse(header),
            [
                challenge("basic", &[("realm", "Digest x=y, z")]),
                challenge("digest", &[("realm", "\"q\\"), ("qop", "auth,auth-int"), ("nonce", "n")]),
                challenge("bearer", &[("scope", "s")]),
                challenge("basic", &[]),
            ]
        );
        // The second value of a list without quotes is no scheme.
        let unquoted = parse("Digest qop=auth,auth-int,nonce=n");
        assert_eq!(unquoted, [challenge("digest", &[("qop", "auth"), ("nonce", "n")])]);
        for none in ["", " , ", "realm=\"x\"", "\"", "=", "Negotiate", &"Digest a=b,".repeat(10_000)] {
            assert!(parse(none).iter().all(|challenge| challenge.scheme.is_empty()), "{none}");
        }
        assert!(parse(&"Digest a=b,".repeat(700)).len() <= MAX_CHALLENGES);
    }
}
