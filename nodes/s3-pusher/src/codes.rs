//! The classes of S3's error codes: those of "Amazon S3 Error responses" (API reference), and MinIO's own.

use crate::failure::{Class, Hold};
use std::time::Duration;

/// The class of an HTTP answer of failure. `code` is S3's error code; an answer without a body, or not from S3, has none.
pub(crate) fn classify(status: u16, code: Option<&str>, retry_after: Option<Duration>) -> Class {
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

    #[test]
    fn only_errors_about_the_object_lose_it() {
        assert!((100..1000).all(|status| classify(status, None, None) != Class::Permanent));
    }
}
