use std::sync::Arc;
use std::thread;

use proptest::prelude::*;

use super::*;

const AT_ONCE: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(60);

/// A queue of at most three items and 100 bytes.
fn small() -> BoundedQueue<u32> {
    BoundedQueue::new(Limits::new(3, 100))
}

fn drain<T>(queue: &BoundedQueue<T>) -> Vec<T> {
    std::iter::from_fn(|| queue.try_pop()).collect()
}

#[test]
fn each_policy_keeps_its_end_of_the_stream() {
    let (latest, beginning) = (small(), small());
    for n in 0..10 {
        latest.force_push(n, 1).unwrap();
        let _ = beginning.try_push(n, 1);
    }
    assert_eq!((latest.stats().evicted.items, beginning.stats().rejected.items), (7, 7));
    assert_eq!((drain(&latest), drain(&beginning)), (vec![7, 8, 9], vec![0, 1, 2]));
}

#[test]
fn bytes_are_bounded_as_well_as_items() {
    let queue = small();
    assert_eq!(queue.try_push(0, 60), Ok(()));
    assert_eq!(queue.try_push(1, 41), Err(PushError::Full(1)));
    assert_eq!(queue.force_push(2, 41), Ok(vec![0]));
    assert_eq!(queue.force_push(3, 101), Err(PushError::Oversized(3)));
    assert_eq!((queue.stats().oversized, drain(&queue)), (Tally { items: 1, bytes: 101 }, vec![2]));
}

#[test]
fn an_item_of_any_size_is_admitted_alone_if_the_limits_allow_it() {
    let queue = BoundedQueue::new(Limits::new(3, 100).admitting_any_size());
    queue.try_push(0, 1).unwrap();
    assert_eq!(queue.try_push(1, 1000), Err(PushError::Full(1)));
    assert_eq!(queue.force_push(2, 1000), Ok(vec![0]));
    assert_eq!(queue.try_push(3, 1), Err(PushError::Full(3)));
}

#[test]
fn new_limits_apply_from_the_next_push() {
    let queue = small();
    (0..3).for_each(|n| queue.try_push(n, 10).unwrap());
    queue.set_limits(Limits::new(1, 100));
    assert_eq!(queue.stats().waiting.items, 3);
    assert_eq!(queue.force_push(3, 10), Ok(vec![0, 1, 2]));
}

#[tokio::test]
async fn an_item_in_flight_keeps_its_room() {
    let queue = BoundedQueue::new(Limits::new(2, 100));
    (0..2).for_each(|n| queue.try_push(n, 10).unwrap());
    assert_eq!(queue.pop_in_flight().await, Some(0));
    assert_eq!(queue.try_push(2, 10), Err(PushError::Full(2)));
    assert_eq!(queue.force_push(2, 10), Ok(vec![1]), "the item in flight is never evicted");
    queue.complete_in_flight();
    assert_eq!(queue.try_push(3, 10), Ok(()));
    assert_eq!(queue.pop_in_flight().await, Some(2));
    let mut waited = Vec::new();
    let lost = queue.abandon_with(|item| waited.push(item));
    assert_eq!((lost, queue.abandon(), waited), (2, 0, vec![3]), "each is counted once");
    queue.complete_in_flight();
    assert_eq!(queue.stats().abandoned, Tally { items: 2, bytes: 20 });
}

#[tokio::test]
async fn a_queue_with_an_item_in_flight_is_not_empty() {
    let queue = Arc::new(small());
    queue.try_push(0, 1).unwrap();
    queue.pop_in_flight().await;
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.wait_empty().await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    queue.complete_in_flight();
    tokio::time::timeout(LONG, waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_full_queue_makes_its_producer_wait() {
    let queue = Arc::new(small());
    (0..3).for_each(|n| queue.try_push(n, 1).unwrap());
    let producer = tokio::spawn({
        let queue = queue.clone();
        async move { queue.push(3, 1).await }
    });
    tokio::task::yield_now().await;
    assert!(!producer.is_finished());
    assert_eq!(queue.pop().await, Some(0));
    tokio::time::timeout(LONG, producer).await.unwrap().unwrap().unwrap();
    assert_eq!(drain(&queue), [1, 2, 3]);
}

#[tokio::test]
async fn closing_wakes_producer_and_consumer() {
    let queue = Arc::new(small());
    (0..3).for_each(|n| queue.try_push(n, 1).unwrap());
    let producer = tokio::spawn({
        let queue = queue.clone();
        async move { queue.push(3, 1).await }
    });
    tokio::task::yield_now().await;
    queue.close();
    assert_eq!(tokio::time::timeout(LONG, producer).await.unwrap().unwrap(), Err(PushError::Closed(3)));
    assert_eq!(queue.force_push(4, 1), Err(PushError::Closed(4)));
    assert_eq!((drain(&queue), queue.pop().await), (vec![0, 1, 2], None));
    assert_eq!(queue.blocking_pop_timeout(LONG), Popped::Closed);
}

#[test]
fn only_an_empty_queue_is_closed_if_empty() {
    let queue = small();
    queue.try_push(0, 1).unwrap();
    assert!(!queue.close_if_empty() && !queue.is_closed());
    assert_eq!(queue.blocking_pop_timeout(AT_ONCE), Popped::Item(0));
    assert_eq!(queue.blocking_pop_timeout(AT_ONCE), Popped::TimedOut);
    assert!(queue.close_if_empty() && queue.is_closed());
}

#[test]
fn a_waiting_thread_is_woken_by_an_item_and_by_closing() {
    let queue = Arc::new(small());
    let consumer = thread::spawn({
        let queue = queue.clone();
        move || (queue.blocking_pop_timeout(LONG), queue.blocking_pop_timeout(LONG))
    });
    queue.force_push(1, 1).unwrap();
    queue.close();
    assert_eq!(consumer.join().unwrap(), (Popped::Item(1), Popped::Closed));
}

#[test]
fn an_abandoned_queue_is_closed_and_empty() {
    let queue = small();
    (0..2).for_each(|n| queue.try_push(n, 1).unwrap());
    assert_eq!((queue.abandon(), queue.abandon()), (2, 0), "each is counted once");
    assert_eq!(queue.blocking_pop_timeout(LONG), Popped::Closed);
}

#[test]
fn threads_wait_as_producer_and_as_consumer() {
    let queue = Arc::new(BoundedQueue::new(Limits::new(1, 100)));
    let producer = thread::spawn({
        let queue = queue.clone();
        move || {
            (0..100).for_each(|n| queue.blocking_push(n, 1).unwrap());
            queue.close();
        }
    });
    let mut seen = Vec::new();
    while let Popped::Item(item) = queue.blocking_pop_timeout(LONG) {
        seen.push(item);
    }
    producer.join().unwrap();
    assert_eq!((seen, queue.blocking_pop()), ((0..100).collect(), None));
}

#[tokio::test]
async fn a_task_and_a_thread_exchange_items_in_both_directions() {
    let (to_thread, to_task) = (Arc::new(small()), Arc::new(small()));
    let thread = thread::spawn({
        let (to_thread, to_task) = (to_thread.clone(), to_task.clone());
        move || {
            while let Some(item) = to_thread.blocking_pop() {
                to_task.blocking_push(item + 1, 1).unwrap();
            }
            to_task.close();
        }
    });
    for n in 0..50 {
        to_thread.push(n, 1).await.unwrap();
        assert_eq!(to_task.pop().await, Some(n + 1));
    }
    to_thread.close();
    assert_eq!(to_task.pop().await, None);
    thread.join().unwrap();
}

/// Operations on a queue that do not wait.
#[derive(Debug, Clone, Copy)]
enum Operation {
    TryPush(usize),
    ForcePush(usize),
    Pop,
    PopInFlight,
    Complete,
    Limit(Limits),
    CloseIfEmpty,
    Abandon,
}

fn limits() -> impl Strategy<Value = Limits> {
    (0usize..6, 0usize..100, any::<bool>()).prop_map(|(items, bytes, any_size)| {
        let limits = Limits::new(items, bytes);
        if any_size { limits.admitting_any_size() } else { limits }
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => (0usize..60).prop_map(Operation::TryPush),
        8 => (0usize..60).prop_map(Operation::ForcePush),
        6 => Just(Operation::Pop),
        3 => Just(Operation::PopInFlight),
        3 => Just(Operation::Complete),
        1 => limits().prop_map(Operation::Limit),
        1 => Just(Operation::CloseIfEmpty),
        1 => Just(Operation::Abandon),
    ]
}

/// A model of the queue: a list of `(item, bytes)`, the one in flight first.
#[derive(Default)]
struct Model {
    items: Vec<(u32, usize)>,
    has_one_in_flight: bool,
    closed: bool,
}

impl Model {
    fn bytes(&self) -> usize {
        self.items.iter().map(|(_, bytes)| bytes).sum()
    }

    fn waiting(&self) -> usize {
        self.items.len() - usize::from(self.has_one_in_flight)
    }

    fn has_room(&self, bytes: usize, limits: Limits) -> bool {
        let fits = self.items.len() < limits.max_items && self.bytes() + bytes <= limits.max_bytes;
        self.waiting() == 0 || fits
    }

    /// Removes and returns the item that a pop returns.
    fn pop(&mut self) -> Option<u32> {
        (self.waiting() > 0).then(|| self.items.remove(usize::from(self.has_one_in_flight)).0)
    }

    fn push(
        &mut self,
        item: u32,
        bytes: usize,
        limits: Limits,
        evicts: bool,
    ) -> Result<Vec<u32>, PushError<u32>> {
        if self.closed {
            return Err(PushError::Closed(item));
        }
        if bytes > limits.max_item_bytes {
            return Err(PushError::Oversized(item));
        }
        let mut evicted = Vec::new();
        while evicts && !self.has_room(bytes, limits) {
            evicted.extend(self.pop());
        }
        if !self.has_room(bytes, limits) {
            return Err(PushError::Full(item));
        }
        self.items.push((item, bytes));
        Ok(evicted)
    }
}

proptest! {
    /// After any operations, the queue equals the list, stays within its limits, and counts every item.
    #[test]
    fn behaves_as_a_list(first in limits(), operations in prop::collection::vec(operation(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (queue, mut model, mut limits) = (BoundedQueue::new(first), Model::default(), first);
        let (mut offered, mut consumed) = (0, 0);
        for (n, operation) in operations.into_iter().enumerate() {
            let n = n as u32;
            match operation {
                Operation::TryPush(bytes) => {
                    offered += u64::from(!model.closed);
                    let expected = model.push(n, bytes, limits, false).map(drop);
                    prop_assert_eq!(queue.try_push(n, bytes), expected);
                }
                Operation::ForcePush(bytes) => {
                    offered += u64::from(!model.closed);
                    let expected = model.push(n, bytes, limits, true);
                    prop_assert_eq!(queue.force_push(n, bytes), expected);
                }
                Operation::Pop => {
                    let expected = model.pop();
                    consumed += u64::from(expected.is_some());
                    prop_assert_eq!(queue.try_pop(), expected);
                }
                Operation::PopInFlight if !model.has_one_in_flight && model.waiting() > 0 => {
                    model.has_one_in_flight = true;
                    let taken = runtime.block_on(queue.pop_in_flight());
                    prop_assert_eq!(taken, Some(model.items[0].0));
                }
                Operation::PopInFlight => {}
                Operation::Complete => {
                    if std::mem::take(&mut model.has_one_in_flight) {
                        model.items.remove(0);
                        consumed += 1;
                    }
                    queue.complete_in_flight();
                }
                Operation::Limit(new) => {
                    limits = new;
                    queue.set_limits(new);
                }
                Operation::CloseIfEmpty => {
                    model.closed |= model.waiting() == 0;
                    prop_assert_eq!(queue.close_if_empty(), model.closed);
                }
                Operation::Abandon => {
                    let lost = std::mem::take(&mut model.items).len();
                    (model.closed, model.has_one_in_flight) = (true, false);
                    prop_assert_eq!(queue.abandon(), lost);
                }
            }
            let stats = queue.stats();
            let held = stats.waiting.items + stats.in_flight.items;
            prop_assert_eq!(held, model.items.len() as u64);
            prop_assert_eq!(stats.waiting.bytes + stats.in_flight.bytes, model.bytes() as u64);
            prop_assert_eq!(stats.offered().items, offered);
            prop_assert_eq!(stats.accepted.items, consumed + stats.evicted.items + stats.abandoned.items + held);
        }
    }

    /// Constant limits hold at every moment.
    #[test]
    fn stays_within_its_limits(
        sizes in prop::collection::vec((0usize..60, any::<bool>(), any::<bool>()), 0..200),
        max_items in 0usize..8,
    ) {
        let queue = BoundedQueue::new(Limits::new(max_items, 50));
        let mut popped = Vec::new();
        for (n, (bytes, evicts, pops)) in sizes.into_iter().enumerate() {
            if evicts {
                let _ = queue.force_push(n, bytes);
            } else {
                let _ = queue.try_push(n, bytes);
            }
            let waiting = queue.stats().waiting;
            prop_assert!(waiting.items <= max_items.max(1) as u64 && waiting.bytes <= 50, "{:?}", waiting);
            if pops {
                popped.extend(queue.try_pop());
            }
        }
        popped.extend(drain(&queue));
        prop_assert!(popped.is_sorted_by(|one, next| one < next));
    }

    /// With items of any size, a single item may exceed the bytes. The newest item is always accepted, and every item
    /// is counted.
    #[test]
    fn the_oldest_items_are_evicted_for_an_item_of_any_size(
        steps in prop::collection::vec(prop::option::of(0usize..50), 1..200),
        max_items in 1usize..9,
        max_bytes in 0usize..120,
    ) {
        let queue = BoundedQueue::new(Limits::new(max_items, max_bytes).admitting_any_size());
        let (mut pushed, mut popped, mut evicted) = (0usize, vec![], 0);
        for step in steps {
            if let Some(bytes) = step {
                evicted += queue.force_push(pushed, bytes).unwrap().len();
                pushed += 1;
            } else if let Popped::Item(item) = queue.blocking_pop_timeout(AT_ONCE) {
                popped.push(item);
            }
            let waiting = queue.stats().waiting;
            prop_assert!(waiting.items <= max_items as u64);
            prop_assert!(waiting.bytes <= max_bytes as u64 || waiting.items == 1);
        }
        popped.extend(drain(&queue));
        prop_assert!(popped.is_sorted());
        prop_assert_eq!(popped.len() + evicted, pushed);
        prop_assert_eq!(queue.stats().evicted.items, evicted as u64);
    }
}
