//! The body of an answer, which keeps its connection at work until it is sent.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use msight_listener::Work;

/// A body with the work that it is the end of.
pub(super) struct AnswerBody {
    body: s3s::Body,
    _work: Work,
}

impl AnswerBody {
    pub(super) fn new(body: s3s::Body, work: Work) -> Self {
        Self { body, _work: work }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = s3s::StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, s3s::StdError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
