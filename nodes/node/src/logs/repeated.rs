//! Facts that repeat: counted always, said at most once a second, and less often while they last.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{Span, dispatcher};

/// Says something that may happen thousands of times a second with how often it happened: the first time at once, then
/// after a second, and in twice the time with each line, down to twice a minute. Half a minute without it, and it is
/// news again.
///
/// ```
/// let full = msight_node::logs::Repeated::new();
/// for _ in 0..1000 {
///     full.count(|times| tracing::warn!(times, "queue full, oldest frame dropped"));
/// }
/// ```
///
/// That logs two lines, `times=1` at once and `times=999` when the value is dropped: nothing that was counted stays
/// unsaid for longer than until the next line is due, whether or not it happens again.
#[derive(Debug, Default)]
pub struct Repeated(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    unsaid: u64,
    /// How to say what is unsaid.
    line: Option<Line>,
    said: Option<Instant>,
    /// When it happened last.
    last: Option<Instant>,
    /// From the last line to the next.
    interval: Duration,
    /// The timer will look here.
    timed: bool,
}

type Line = Box<dyn FnOnce(u64) + Send>;

/// The least time between two lines about one fact, and the most.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

impl Repeated {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// It happened once more, now. `line` logs it, with how often it happened since the line before: here, or later on
    /// another thread, within this thread's span.
    pub fn count(&self, line: impl FnOnce(u64) + Send + 'static) {
        self.add(1, line);
    }

    /// As [`count`](Self::count), `count` more times.
    pub fn add(&self, count: u64, line: impl FnOnce(u64) + Send + 'static) {
        let now = Instant::now();
        let mut state = lock(&self.0);
        if state.happened(count, now) {
            let times = state.say(now);
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
            && !std::mem::replace(&mut state.timed, true)
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
            let times = state.say(Instant::now());
            drop(state);
            line(times);
        }
    }
}

impl State {
    /// Counts; whether that is to be said now.
    fn happened(&mut self, count: u64, now: Instant) -> bool {
        self.unsaid = self.unsaid.saturating_add(count);
        let last = self.last.replace(now);
        if last.is_none_or(|last| now.saturating_duration_since(last) >= INTERVALS.1) {
            self.interval = Duration::ZERO;
        }
        self.due().is_none_or(|due| now >= due)
    }

    /// When the next line may be written; `None` is at once.
    fn due(&self) -> Option<Instant> {
        self.said.map(|said| said + self.interval)
    }

    /// What to say now.
    fn say(&mut self, now: Instant) -> u64 {
        self.said = Some(now);
        self.interval = (self.interval * 2).clamp(INTERVALS.0, INTERVALS.1);
        self.line = None;
        std::mem::take(&mut self.unsaid)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("unsaid", &self.unsaid)
            .field("said", &self.said)
            .finish_non_exhaustive()
    }
}

fn lock(state: &Mutex<State>) -> std::sync::MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

type Reminder = (Instant, Weak<Mutex<State>>);

/// Has what is unsaid then said at `due`, by one thread for all facts: some happen on threads without a runtime.
fn remind(due: Instant, state: Weak<Mutex<State>>) {
    static TIMER: OnceLock<Option<mpsc::Sender<Reminder>>> = OnceLock::new();
    let timer = TIMER.get_or_init(|| {
        let (sender, receiver) = mpsc::channel();
        // Without a thread it is said when it happens again, or at the end.
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
                // It was said meanwhile, and happened again.
                Some(later) if later > now && state.line.is_some() => {
                    *due = later;
                    return true;
                }
                _ => state.timed = false,
            }
            if let Some(line) = state.line.take() {
                let times = state.say(now);
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
    fn less_and_less_often_and_anew_after_a_rest() {
        let start = Instant::now();
        let mut state = State::default();
        let mut said = Vec::new();
        // Ten times a second for two minutes; a rest of 31 s; once more.
        for tenth in (0..1200).chain([1510, 1511]) {
            let now = start + Duration::from_millis(tenth * 100);
            if state.happened(1, now) {
                said.push((tenth, state.say(now)));
            }
        }
        assert_eq!(
            said,
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
    fn what_does_not_happen_again_is_said_all_the_same() {
        let (sender, said) = mpsc::channel();
        let line = |sender: &mpsc::Sender<u64>| {
            let sender = sender.clone();
            move |times| sender.send(times).unwrap()
        };
        let repeated = Repeated::new();
        repeated.count(line(&sender));
        repeated.count(line(&sender));
        repeated.add(2, line(&sender));
        let next = || said.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!((next(), next()), (1, 3));
        // At the end it is said at once.
        repeated.count(line(&sender));
        drop(repeated);
        assert_eq!(next(), 1);
    }
}
