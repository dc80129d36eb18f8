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
    /// The server or bucket rejects an option set by a flag.
    Options,
    /// The request is refused for an unknown reason, or not by S3.
    Unclear,
}

impl Hold {
    /// All of them, for metrics.
    pub const ALL: [Self; 8] = [
        Self::Credentials,
        Self::Denied,
        Self::NoBucket,
        Self::Region,
        Self::Encryption,
        Self::Full,
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
            Self::Options => "options",
            Self::Unclear => "unclear",
        }
    }

    /// How to fix it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Credentials => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or AWS_PROFILE, or give this \
                 machine or container a role; if they are set, correct them (SignatureDoesNotMatch: wrong secret key). \
                 Every retry reads them again"
            }
            Self::Denied => {
                "allow s3:PutObject and s3:AbortMultipartUpload on the bucket's objects (s3:PutObjectTagging with \
                 --tags, s3:PutObjectAcl with --acl, kms:GenerateDataKey and kms:Decrypt with a KMS key), and check \
                 the bucket policy for a deny statement"
            }
            Self::NoBucket => "create the bucket, or correct --bucket-name or --endpoint-url",
            Self::Region => "set --aws-region to the bucket's region, or correct --endpoint-url",
            Self::Encryption => {
                "check --sse-kms-key-id, and the key's state and policy (kms:GenerateDataKey)"
            }
            Self::Full => "free space or raise the quota of the bucket",
            Self::Options => {
                "remove the option that the server rejects (--storage-class, --tags, --acl, --sse, --checksum) and \
                 restart; a bucket with Object Lock needs --checksum when-supported"
            }
            Self::Unclear => {
                "see the server's answer; check --endpoint-url (http or https, host, port), proxies in between, and the \
                 options of objects (--storage-class, --tags, --acl, --sse, --checksum)"
            }
        }
    }
}

/// What to do about a request without an answer from S3, by the causes of its error.
pub(crate) fn hint<'a>(mut causes: impl Iterator<Item = &'a (dyn Error + 'static)>) -> Option<&'static str> {
    causes.find_map(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        if kind == Some(io::ErrorKind::ConnectionRefused) {
            return Some("nothing listens at this address; check that the server runs, and its host and port");
        }
        // Several crates report these, as types of their own or as text.
        let text = cause.to_string();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["failed to lookup address", "dns error"]) {
            Some("the host name cannot be resolved; check --endpoint-url and this machine's DNS")
        } else if has(&["certificate"]) {
            Some("the server's certificate is not trusted; set SSL_CERT_FILE to its authority's certificate, and check this machine's clock")
        } else if has(&["InvalidContentType", "corrupt message", "HandshakeFailure"]) {
            Some("the server does not speak TLS at this port; use http:// or another port in --endpoint-url")
        } else {
            None
        }
    })
}

/// What to do about an answer of S3 that retries alone may not fix.
pub(crate) fn hint_of_code(code: Option<&str>) -> Option<&'static str> {
    match code {
        Some("RequestTimeTooSkewed") => Some(
            "synchronise this machine's clock (NTP); until then the server's clock is used for signatures",
        ),
        _ => None,
    }
}

/// For an answer that does not come from S3.
pub(crate) const NOT_S3: &str =
    "check for a proxy or log-in page in between, and that --endpoint-url is an S3 server";

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
    fn causes_have_hints() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let unknown = io::Error::other("failed to lookup address information: Name or service not known");
        for (error, word) in [(refused, "nothing listens"), (unknown, "DNS")] {
            let chain = std::iter::once(&error as &(dyn Error + 'static));
            assert!(hint(chain).unwrap().contains(word));
        }
        assert_eq!(hint(std::iter::once(&io::Error::other("x") as &(dyn Error + 'static))), None);
    }
}
