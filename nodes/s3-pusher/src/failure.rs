//! What a failed request means: retry, hold until a cause is fixed, or give up.
//!
//! The error codes are those of "Amazon S3 Error responses" (API reference), and MinIO's own.

pub use crate::advice::Hold;
use crate::advice::{self, NOT_S3, SLOW};
use crate::retry_after;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;
use std::time::{Duration, SystemTime};

/// The kinds of failures, by what to do about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Retry without end; after the server's `Retry-After`, if it sent one.
    Transient(Option<Duration>),
    /// No answer in time. Retry without end, with a longer deadline.
    TimedOut,
    /// A cause must be fixed: keep the segment, and retry now and then.
    Held(Hold),
    /// The server will never accept this object: the segment is lost. Only errors about the object itself count.
    Permanent,
    /// The server has stored something else than was sent: send it again.
    Damaged,
    /// The key is taken (`If-None-Match: *`).
    Exists,
    /// The server rejects a part of the request, which may be its condition.
    Unconditional,
    /// The multipart upload or parts of it are gone: start it again.
    NoSuchUpload,
}

impl Class {
    /// The name in metrics and logs.
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

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What to do about it.
    pub class: Class,
    /// One line for the log, without secrets and control characters.
    pub text: String,
    /// The HTTP status of the answer, if there was one.
    pub status: Option<u16>,
    /// S3's code for the error. An answer without one is from another kind of server, or has no body.
    pub code: Option<Box<str>>,
    /// The server's name for the request, with which its operators find it in their logs.
    pub request_id: Option<Box<str>>,
    /// The cause and how to fix it, if known.
    pub advice: Option<&'static str>,
    /// The bucket's region, if the answer states it.
    pub region: Option<String>,
}

impl Failure {
    /// A failure that was found here.
    pub fn new(class: Class, text: impl Into<String>) -> Self {
        let advice = if let Class::Held(hold) = class { Some(hold.advice()) } else { None };
        Self { class, text: text.into(), status: None, code: None, request_id: None, advice, region: None }
    }

    /// No answer within the deadline.
    pub fn timed_out(deadline: Duration) -> Self {
        let text = format!("no answer within {} s", deadline.as_secs_f64());
        Self { advice: Some(SLOW), ..Self::new(Class::TimedOut, text) }
    }

    /// An answer of success that S3 would not give.
    pub fn not_s3(text: impl Into<String>) -> Self {
        Self { advice: Some(NOT_S3), ..Self::new(Class::Transient(None), text) }
    }

    /// The same failure of another class.
    pub(crate) fn reclassified(self, class: Class) -> Self {
        let advice = if let Class::Held(hold) = class { Some(hold.advice()) } else { self.advice };
        Self { class, advice, ..self }
    }

    /// Whether the answer is a refusal that no S3 server gives: without its XML and its headers.
    pub(crate) fn is_foreign(&self) -> bool {
        self.status.is_some() && self.code.is_none() && self.request_id.is_none()
    }
}

impl<E> From<SdkError<E, HttpResponse>> for Failure
where
    E: ProvideErrorMetadata + Error + 'static,
    SdkError<E, HttpResponse>: Error,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        if let Some(response) = error.raw_response() {
            let (status, code) = (response.status().as_u16(), error.code());
            let header = |name| response.headers().get(name);
            let retry_after = header("retry-after")
                .and_then(|asked| retry_after::parse(asked, header("date"), SystemTime::now()));
            let class = if code
                .is_some_and(|code| advice::needs_virtual_hosts(code, error.message().unwrap_or_default()))
            {
                Class::Held(Hold::Options)
            } else {
                classify(status, code, retry_after)
            };
            let mut text = format!("HTTP {status}");
            for part in [code, error.message()].into_iter().flatten() {
                text.push(' ');
                text.push_str(part);
            }
            let region = (class == Class::Held(Hold::Region))
                .then(|| region(header("x-amz-bucket-region"), error.message()))
                .flatten();
            if let Some(region) = &region {
                text.push_str(" (the bucket is in ");
                text.push_str(region);
                text.push(')');
            }
            let request_id = ["x-amz-request-id", "x-amz-id-2"].into_iter().find_map(header);
            let mut failure = Self {
                status: Some(status),
                code: code.filter(|code| !code.is_empty()).map(|code| shortened(code, MAX_WORD).into()),
                request_id: request_id.map(|id| shortened(id, MAX_WORD).into()),
                region,
                ..Self::new(class, one_line(&text))
            };
            failure.advice = match class {
                Class::Transient(_) if (200..400).contains(&status) => Some(NOT_S3),
                Class::Held(Hold::Unclear | Hold::NoBucket) if failure.is_foreign() => {
                    Some(advice::NO_S3_SERVER)
                }
                _ => advice::of_answer(code, error.message()).or(failure.advice),
            };
            return failure;
        }
        let timed_out = matches!(&error, SdkError::TimeoutError(_))
            || matches!(&error, SdkError::DispatchFailure(dispatch) if dispatch.is_timeout());
        let credentials = chain(&error).find_map(|cause| cause.downcast_ref::<CredentialsError>());
        let class = if credentials.is_some() {
            Class::Held(Hold::Credentials)
        } else if timed_out {
            Class::TimedOut
        } else if matches!(error, SdkError::ConstructionFailure(_)) {
            Class::Held(Hold::Unclear)
        } else {
            Class::Transient(None)
        };
        let causes: Vec<_> = chain(&error).map(ToString::to_string).collect();
        let causes = causes.join(": ");
        // The AWS chain appends each of its providers with the reason against it.
        let cause = causes.split(" Attempted:").next().unwrap_or_default();
        let failure = Self::new(class, one_line(cause));
        let advice = match credentials {
            Some(CredentialsError::CredentialsNotLoaded(_)) => Some(advice::NO_CREDENTIALS),
            Some(_) => Some(advice::BROKEN_CREDENTIALS),
            None => failure.advice.or_else(|| advice::hint(chain(&error))),
        };
        Self { advice: advice.or(timed_out.then_some(SLOW)), ..failure }
    }
}

/// The region that an answer states, in its header or in AWS' sentence "the region 'a' is wrong; expecting 'b'". It becomes
/// a part of a host name, so only letters, digits and hyphens are accepted.
fn region(header: Option<&str>, message: Option<&str>) -> Option<String> {
    let expected = || message?.split_once("expecting '")?.1.split_once('\'').map(|(region, _)| region);
    header.or_else(expected).filter(|region| is_region(region)).map(str::to_owned)
}

/// Whether the text is a valid region, as a part of AWS' host names: letters, digits and hyphens.
pub(crate) fn is_region(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The longest code of an error, and the longest id of a request, in characters.
const MAX_WORD: usize = 80;

/// Foreign text as one line of printable characters, not too long.
fn one_line(text: &str) -> String {
    shortened(text, 400)
}

fn shortened(text: &str, longest: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(longest).collect()
}

/// The class of an HTTP answer of failure. `code` is S3's error code; an answer without a body, or not from S3, has none.
pub fn classify(status: u16, code: Option<&str>, retry_after: Option<Duration>) -> Class {
    use Hold::{Credentials, Denied, Encryption, Full, NoBucket, Options, Region, TooLarge, Unclear};
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
        // Servers without conditional headers answer so, among other causes.
        "NotImplemented" | "InvalidArgument" | "InvalidRequest" => return Class::Unconditional,
        code if code.starts_with("KMS") => return Class::Held(Encryption),
        _ => {}
    }
    match status {
        301 | 307 | 308 => Class::Held(Region),
        401 => Class::Held(Credentials),
        403 => Class::Held(Denied),
        404 => Class::Held(NoBucket),
        405 if code.is_some_and(|code| !code.is_empty()) => Class::Held(Options),
        408 | 409 | 425 | 429 => Class::Transient(retry_after),
        412 => Class::Exists,
        413 => Class::Held(TooLarge),
        501 => Class::Unconditional,
        507 => Class::Held(Full),
        // Plain HTTP sent to a TLS port, refusals of a proxy, unknown codes: none of them is about this one object, so
        // the segment is kept.
        400..=499 => Class::Held(Unclear),
        // 5xx, and answers that are not S3's: a captive portal's 200 or 302 with a page of HTML.
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
    fn answers_and_their_classes() {
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
            (413, None, Class::Held(Hold::TooLarge)),
            (405, None, Class::Held(Unclear)),
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
        assert_eq!(failure.region.as_deref(), Some("eu-west-1"));
        let text = "the region 'us-east-1' is wrong; expecting 'eu-west-2'";
        assert_eq!(
            answer(400, &[], "AuthorizationHeaderMalformed", text).region.as_deref(),
            Some("eu-west-2")
        );
        for hostile in ["evil.example/x", "", "a@b", "a b"] {
            let header = [("x-amz-bucket-region", hostile)];
            let failure = answer(301, &header, "PermanentRedirect", "expecting 'x.y'");
            assert_eq!(failure.region, None, "{hostile}");
        }
        assert_eq!(failure.advice, Some(Hold::Region.advice()));
        assert_eq!(answer(302, &[], "", "").advice, Some(NOT_S3));
        assert!(answer(403, &[], "RequestTimeTooSkewed", "").advice.unwrap().contains("clock"));
        assert_eq!(answer(503, &[], "SlowDown", "").advice, None);
    }

    #[test]
    fn a_server_of_another_kind_is_recognised() {
        let page = |status: u16, headers: &[(&'static str, &'static str)]| {
            let mut response =
                HttpResponse::new(status.try_into().unwrap(), SdkBody::from("<html>no</html>"));
            for (name, value) in headers {
                response.headers_mut().insert(*name, *value);
            }
            let error = PutObjectError::generic(ErrorMetadata::builder().build());
            Failure::from(SdkError::service_error(error, response))
        };
        for status in [400, 404, 405, 411] {
            let failure = page(status, &[]);
            assert!(failure.advice.unwrap().starts_with("the endpoint is not an S3 server"), "{status}");
        }
        let failure = page(404, &[("x-amz-request-id", "4711")]);
        assert_eq!(failure.request_id.as_deref(), Some("4711"), "{failure:?}");
        assert_eq!(failure.advice, Some(Hold::NoBucket.advice()));
    }

    #[test]
    fn missing_credentials_are_a_hold() {
        let cause = CredentialsError::not_loaded("no providers in chain provided credentials");
        let connector = aws_sdk_s3::error::ConnectorError::other(cause.into(), None);
        let failure = Failure::from(SdkError::<PutObjectError, _>::dispatch_failure(connector));
        assert_eq!(failure.class, Class::Held(Hold::Credentials));
        assert!(failure.text.contains("no providers in chain"), "{}", failure.text);
        assert!(failure.advice.unwrap().starts_with("no AWS credentials found"), "{failure:?}");
    }

    #[test]
    fn only_errors_about_the_object_lose_it() {
        assert!((100..1000).all(|status| classify(status, None, None) != Class::Permanent));
        let failure = Failure::from(SdkError::<PutObjectError, _>::construction_failure("no such host"));
        assert_eq!(failure.class, Class::Held(Hold::Unclear));
    }
}
