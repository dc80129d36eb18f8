//! What to do about a failure, for the log.

use std::error::Error;
use std::io;

/// A cause that must be fixed before uploads succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// No credentials, or ones that are wrong or have expired.
    Credentials,
    /// The credentials are valid, but lack a permission.
    Denied,
    /// The bucket does not exist.
    NoBucket,
    /// The bucket is in another region or at another endpoint.
    Region,
    /// The KMS key is missing, disabled or not allowed.
    Encryption,
    /// The bucket's storage is full, or its quota is used up.
    Full,
    /// The segment is larger than the server, or a proxy before it, accepts.
    TooLarge,
    /// The server or bucket rejects an option set by a flag.
    Options,
    /// The request is refused for an unknown reason, or not by S3.
    Unclear,
}

impl Hold {
    /// All of them, for metrics.
    pub const ALL: [Self; 9] = [
        Self::Credentials,
        Self::Denied,
        Self::NoBucket,
        Self::Region,
        Self::Encryption,
        Self::Full,
        Self::TooLarge,
        Self::Options,
        Self::Unclear,
    ];

    /// The name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Denied => "denied",
            Self::NoBucket => "no_bucket",
            Self::Region => "region",
            Self::Encryption => "encryption",
            Self::Full => "full",
            Self::TooLarge => "too_large",
            Self::Options => "options",
            Self::Unclear => "unclear",
        }
    }

    /// The cause, and how to fix it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Credentials => {
                "the server rejects the credentials; correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and \
                 AWS_SESSION_TOKEN), or the profile that AWS_PROFILE names; every retry reads a changed file again"
            }
            Self::Denied => {
                "permission denied; allow s3:PutObject and s3:AbortMultipartUpload on the bucket's objects \
                 (s3:PutObjectTagging with --tags, s3:PutObjectAcl with --acl, kms:GenerateDataKey and kms:Decrypt with \
                 a KMS key), and check the bucket policy for a deny statement"
            }
            Self::NoBucket => {
                "the bucket does not exist; create it, or correct --bucket-name or --endpoint-url"
            }
            Self::Region => {
                "the bucket is in another region; set --aws-region to the bucket's region, or correct --endpoint-url"
            }
            Self::Encryption => {
                "the KMS key cannot be used; check --sse-kms-key-id, and the key's state and policy (kms:GenerateDataKey)"
            }
            Self::Full => "the server's storage is full; free space, or raise the quota of the bucket",
            Self::TooLarge => {
                "the segment is too large for the server or a proxy before it; raise its limit (nginx: \
                 client_max_body_size), lower --multipart-threshold, or make shorter segments"
            }
            Self::Options => {
                "the server rejects an option of the request; remove it (--storage-class, --tags, --acl, --sse, \
                 --checksum) and restart; a bucket with Object Lock needs --checksum when-supported"
            }
            Self::Unclear => {
                "the server rejects the request; see its answer, and check --endpoint-url, proxies in between, and the \
                 options of objects (--storage-class, --tags, --acl, --sse, --checksum)"
            }
        }
    }
}

/// No provider of the AWS chain has credentials.
pub(crate) const NO_CREDENTIALS: &str = "no AWS credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or AWS_PROFILE, or \
     give this machine or container a role; for a server without keys, pass --no-sign-request";

/// A provider of the AWS chain fails.
pub(crate) const BROKEN_CREDENTIALS: &str =
    "the AWS credentials cannot be loaded; correct the profile, the role or the process that provides them";

/// For an answer to uploads that has neither S3's XML nor its headers.
pub(crate) const NO_S3_SERVER: &str = "the endpoint is not an S3 server; check --endpoint-url (http or https, host, port) and proxies in between";

/// The cause of an answer of S3, and what to do about it, where its code tells more than its class does.
pub(crate) fn of_answer(code: Option<&str>, message: Option<&str>) -> Option<&'static str> {
    let message = message.unwrap_or_default();
    Some(match code? {
        "InvalidAccessKeyId" => {
            "unknown access key; correct AWS_ACCESS_KEY_ID, or aws_access_key_id in the profile"
        }
        "NotSignedUp" => {
            "the server does not know this access key; correct AWS_ACCESS_KEY_ID, or pass --no-sign-request if the \
             server has no keys"
        }
        "SignatureDoesNotMatch" => {
            "wrong secret key; correct AWS_SECRET_ACCESS_KEY, or aws_secret_access_key in the profile"
        }
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "RequestExpired" => {
            "the credentials have expired; renew them; every retry reads a changed file again"
        }
        "InvalidToken" => "invalid session token; correct AWS_SESSION_TOKEN, or unset it for permanent keys",
        "InvalidBucketName" => "the server accepts no bucket of this name; correct --bucket-name",
        "AccessDenied" if message.contains("not signed") => {
            "the server requires signed requests; remove --no-sign-request and set its keys"
        }
        "RequestTimeTooSkewed" => {
            "the clocks of this machine and the server differ; synchronise this machine's clock (NTP); until then the \
             server's clock is used for signatures"
        }
        "EntityTooLarge" => Hold::TooLarge.advice(),
        code if needs_virtual_hosts(code, message) => VIRTUAL_HOSTED,
        _ => return None,
    })
}

/// For a server that has buckets in host names only.
const VIRTUAL_HOSTED: &str = "the server accepts a bucket in the host name only; pass --virtual-hosted (the name bucket.host must resolve)";

/// Whether the server demands the bucket in the host name. Clouds have codes of their own for it (Alibaba's is
/// `SecondLevelDomainForbidden`), others a sentence.
pub(crate) fn needs_virtual_hosts(code: &str, message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    matches!(code, "SecondLevelDomainForbidden" | "VirtualHostDomainRequired" | "PathStyleDomainForbidden")
        || ["virtual host", "virtual-host", "virtual_host"].iter().any(|words| message.contains(words))
}

/// What to do about a request without an answer from S3, by the causes of its error.
pub(crate) fn hint<'a>(mut causes: impl Iterator<Item = &'a (dyn Error + 'static)>) -> Option<&'static str> {
    causes.find_map(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        if kind == Some(io::ErrorKind::ConnectionRefused) {
            return Some(
                "nothing listens at this address; check that the server runs, and its host and port",
            );
        }
        // Several crates report these, as types of their own or as text.
        let text = cause.to_string();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["failed to lookup address", "dns error"]) {
            Some("the host name cannot be resolved; check --endpoint-url and this machine's DNS")
        } else if has(&["certificate"]) {
            Some(of_certificate(&text))
        } else if has(&["InvalidContentType", "corrupt message", "HandshakeFailure"]) {
            Some("the server does not speak TLS at this port; use http:// or another port in --endpoint-url")
        } else if has(&["before message completed", "invalid HTTP"]) {
            // What hyper says of a connection that is closed before an answer, and of an answer in another protocol.
            Some(NO_HTTP)
        } else {
            None
        }
    })
}

/// Why a server's certificate is refused, by the words of rustls and webpki.
fn of_certificate(text: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["CaUsedAsEndEntity"]) {
        "the server shows the certificate of an authority (CA:TRUE) as its own, which TLS refuses even if SSL_CERT_FILE or \
         AWS_CA_BUNDLE holds it; give the server a certificate with CA:FALSE (openssl req -x509 -addext \
         basicConstraints=critical,CA:FALSE)"
    } else if has(&["not valid for name", "NotValidForName"]) {
        "the server's certificate is for another host name; use a name of the certificate in --endpoint-url, or add this \
         one to it (subjectAltName)"
    } else if has(&["expired", "Expired", "not valid yet", "NotValidYet"]) {
        "the server's certificate is not valid today; renew it, and check this machine's clock"
    } else if has(&["UnsupportedCertVersion"]) {
        "the server's certificate is of X.509 version 1, which has no host names; make one of version 3 with a \
         subjectAltName"
    } else {
        "the server's certificate is not trusted; set AWS_CA_BUNDLE or SSL_CERT_FILE to the certificate of the authority \
         that signed it, not to the server's own, and check this machine's clock"
    }
}

/// For a connection without an answer of HTTP.
const NO_HTTP: &str = "the server closes the connection or answers in another protocol; unless it restarts just now, check that the host and port of --endpoint-url are those of an S3 server";

/// For an answer that does not come from S3.
pub(crate) const NOT_S3: &str = "the answer is not from S3; check for a proxy or log-in page in between, and that --endpoint-url is an S3 server";

/// For time-outs.
pub(crate) const SLOW: &str = "the connection is slow or stalls; retries have more time, and --upload-timeout raises it for all requests";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hold_has_advice() {
        for hold in Hold::ALL {
            assert!(hold.advice().len() > 20 && !hold.advice().contains("  "), "{hold:?}");
        }
    }

    #[test]
    fn causes_come_first() {
        let of = |code, message| of_answer(Some(code), Some(message)).unwrap_or_default();
        assert!(of("SignatureDoesNotMatch", "").starts_with("wrong secret key; "));
        assert!(of("InvalidAccessKeyId", "").starts_with("unknown access key; "));
        assert!(of("NotSignedUp", "").contains("--no-sign-request"));
        assert!(of("AccessDenied", "the request is not signed").contains("remove --no-sign-request"));
        assert!(of("SecondLevelDomainForbidden", "").contains("--virtual-hosted"));
        assert!(
            of("AccessDenied", "Please use virtual hosted style to access.").contains("--virtual-hosted")
        );
        assert_eq!(of("SlowDown", "Please reduce your request rate"), "");
    }

    #[test]
    fn causes_have_hints() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let unknown = io::Error::other("failed to lookup address information: Name or service not known");
        for (error, word) in [(refused, "nothing listens"), (unknown, "DNS")] {
            let chain = std::iter::once(&error as &(dyn Error + 'static));
            assert!(hint(chain).unwrap().contains(word));
        }
        for (text, word) in [
            ("connection closed before message completed", "of an S3 server"),
            ("invalid HTTP version parsed", "of an S3 server"),
            ("invalid peer certificate: UnknownIssuer", "not to the server's own"),
            ("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))", "CA:FALSE"),
            ("invalid peer certificate: certificate not valid for name \"a\"", "another host name"),
            ("invalid peer certificate: certificate expired: verification time 2", "clock"),
        ] {
            let error = io::Error::other(text);
            assert!(
                hint(std::iter::once(&error as &(dyn Error + 'static))).unwrap().contains(word),
                "{text}"
            );
        }
        assert_eq!(hint(std::iter::once(&io::Error::other("x") as &(dyn Error + 'static))), None);
    }
}
