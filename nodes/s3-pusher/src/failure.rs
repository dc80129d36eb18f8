//! What an answer of the bucket means: try again, wait for somebody to mend something, or give up.
//!
//! The codes are those of "Amazon S3 Error responses" (API reference), and of MinIO where it adds its own.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;
use std::time::Duration;

/// What to do about a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It passes by itself: try again without end, after what the server asked for (`Retry-After`).
    Transient(Option<Duration>),
    /// No answer in time. As transient, with more time at the next try.
    TimedOut,
    /// Somebody has to mend it: keep the segment and try now and then.
    Held(Hold),
    /// This one object will never be taken. Only what names the object itself counts as this: the segment is lost.
    Permanent,
    /// The server has stored something else than it was sent: send it again.
    Damaged,
    /// There is an object of that key already (`If-None-Match: *`).
    Exists,
    /// The server does not take something in the request, which may be its condition.
    Unconditional,
    /// The multipart upload or parts of it are gone: start it anew.
    NoSuchUpload,
}

impl Class {
    /// The class's name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transient(_) => "transient",
            Self::TimedOut => "timeout",
            Self::Held(hold) => hold.name(),
            Self::Permanent => "permanent",
            Self::Damaged => "damaged",
            Self::Exists => "exists",
            Self::Unconditional => "unconditional",
            Self::NoSuchUpload => "no_such_upload",
        }
    }
}

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
                 or give this machine or container a role; they are read again at every try"
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

/// A request that failed, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What to do about it.
    pub class: Class,
    /// One line for the log. It holds no secrets and no control characters.
    pub text: String,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
}

impl Failure {
    /// A failure of our own finding.
    pub fn new(class: Class, text: impl Into<String>) -> Self {
        Self { class, text: text.into(), status: None }
    }

    /// No answer within the deadline.
    pub fn timed_out(deadline: Duration) -> Self {
        Self::new(Class::TimedOut, format!("no answer within {} s", deadline.as_secs_f64()))
    }
}

impl<E> From<SdkError<E, HttpResponse>> for Failure
where
    E: ProvideErrorMetadata + Error + 'static,
    SdkError<E, HttpResponse>: Error,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let response = error.raw_response();
        let header = |name| response.and_then(|r| r.headers().get(name));
        if let Some(status) = response.map(|r| r.status().as_u16()) {
            let code = error.code();
            let retry_after =
                header("retry-after").and_then(|v| v.trim().parse().ok()).map(Duration::from_secs);
            let class = classify(status, code, retry_after);
            let mut text = format!("HTTP {status}");
            for part in [code, error.message()].into_iter().flatten() {
                text.push(' ');
                text.push_str(part);
            }
            if let Some(region) = header("x-amz-bucket-region").filter(|_| class == Class::Held(Hold::Region))
            {
                text.push_str(" (the bucket is in ");
                text.push_str(region);
                text.push(')');
            }
            return Self { class, text: one_line(&text), status: Some(status) };
        }
        let class = if chain(&error).any(|cause| cause.is::<CredentialsError>()) {
            Class::Held(Hold::Credentials)
        } else if matches!(&error, SdkError::TimeoutError(_))
            || matches!(&error, SdkError::DispatchFailure(dispatch) if dispatch.is_timeout())
        {
            Class::TimedOut
        } else if matches!(error, SdkError::ConstructionFailure(_)) {
            Class::Held(Hold::Unclear)
        } else {
            Class::Transient(None)
        };
        let causes: Vec<_> = chain(&error).map(ToString::to_string).collect();
        Self { class, text: one_line(&causes.join(": ")), status: None }
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// What a server says is foreign text: one line of printable characters, and not too long.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect()
}

/// The class of an HTTP answer that is no success. `code` is S3's error code, missing where the answer has no
/// body or comes from something that is not S3.
pub fn classify(status: u16, code: Option<&str>, retry_after: Option<Duration>) -> Class {
    use Hold::{Credentials, Denied, Encryption, Full, NoBucket, Options, Region, Unclear};
    match code.unwrap_or_default() {
        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "RequestTimeout"
        | "RequestTimeTooSkewed"
        | "IncompleteBody"
        | "BadDigest"
        | "XAmzContentSHA256Mismatch"
        | "XAmzContentChecksumMismatch"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "ServiceUnavailable"
        | "InternalError"
        | "TooManyRequests"
        | "RequestThrottled"
        | "Throttling"
        | "ThrottlingException"
        | "TemporaryRedirect"
        | "ServerNotInitialized"
        | "XMinioServerNotInitialized" => return Class::Transient(retry_after),
        "PreconditionFailed" => return Class::Exists,
        "NoSuchUpload" | "InvalidPart" | "InvalidPartOrder" => return Class::NoSuchUpload,
        "EntityTooLarge" | "KeyTooLongError" | "MetadataTooLarge" | "XMinioInvalidObjectName" => {
            return Class::Permanent;
        }
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "InvalidSecurity"
        | "NotSignedUp"
        | "RequestExpired"
        | "MissingSecurityHeader"
        | "AuthorizationQueryParametersError"
        | "MissingAuthenticationToken" => return Class::Held(Credentials),
        "NoSuchBucket" | "InvalidBucketName" => return Class::Held(NoBucket),
        "AuthorizationHeaderMalformed"
        | "PermanentRedirect"
        | "IllegalLocationConstraintException"
        | "IncorrectEndpoint"
        | "InvalidRegion" => return Class::Held(Region),
        "AccountProblem" | "AllAccessDisabled" | "AccessDenied" => return Class::Held(Denied),
        "QuotaExceeded" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded" => return Class::Held(Full),
        "InvalidStorageClass"
        | "InvalidTag"
        | "AccessControlListNotSupported"
        | "InvalidEncryptionAlgorithmError"
        | "ServerSideEncryptionConfigurationNotFoundError" => return Class::Held(Options),
        // So say servers that do not know the conditional header, but not for that alone.
        "NotImplemented" | "InvalidArgument" | "InvalidRequest" => return Class::Unconditional,
        code if code.starts_with("KMS") => return Class::Held(Encryption),
        _ => {}
    }
    match status {
        301 | 307 | 308 => Class::Held(Region),
        401 => Class::Held(Credentials),
        403 => Class::Held(Denied),
        404 => Class::Held(NoBucket),
        405 => Class::Held(Options),
        408 | 409 | 425 | 429 => Class::Transient(retry_after),
        412 => Class::Exists,
        501 => Class::Unconditional,
        507 => Class::Held(Full),
        // Plain HTTP sent to a TLS port, a proxy's own refusals and limits on a body (413), codes not known here: nothing that speaks of
        // this one object, so nothing to lose a segment for.
        400..=499 => Class::Held(Unclear),
        // 5xx, and what is no S3 answer at all: a captive portal's 200 or 302 with a page of HTML.
        _ => Class::Transient(retry_after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::error::ErrorMetadata;
    use aws_sdk_s3::operation::put_object::PutObjectError;
    use aws_sdk_s3::primitives::SdkBody;

    const ANYTIME: Class = Class::Transient(None);

    #[test]
    fn answers_and_what_they_mean() {
        use Hold::{Credentials, Denied, Encryption, Full, NoBucket, Options, Region, Unclear};
        for (status, code, class) in [
            (503, Some("SlowDown"), ANYTIME),
            (500, Some("InternalError"), ANYTIME),
            (502, None, ANYTIME),
            (504, None, ANYTIME),
            (429, None, ANYTIME),
            (409, Some("ConditionalRequestConflict"), ANYTIME),
            (400, Some("RequestTimeout"), ANYTIME),
            (400, Some("BadDigest"), ANYTIME),
            (403, Some("RequestTimeTooSkewed"), ANYTIME),
            (200, None, ANYTIME),
            (302, None, ANYTIME),
            (403, Some("AccessDenied"), Class::Held(Denied)),
            (403, None, Class::Held(Denied)),
            (403, Some("InvalidAccessKeyId"), Class::Held(Credentials)),
            (403, Some("SignatureDoesNotMatch"), Class::Held(Credentials)),
            (400, Some("ExpiredToken"), Class::Held(Credentials)),
            (401, None, Class::Held(Credentials)),
            (404, Some("NoSuchBucket"), Class::Held(NoBucket)),
            (404, None, Class::Held(NoBucket)),
            (404, Some("NoSuchUpload"), Class::NoSuchUpload),
            (301, Some("PermanentRedirect"), Class::Held(Region)),
            (400, Some("AuthorizationHeaderMalformed"), Class::Held(Region)),
            (400, Some("KMS.DisabledException"), Class::Held(Encryption)),
            (507, None, Class::Held(Full)),
            (400, Some("InvalidStorageClass"), Class::Held(Options)),
            (400, Some("AccessControlListNotSupported"), Class::Held(Options)),
            (405, Some("MethodNotAllowed"), Class::Held(Options)),
            (501, Some("NotImplemented"), Class::Unconditional),
            (412, Some("PreconditionFailed"), Class::Exists),
            (412, None, Class::Exists),
            (400, Some("EntityTooLarge"), Class::Permanent),
            (400, Some("KeyTooLongError"), Class::Permanent),
            (400, Some("MetadataTooLarge"), Class::Permanent),
            (413, None, Class::Held(Hold::Unclear)),
            (400, Some("InvalidPart"), Class::NoSuchUpload),
            (400, Some("InvalidPartOrder"), Class::NoSuchUpload),
            (400, Some("InvalidArgument"), Class::Unconditional),
            (400, Some("InvalidRequest"), Class::Unconditional),
            (400, Some("NotImplemented"), Class::Unconditional),
            (501, None, Class::Unconditional),
            (400, None, Class::Held(Unclear)),
            (400, Some(""), Class::Held(Unclear)),
            (400, Some("MalformedXML"), Class::Held(Unclear)),
            (400, Some("SomethingNew"), Class::Held(Unclear)),
            (402, None, Class::Held(Unclear)),
            (407, None, Class::Held(Unclear)),
            (411, Some("MissingContentLength"), Class::Held(Unclear)),
            (421, None, Class::Held(Unclear)),
            (451, None, Class::Held(Unclear)),
            (499, None, Class::Held(Unclear)),
        ] {
            assert_eq!(classify(status, code, None), class, "{status} {code:?}");
        }
        let asked = Some(Duration::from_secs(7));
        assert_eq!(classify(429, None, asked), Class::Transient(asked));
        assert_eq!(classify(503, Some("SlowDown"), asked), Class::Transient(asked));
    }

    fn answer(status: u16, headers: &[(&'static str, &'static str)], code: &str, message: &str) -> Failure {
        let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::empty());
        for (name, value) in headers {
            response.headers_mut().insert(*name, *value);
        }
        let error = PutObjectError::generic(ErrorMetadata::builder().code(code).message(message).build());
        SdkError::service_error(error, response).into()
    }

    #[test]
    fn headers_of_an_answer_count() {
        let failure = answer(503, &[("retry-after", "12")], "SlowDown", "Please\r\nreduce\u{1b}[31m");
        assert_eq!(failure.class, Class::Transient(Some(Duration::from_secs(12))));
        assert_eq!(failure.text, "HTTP 503 SlowDown Please  reduce [31m");
        let failure = answer(301, &[("x-amz-bucket-region", "eu-west-1")], "PermanentRedirect", "no");
        assert_eq!(failure.text, "HTTP 301 PermanentRedirect no (the bucket is in eu-west-1)");
    }

    #[test]
    fn no_credentials_are_a_hold() {
        let cause = CredentialsError::not_loaded("no providers in chain provided credentials");
        let connector = aws_sdk_s3::error::ConnectorError::other(cause.into(), None);
        let failure = Failure::from(SdkError::<PutObjectError, _>::dispatch_failure(connector));
        assert_eq!(failure.class, Class::Held(Hold::Credentials));
        assert!(failure.text.contains("no providers in chain"), "{}", failure.text);
    }

    #[test]
    fn only_what_names_the_object_loses_it() {
        assert!((100..1000).all(|status| classify(status, None, None) != Class::Permanent));
        let failure = Failure::from(SdkError::<PutObjectError, _>::construction_failure("no such host"));
        assert_eq!(failure.class, Class::Held(Hold::Unclear));
    }

    #[test]
    fn every_hold_says_what_to_do() {
        for hold in Hold::ALL {
            assert!(hold.advice().len() > 20 && !hold.advice().contains("  "), "{hold:?}");
        }
    }
}
