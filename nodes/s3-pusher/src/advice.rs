//! What to do about a failure, in words for whoever reads the log.

use std::error::Error;
use std::io;

/// What somebody has to mend before anything can be uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// No credentials, or ones that are wrong or have expired.
    Credentials,
    /// The credentials are good but may not do this.
    Denied,
    /// There is no such bucket.
    NoBucket,
    /// The bucket is in another region or at another endpoint.
    Region,
    /// The KMS key is missing, disabled or not allowed.
    Encryption,
    /// The bucket's storage is full or its quota used up.
    Full,
    /// The server or bucket does not take something that was asked for by a flag.
    Options,
    /// The request is refused for a reason that is not known here, or not by S3 at all.
    Unclear,
}

impl Hold {
    /// Every hold, for metrics.
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

    /// The hold's name in metrics and logs.
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

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Credentials => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), a profile by AWS_PROFILE, \
                 or give this machine or container a role; where they are set, correct them: \
                 SignatureDoesNotMatch is a wrong secret key. They are read again at every try"
            }
            Self::Denied => {
                "allow s3:PutObject and s3:AbortMultipartUpload on the bucket's objects (s3:PutObjectTagging with \
                 --tags, s3:PutObjectAcl with --acl, kms:GenerateDataKey and kms:Decrypt with a KMS key), and look \
                 for a bucket policy that denies"
            }
            Self::NoBucket => "create the bucket, or correct --bucket-name or --endpoint-url",
            Self::Region => "set --aws-region to the bucket's region, or correct --endpoint-url",
            Self::Encryption => {
                "look at --sse-kms-key-id, the key's state and its policy (kms:GenerateDataKey)"
            }
            Self::Full => "free space or raise the quota of the bucket",
            Self::Options => {
                "take back what the server refuses (--storage-class, --tags, --acl, --sse, --checksum) and start \
                 again; a bucket with Object Lock needs --checksum when-supported"
            }
            Self::Unclear => {
                "read the answer; look at --endpoint-url (http or https, host, port) and at a proxy on the way, then \
                 at the flags for objects (--storage-class, --tags, --acl, --sse, --checksum)"
            }
        }
    }
}

/// What to do about a request that got no answer from S3, by what stands in the chain of its error's causes.
pub(crate) fn hint<'a>(mut causes: impl Iterator<Item = &'a (dyn Error + 'static)>) -> Option<&'static str> {
    causes.find_map(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        if kind == Some(io::ErrorKind::ConnectionRefused) {
            return Some("nothing listens there: does the server run, and are host and port right?");
        }
        // These come from several crates, as types of their own or as text alone.
        let text = cause.to_string();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["failed to lookup address", "dns error"]) {
            Some("the host's name is not known: look at --endpoint-url and at this machine's DNS")
        } else if has(&["certificate"]) {
            Some("give the certificate of the server's authority by SSL_CERT_FILE, and look at this machine's clock")
        } else if has(&["InvalidContentType", "corrupt message", "HandshakeFailure"]) {
            Some("the server does not speak TLS there: http:// or another port in --endpoint-url?")
        } else {
            None
        }
    })
}

/// What to do about an answer of S3 that passes by itself, where there is anything to be done.
pub(crate) fn hint_of_code(code: Option<&str>) -> Option<&'static str> {
    match code {
        Some("RequestTimeTooSkewed") => {
            Some("set this machine's clock (NTP); until then requests are signed by the server's")
        }
        _ => None,
    }
}

/// For what answers in the place of S3.
pub(crate) const NOT_S3: &str = "is there a proxy or a log-in page between here and the bucket, or something else than S3 at --endpoint-url?";

/// For time-outs.
pub(crate) const SLOW: &str =
    "the way there is slow or stalls; the next tries get more time, and --upload-timeout gives more to all";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hold_says_what_to_do() {
        for hold in Hold::ALL {
            assert!(hold.advice().len() > 20 && !hold.advice().contains("  "), "{hold:?}");
        }
    }

    #[test]
    fn causes_have_hints() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let named = io::Error::other("failed to lookup address information: Name or service not known");
        for (error, said) in [(refused, "nothing listens"), (named, "DNS")] {
            let chain = std::iter::once(&error as &(dyn Error + 'static));
            assert!(hint(chain).unwrap().contains(said));
        }
        assert_eq!(hint(std::iter::once(&io::Error::other("x") as &(dyn Error + 'static))), None);
    }
}
