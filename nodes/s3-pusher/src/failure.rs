//! What a failed request means: retry, hold until a cause is fixed, or give up.

pub use crate::advice::Hold;
use crate::advice::{NOT_S3, SLOW};
use std::io;
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
    /// The segment's file cannot be read now, because its disk or file server fails, or for want of rights or memory. Retry
    /// without end. It tells nothing of the bucket.
    Unreadable,
}

/// What to do about a file that cannot be read now.
const UNREADABLE: &str = "a file in the spool folder cannot be read; check its disk, mount and rights";

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
            Self::Unreadable => "unreadable",
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

    /// A file in the spool folder that cannot be read. Only what the file itself is does not pass.
    pub(crate) fn of_file(error: &io::Error) -> Self {
        use io::ErrorKind::{
            InvalidData, InvalidInput, IsADirectory, NotADirectory, NotFound, UnexpectedEof,
        };
        match error.kind() {
            NotFound | InvalidData | InvalidInput | UnexpectedEof | IsADirectory | NotADirectory => {
                Self::new(Class::File, error.to_string())
            }
            _ => Self { advice: Some(UNREADABLE), ..Self::new(Class::Unreadable, error.to_string()) },
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fails_is_tried_again() {
        let class = |code| Failure::of_file(&io::Error::from_raw_os_error(code)).class;
        for passes in [libc::EIO, libc::ESTALE, libc::EMFILE, libc::ENOMEM, libc::EACCES, libc::ETIMEDOUT] {
            assert_eq!(class(passes), Class::Unreadable, "{passes}");
        }
        for stays in [libc::ENOENT, libc::EISDIR] {
            assert_eq!(class(stays), Class::File, "{stays}");
        }
        assert_eq!(Failure::of_file(&io::ErrorKind::UnexpectedEof.into()).class, Class::File);
    }
}
