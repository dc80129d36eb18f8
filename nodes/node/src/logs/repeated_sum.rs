//! Repeated events that have a sum, such as lost frames and their time span.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Repeated;

/// Logs the sum of events when [`Repeated`] would log their number.
#[derive(Debug)]
pub struct RepeatedSum<T> {
    repeated: Repeated,
    /// Of the events that no line has reported.
    unreported: Arc<Mutex<Option<T>>>,
}

impl<T: Default + Send + 'static> RepeatedSum<T> {
    /// No event yet.
    pub fn new() -> Self {
        Self { repeated: Repeated::new(), unreported: Arc::default() }
    }

    /// Adds one event to the sum. `line` logs the sum of the events since the line before: here, or later on another
    /// thread, within this thread's span.
    pub fn add(&self, event: impl FnOnce(&mut T), line: impl FnOnce(T) + Send + 'static) {
        event(lock(&self.unreported).get_or_insert_default());
        let unreported = Arc::clone(&self.unreported);
        self.repeated.count(move |_| {
            // Another line may have had this event already.
            let sum = lock(&unreported).take();
            if let Some(sum) = sum {
                line(sum);
            }
        });
    }
}

impl<T: Default + Send + 'static> Default for RepeatedSum<T> {
    fn default() -> Self {
        Self::new()
    }
}

fn lock<T>(unreported: &Mutex<Option<T>>) -> MutexGuard<'_, Option<T>> {
    unreported.lock().unwrap_or_else(PoisonError::into_inner)
}
