//! What a failed request means: retry, hold until a cause is fixed, or give up.

pub use crate::advice::Hold;
use crate::advice::{NOT_S3, SLOW};
use std::time::Duration;

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
    /// The segment's file in the spool folder is gone or cannot be used: leave it. It tells nothing of the bucket.
    File,
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
            Self::File => "file",
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

    /// A file in the spool folder that cannot be read. A want of file descriptors or memory passes.
    pub(crate) fn of_file(error: &std::io::Error) -> Self {
        let passes = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM));
        Self::new(if passes { Class::Transient(None) } else { Class::File }, error.to_string())
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
