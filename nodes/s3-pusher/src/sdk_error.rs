//! Errors of the AWS SDK as failures: what the server answered, or why there was no answer.

use crate::advice::{self, NOT_S3, SLOW};
use crate::codes::classify;
use crate::failure::{Class, Failure, Hold};
use crate::retry_after;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;
use std::time::SystemTime;

impl<E> From<SdkError<E, HttpResponse>> for Failure
where
    E: ProvideErrorMetadata + Error + 'static,
    SdkError<E, HttpResponse>: Error,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        match error.raw_response() {
            Some(response) => of_answer(response, error.code(), error.message()),
            None => without_answer(&error),
        }
    }
}

/// `code` and `message` are S3's, if the body of the answer has them.
fn of_answer(response: &HttpResponse, code: Option<&str>, message: Option<&str>) -> Failure {
    let status = response.status().as_u16();
    let header = |name| response.headers().get(name);
    let retry_after =
        header("retry-after").and_then(|asked| retry_after::parse(asked, header("date"), SystemTime::now()));
    let class = if code.is_some_and(|code| advice::needs_virtual_hosts(code, message.unwrap_or_default())) {
        Class::Held(Hold::Options)
    } else {
        classify(status, code, retry_after)
    };
    let mut text = format!("HTTP {status}");
    for part in [code, message].into_iter().flatten() {
        text.push(' ');
        text.push_str(part);
    }
    let region = (class == Class::Held(Hold::Region))
        .then(|| region(header("x-amz-bucket-region"), message))
        .flatten();
    if let Some(region) = &region {
        text.push_str(" (the bucket is in ");
        text.push_str(region);
        text.push(')');
    }
    let request_id = ["x-amz-request-id", "x-amz-id-2"].into_iter().find_map(header);
    let mut failure = Failure {
        status: Some(status),
        code: code.filter(|code| !code.is_empty()).map(|code| shortened(code, MAX_WORD).into()),
        request_id: request_id.map(|id| shortened(id, MAX_WORD).into()),
        region,
        ..Failure::new(class, one_line(&text))
    };
    failure.advice = match class {
        Class::Transient(_) if (200..400).contains(&status) => Some(NOT_S3),
        Class::Held(Hold::Unclear | Hold::NoBucket) if failure.is_foreign() => Some(advice::NO_S3_SERVER),
        _ => advice::of_answer(code, message).or(failure.advice),
    };
    failure
}

fn without_answer<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> Failure
where
    SdkError<E, HttpResponse>: Error,
{
    let timed_out = matches!(error, SdkError::TimeoutError(_))
        || matches!(error, SdkError::DispatchFailure(dispatch) if dispatch.is_timeout());
    let credentials = chain(error).find_map(|cause| cause.downcast_ref::<CredentialsError>());
    let class = if credentials.is_some() {
        Class::Held(Hold::Credentials)
    } else if timed_out {
        Class::TimedOut
    } else if matches!(error, SdkError::ConstructionFailure(_)) {
        Class::Held(Hold::Unclear)
    } else {
        Class::Transient(None)
    };
    let causes: Vec<_> = chain(error).map(ToString::to_string).collect();
    let causes = causes.join(": ");
    // The AWS chain appends each of its providers with the reason against it.
    let cause = causes.split(" Attempted:").next().unwrap_or_default();
    let failure = Failure::new(class, one_line(cause));
    let advice = match credentials {
        Some(CredentialsError::CredentialsNotLoaded(_)) => Some(advice::NO_CREDENTIALS),
        Some(_) => Some(advice::BROKEN_CREDENTIALS),
        None => failure.advice.or_else(|| advice::hint(chain(error))),
    };
    Failure { advice: advice.or(timed_out.then_some(SLOW)), ..failure }
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

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::error::ErrorMetadata;
    use aws_sdk_s3::operation::put_object::PutObjectError;
    use aws_sdk_s3::primitives::SdkBody;
    use std::time::Duration;

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
    fn a_request_that_cannot_be_made_keeps_its_segment() {
        let failure = Failure::from(SdkError::<PutObjectError, _>::construction_failure("no such host"));
        assert_eq!(failure.class, Class::Held(Hold::Unclear));
    }
}
