//! Work on files, which blocks.

use crate::failure::{Class, Failure};

/// Does work with a segment's file on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::new(Class::File, error.to_string())))
}
