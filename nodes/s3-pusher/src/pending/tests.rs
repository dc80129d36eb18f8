use super::*;
use crate::failure::Hold;
use crate::upload::Upload;
use bytes::Bytes;
use futures_util::FutureExt as _;
use msight_proto::{Head, Sample, VideoData};
use msight_segment::{Folders, Layout, Segment};

fn upload(second: f64, bytes: usize) -> Job {
    let body = VideoData {
        video: Some(Bytes::from(vec![0; bytes])),
        detection_results: None,
        frame_ids: None,
        capture_timestamps: Some(vec![second]),
        video_file: None,
    };
    let sample = Sample::new(Head::new("s".to_owned(), second), body);
    let layout = Layout::new("", "d", Folders::Utc).unwrap();
    Upload::new(Segment::new(sample, &layout, "d").unwrap(), false).into()
}

fn of(count: u32) -> Pending {
    let pending = Pending::new(1 << 20, RetryPolicy::default());
    for second in 0..count {
        pending.push(upload(second.into(), 10), None);
    }
    pending
}

fn take(pending: &Pending) -> Option<PendingUpload> {
    pending.take().now_or_never().flatten()
}

fn fail(pending: &Pending, class: Class) -> Option<u64> {
    let ticket = take(pending)?;
    let number = ticket.number;
    pending.failed(ticket, &Failure::new(class, "no"));
    Some(number)
}

fn refuse(pending: &Pending) -> Option<u64> {
    fail(pending, Class::Held(Hold::Denied))
}

const BUSY: Class = Class::Transient(None);

/// As if all times of waiting were over.
fn later(pending: &Pending) {
    let (mut state, now) = (pending.state(), Instant::now());
    state.probe_at = Some(now);
    state.waiting.values_mut().filter_map(|ticket| ticket.again_at.as_mut()).for_each(|at| *at = now);
}

#[test]
fn oldest_first_and_nothing_forgotten() {
    let pending = Pending::new(1 << 20, RetryPolicy::default());
    for second in [3.0, 1.0, 2.0] {
        let room = pending.room(10).now_or_never().unwrap();
        pending.push(upload(second, 10), room);
    }
    let first = take(&pending).unwrap();
    assert!(first.job.name().ends_with("/3_3"));
    let backlog = pending.backlog();
    assert_eq!((backlog.segments, backlog.bytes), (3, 30), "what is being uploaded is not safe yet");
    assert_eq!(backlog.percent, 3 * 100 / 16);
    pending.done(first);
    assert_eq!(pending.unfinished().len(), 2);
    pending.close();
    assert!(take(&pending).is_some() && take(&pending).is_some() && take(&pending).is_none());
    assert_eq!(pending.unfinished().len(), 2);
}

#[test]
fn a_full_budget_makes_wait_and_a_giant_goes_alone() {
    let pending = Pending::new(4 * UNIT, RetryPolicy::default());
    let giant = pending.room(usize::MAX).now_or_never().unwrap();
    assert!(pending.room(1).now_or_never().is_none());
    pending.push(upload(1.0, 10), giant);
    assert_eq!(pending.backlog().percent, 100);
    let ticket = take(&pending).unwrap();
    assert!(pending.room(1).now_or_never().is_none());
    pending.done(ticket);
    let rooms: Vec<_> = (0..4).map(|_| pending.room(1).now_or_never().unwrap()).collect();
    assert!(pending.room(1).now_or_never().is_none());
    drop(rooms);
}

#[tokio::test]
async fn refused_ones_stand_aside_and_take_turns() {
    let pending = of(5);
    assert_eq!([refuse(&pending), refuse(&pending), refuse(&pending)], [Some(0), Some(1), Some(2)]);
    assert_eq!(refuse(&pending), None, "all are held");
    let mut probed = Vec::new();
    for _ in 0..6 {
        later(&pending);
        probed.extend(refuse(&pending));
        assert_eq!(refuse(&pending), None, "one probe at a time");
    }
    assert_eq!(probed, [3, 4, 0, 1, 2, 3]);

    // A new one is the next probe; it is taken, and the others stand aside still.
    pending.push(upload(5.0, 10), None);
    later(&pending);
    let taken = take(&pending).unwrap();
    assert_eq!((taken.number, taken.probe), (5, true));
    for ticket in pending.state().waiting.values_mut() {
        ticket.again_at = Some(Instant::now() + Duration::from_secs(60));
    }
    pending.done(taken);
    assert!(pending.backlog().aside);
    pending.push(upload(6.0, 10), None);
    let taken = take(&pending).unwrap();
    assert_eq!((taken.number, taken.probe), (6, false));
    pending.done(taken);
    assert!(take(&pending).is_none());

    // When one of them is taken, all may go, oldest first.
    later(&pending);
    let order: Vec<_> =
        std::iter::from_fn(|| take(&pending).map(|t| (t.number, pending.done(t)).0)).collect();
    assert_eq!(order, [4, 0, 1, 2, 3], "the one tried least, then by age");
    assert!(!pending.backlog().aside);
}

#[tokio::test]
async fn the_first_that_comes_through_after_an_outage_lets_all_go() {
    let pending = of(5);
    assert_eq!([BUSY; 3].map(|class| fail(&pending, class)), [Some(0), Some(1), Some(2)]);
    assert!(take(&pending).is_none(), "during an outage only a probe is tried");
    assert!(pending.backlog().failing.is_some());
    later(&pending);
    let probe = take(&pending).unwrap();
    assert_eq!((probe.number, probe.probe), (3, true));
    pending.done(probe);
    assert_eq!((pending.backlog().failing, pending.backlog().aside), (None, false));
    let order: Vec<_> = std::iter::from_fn(|| take(&pending).map(|t| t.number)).collect();
    assert_eq!(order, [0, 1, 2, 4]);
}

#[tokio::test]
async fn a_probe_that_hangs_gets_another_beside_it() {
    let pending = of(4);
    assert_eq!([BUSY; 3].map(|class| fail(&pending, class)), [Some(0), Some(1), Some(2)]);
    later(&pending);
    let hangs = take(&pending).unwrap();
    assert!(take(&pending).is_none(), "one probe at a time");
    let taken = Instant::now();
    assert!(pending.state().next_at(taken).unwrap() > taken + HUNG / 2);
    pending.state().probing = Some(taken - HUNG);
    let beside = take(&pending).unwrap();
    assert!(hangs.number != beside.number && beside.probe);
    pending.done(beside);
    assert_eq!(std::iter::from_fn(|| take(&pending)).count(), 2, "the way is open again");
    pending.done(hangs);
    assert!(!pending.backlog().aside);
}

#[tokio::test]
async fn a_segment_that_fails_alone_stands_aside_for_itself() {
    let pending = of(1);
    for number in 1..20 {
        assert_eq!(fail(&pending, BUSY), Some(0));
        pending.push(upload(number.into(), 10), None);
        let other = take(&pending).unwrap();
        assert_eq!((other.number, other.probe), (u64::from(number as u32), false));
        pending.done(other);
        assert!(pending.backlog().failing.is_none() && pending.backlog().aside);
        assert!(take(&pending).is_none());
        later(&pending);
    }
}

#[tokio::test]
async fn what_the_server_asks_for_holds_for_all() {
    let pending = of(2);
    assert_eq!(fail(&pending, Class::Transient(Some(Duration::from_secs(60)))), Some(0));
    later(&pending);
    assert!(take(&pending).is_none(), "the second is not sent either");
    let quiet = pending.state().quiet_until.unwrap() - Instant::now();
    assert!(quiet > Duration::from_secs(50) && quiet <= Duration::from_secs(60), "{quiet:?}");
    pending.state().quiet_until = Some(Instant::now());
    assert!(take(&pending).is_some() && take(&pending).is_some());
}

#[tokio::test]
async fn the_end_tries_all_once_more() {
    let pending = of(2);
    refuse(&pending);
    assert_eq!(fail(&pending, Class::Transient(Some(Duration::from_secs(60)))), Some(1));
    assert!(take(&pending).is_none());
    pending.close();
    assert_eq!(refuse(&pending), Some(0));
    let wait = pending.state().waiting[&0].again_at.unwrap() - Instant::now();
    assert!(wait <= HURRY, "{wait:?}");
}
