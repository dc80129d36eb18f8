//! Repeated events: each is counted, and logged at most once a second, less often while they go on.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{Span, dispatcher};

/// Logs an event that may happen thousands of times a second, with the number of times since the line before: the first
/// time at once, then after a second, then after twice the time with each line, up to half a minute. After half a minute
/// without the event it starts anew.
///
/// ```
/// let full = msight_node::logs::Repeated::new();
/// for _ in 0..1000 {
///     full.count(|times| tracing::warn!(times, "queue full, oldest frame dropped"));
/// }
/// ```
///
/// That logs two lines, `times=1` at once and `times=999` when the value is dropped. Every count is logged when the next
/// line is due at the latest, whether or not the event happens again.
#[derive(Debug, Default)]
pub struct Repeated(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Events since the last line.
    pending: u64,
    /// Logs the pending events.
    line: Option<Line>,
    /// When the last line was logged.
    logged: Option<Instant>,
    /// When the last event happened.
    last: Option<Instant>,
    /// From the last line to the next.
    interval: Duration,
    /// Whether the timer has a reminder for this state.
    is_timed: bool,
}

type Line = Box<dyn FnOnce(u64) + Send>;

/// The shortest and the longest time between two lines about one event.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

impl Repeated {
    /// No event yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one event. `line` logs it with the number of events since the line before: here, or later on another
    /// thread, within this thread's span.
    pub fn count(&self, line: impl FnOnce(u64) + Send + 'static) {
        self.add(1, line);
    }

    /// Counts `count` events, as [`count`](Self::count) does.
    pub fn add(&self, count: u64, line: impl FnOnce(u64) + Send + 'static) {
        let now = Instant::now();
        let mut state = lock(&self.0);
        if state.happened(count, now) {
            let times = state.log(now);
            drop(state);
            return line(times);
        }
        if state.line.is_none() {
            let (span, subscriber) = (Span::current(), dispatcher::get_default(Clone::clone));
            state.line = Some(Box::new(move |times| {
                dispatcher::with_default(&subscriber, || span.in_scope(|| line(times)));
            }));
        }
        if let Some(due) = state.due()
            && !std::mem::replace(&mut state.is_timed, true)
        {
            drop(state);
            remind(due, Arc::downgrade(&self.0));
        }
    }
}

impl Drop for Repeated {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        if let Some(line) = state.line.take() {
            let times = state.log(Instant::now());
            drop(state);
            line(times);
        }
    }
}

impl State {
    /// Counts events; whether to log them now.
    fn happened(&mut self, count: u64, now: Instant) -> bool {
        self.pending = self.pending.saturating_add(count);
        let last = self.last.replace(now);
        if last.is_none_or(|last| now.saturating_duration_since(last) >= INTERVALS.1) {
            self.interval = Duration::ZERO;
        }
        self.due().is_none_or(|due| now >= due)
    }

    /// When the next line may be written; `None` is at once.
    fn due(&self) -> Option<Instant> {
        self.logged.map(|logged| logged + self.interval)
    }

    /// Takes the number of events for the line that is logged now.
    fn log(&mut self, now: Instant) -> u64 {
        self.logged = Some(now);
        self.interval = (self.interval * 2).clamp(INTERVALS.0, INTERVALS.1);
        self.line = None;
        std::mem::take(&mut self.pending)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("pending", &self.pending)
            .field("logged", &self.logged)
            .finish_non_exhaustive()
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

type Reminder = (Instant, Weak<Mutex<State>>);

/// Has the pending events logged at `due`, by one thread for all events: some happen on threads without a runtime.
fn remind(due: Instant, state: Weak<Mutex<State>>) {
    static TIMER: OnceLock<Option<mpsc::Sender<Reminder>>> = OnceLock::new();
    let timer = TIMER.get_or_init(|| {
        let (sender, receiver) = mpsc::channel();
        // Without a thread they are logged with the next event, or at the end.
        thread::Builder::new().name("repeated".to_owned()).spawn(move || run_timer(&receiver)).ok()?;
        Some(sender)
    });
    if let Some(timer) = timer {
        let _ = timer.send((due, state));
    }
}

fn run_timer(incoming: &mpsc::Receiver<Reminder>) {
    let mut reminders: Vec<Reminder> = Vec::new();
    loop {
        let next = reminders.iter().map(|(due, _)| *due).min();
        let wait = next.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
        match incoming.recv_timeout(wait) {
            Ok(reminder) => reminders.push(reminder),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        reminders.retain_mut(|(due, state)| {
            if *due > now {
                return true;
            }
            let Some(state) = state.upgrade() else { return false };
            let mut state = lock(&state);
            match state.due() {
                // A line was logged meanwhile, and more events came.
                Some(later) if later > now && state.line.is_some() => {
                    *due = later;
                    return true;
                }
                _ => state.is_timed = false,
            }
            if let Some(line) = state.line.take() {
                let times = state.log(now);
                drop(state);
                line(times);
            }
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_rarer_and_start_anew_after_a_rest() {
        let start = Instant::now();
        let mut state = State::default();
        let mut logged = Vec::new();
        // Ten times a second for two minutes; a rest of 31 s; once more.
        for tenth in (0..1200).chain([1510, 1511]) {
            let now = start + Duration::from_millis(tenth * 100);
            if state.happened(1, now) {
                logged.push((tenth, state.log(now)));
            }
        }
        assert_eq!(
            logged,
            [
                (0, 1),
                (10, 10),
                (30, 20),
                (70, 40),
                (150, 80),
                (310, 160),
                (610, 300),
                (910, 300),
                (1510, 290)
            ]
        );
    }

    #[test]
    fn the_last_events_are_logged_without_another_one() {
        let (sender, logged) = mpsc::channel();
        let line = |sender: &mpsc::Sender<u64>| {
            let sender = sender.clone();
            move |times| sender.send(times).unwrap()
        };
        let repeated = Repeated::new();
        repeated.count(line(&sender));
        repeated.count(line(&sender));
        repeated.add(2, line(&sender));
        let next = || logged.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!((next(), next()), (1, 3));
        // Dropping the value logs the rest at once.
        repeated.count(line(&sender));
        drop(repeated);
        assert_eq!(next(), 1);
    }
}
