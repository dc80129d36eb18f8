//! What cameras say of the time: timestamps, and sender reports (RFC 3550, section 6.4.1).

use crate::camera::{Camera, FPS, STEP, well_behaved_stamp};
use crate::row::{Row, mistimed, timed_by_arrival, whole};

const HOUR: u32 = 3600 * 90_000;

pub(crate) fn rows() -> Vec<Row> {
    [stamps(), reports()].concat()
}

fn stamps() -> Vec<Row> {
    vec![
        timed_by_arrival("time: stamps stand at 0", |c| c.stamp = |_| 0),
        timed_by_arrival("time: stamps stand at a value", |c| c.stamp = |_| well_behaved_stamp(0)),
        whole("time: stamps begin at 0", |c| c.stamp = |frame| frame as u32 * STEP),
        whole("time: stamps wrap", |c| c.stamp = |frame| (frame as u32 * STEP).wrapping_sub(20 * STEP)),
        mistimed("time: stamps in milliseconds", 2.5, |c| {
            c.stamp = |frame| frame as u32 * (1000.0 / FPS) as u32;
        }),
        mistimed("time: stamps in microseconds", 4.5, |c| {
            c.stamp = |frame| frame as u32 * (1e6 / FPS) as u32;
        }),
        mistimed("time: stamps count frames", 2.5, |c| c.stamp = |frame| frame as u32),
        mistimed("time: stamps of twice the rate", 2.5, |c| c.stamp = |frame| frame as u32 * STEP * 2),
        mistimed("time: stamps of half the rate", 2.5, |c| c.stamp = |frame| frame as u32 * STEP / 2),
        mistimed("time: stamps go back", 2.5, |c| c.stamp = |frame| well_behaved_stamp(40 - frame)),
        timed_by_arrival("time: stamps are random", |c| {
            c.stamp = |frame| (frame as u32 + 1).wrapping_mul(2_654_435_761);
        }),
        whole("time: each stamp is on two frames", |c| c.stamp = |frame| well_behaved_stamp(frame / 2 * 2)),
        whole("time: one stamp an hour ahead", |c| c.stamp = |frame| stray(frame, HOUR)),
        whole("time: one stamp an hour behind", |c| c.stamp = |frame| stray(frame, HOUR.wrapping_neg())),
        whole("time: one stamp of 0", |c| {
            c.stamp = |frame| if frame == 15 { 0 } else { well_behaved_stamp(frame) }
        }),
        whole("time: one stamp of the frame before", |c| c.stamp = |frame| stray(frame, STEP.wrapping_neg())),
        whole("time: stamps jump an hour ahead", |c| c.stamp = |frame| jump(frame, HOUR)),
        whole("time: stamps jump an hour back", |c| c.stamp = |frame| jump(frame, HOUR.wrapping_neg())),
        whole("time: stamps jump a second ahead", |c| c.stamp = |frame| jump(frame, 90_000)),
        whole("time: stamps begin again with each key frame", |c| c.stamp = |frame| frame as u32 % 10 * STEP),
        whole("time: stamps swap in pairs", |c| c.stamp = |frame| well_behaved_stamp(frame ^ 1)),
        whole("time: stamps jitter by 20 ms", |c| {
            c.stamp = |frame| well_behaved_stamp(frame) + if frame.is_multiple_of(2) { 1800 } else { 0 };
        }),
    ]
}

fn reports() -> Vec<Row> {
    vec![
        whole("report: none", |c| c.reports(|_, _| Vec::new())),
        whole("report: time 0", |c| edit(c, |report| report[8..16].fill(0))),
        whole("report: time of 1970", |c| {
            edit(c, |report| report[8..12].copy_from_slice(&2_208_988_800_u32.to_be_bytes()));
        }),
        whole("report: a day ahead", |c| edit(c, |report| add(&mut report[8..12], 86_400))),
        whole("report: a day behind", |c| {
            edit(c, |report| add(&mut report[8..12], 86_400_u32.wrapping_neg()));
        }),
        whole("report: timestamp 0", |c| edit(c, |report| report[16..20].fill(0))),
        whole("report: timestamp an hour ahead", |c| edit(c, |report| add(&mut report[16..20], HOUR))),
        whole("report: of another source", |c| edit(c, |report| report[4..8].fill(9))),
        whole("report: one of the later is an hour ahead", |c| {
            c.reports(|frame, mut reports| {
                reports.iter_mut().filter(|_| frame == 20).for_each(|report| add(&mut report[8..12], 3600));
                reports
            });
        }),
        whole("report: with a length that is too large", |c| edit(c, |report| report[3] = 60)),
        whole("report: with a block that is missing", |c| edit(c, |report| report[0] |= 1)),
        whole("report: twice", |c| {
            c.reports(|_, mut reports| {
                reports.extend(reports.clone());
                reports
            });
        }),
    ]
}

fn stray(frame: usize, by: u32) -> u32 {
    if frame == 15 { well_behaved_stamp(frame).wrapping_add(by) } else { well_behaved_stamp(frame) }
}

fn jump(frame: usize, by: u32) -> u32 {
    if frame >= 15 { well_behaved_stamp(frame).wrapping_add(by) } else { well_behaved_stamp(frame) }
}

fn edit(c: &mut Camera, edit: fn(&mut Vec<u8>)) {
    c.reports(move |_, mut reports| {
        reports.iter_mut().for_each(edit);
        reports
    });
}

/// Adds to a number of four bytes.
fn add(bytes: &mut [u8], value: u32) {
    let number = bytes.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    bytes.copy_from_slice(&number.wrapping_add(value).to_be_bytes());
}
