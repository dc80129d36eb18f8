//! Finds the number of cameras that the machine can handle.

use anyhow::Result;
use serde::Serialize;

use super::chain::Chain;
use super::flags::Args;
use super::frames::Frames;
use super::job::Job;
use super::progress::{Progress, counted};
use super::rig::Rig;
use super::window::{Snapshot, WARM_UP, Window};

/// The share of expected frames below which a camera counts as slow.
pub(super) const SLOW: f64 = 0.98;

/// A step: a number of cameras and its frames.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Step {
    pub(super) cameras: u16,
    /// Its cost; `None` if not even the first frames arrived.
    pub(super) window: Option<Window>,
    /// Frames that the programs lost in the window.
    pub(super) lost: u64,
    /// Frames that were sent in the window and not encoded at its end.
    pub(super) behind: u64,
    /// Why it was too much; `None` if it was not.
    pub(super) too_much: Option<String>,
}

/// Doubles the number of cameras until it is too much, then halves the difference.
pub(super) async fn find(rig: &Rig, args: &Args, progress: &Progress) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    while let Some(cameras) = next(&steps, args.max_cameras) {
        let seconds = args.step.as_secs_f64();
        progress.say(format_args!("trying {} for {seconds:.0} s", counted(cameras)));
        let step = try_out(rig, args, cameras).await?;
        match &step.too_much {
            None => progress.say(format_args!("{}: no frame dropped", counted(cameras))),
            Some(why) => progress.say(format_args!("{}: overloaded, {why}", counted(cameras))),
        }
        steps.push(step);
    }
    Ok(steps)
}

/// The number to try next; `None` when the result is known.
fn next(steps: &[Step], max: u16) -> Option<u16> {
    let carried = steps.iter().filter(|step| step.too_much.is_none()).map(|step| step.cameras).max();
    let overloaded = steps.iter().filter(|step| step.too_much.is_some()).map(|step| step.cameras).min();
    match (carried.unwrap_or(0), overloaded) {
        (0, None) => Some(1),
        (carried, None) if carried < max => Some(carried.saturating_mul(2).min(max)),
        (_, None) => None,
        (carried, Some(overloaded)) => {
            (overloaded - carried > 1).then_some(carried + (overloaded - carried) / 2)
        }
    }
}

async fn try_out(rig: &Rig, args: &Args, cameras: u16) -> Result<Step> {
    let mut chain = Chain::start(rig, Job::new(rig, args, &format!("{cameras}-cameras"))).await?;
    let measured = measure(&mut chain, rig, args, cameras).await;
    // A program that has ended is an error ...
    chain.check()?;
    rig.check().await?;
    // ... but a failure under load means too many cameras.
    let step = measured.unwrap_or_else(|error| Step {
        cameras,
        window: None,
        lost: 0,
        behind: 0,
        too_much: Some(format!("{error:#}")),
    });
    let stopped = chain.stop().await;
    if step.too_much.is_none() {
        stopped?;
    }
    Ok(step)
}

async fn measure(chain: &mut Chain, rig: &Rig, args: &Args, cameras: u16) -> Result<Step> {
    chain.begin(rig, cameras).await?;
    tokio::time::sleep(WARM_UP.min(args.step)).await;
    let before = chain.frames().await?;
    let from = Snapshot::take(chain, rig).await?;
    tokio::time::sleep(args.step).await;
    let window = from.until(&Snapshot::take(chain, rig).await?, rig);
    let frames = chain.frames().await?.since(&before);
    let expected = f64::from(cameras) * rig.recording.fps();
    let too_much = judge(&window, &frames, expected);
    Ok(Step { cameras, window: Some(window), lost: frames.lost(), behind: frames.in_progress(), too_much })
}

/// Why it was too much, if it was: frames were lost, or accumulate and would soon be lost. `expected` is in frames per
/// second.
fn judge(window: &Window, frames: &Frames, expected: f64) -> Option<String> {
    let (lost, behind) = (frames.lost(), frames.in_progress());
    let rate = window.frames as f64 / window.seconds;
    let what = if lost > 0 {
        let worst = frames.lost.iter().max_by_key(|lost| lost.count);
        let worst = worst.map_or_else(String::new, |worst| {
            let reason = worst.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            format!(", most of them by {}: {}{reason}", worst.by, worst.counter)
        });
        format!("{lost} frames lost{worst}")
    } else if behind as f64 > expected {
        format!("{behind} frames behind at the end, more than one second of video")
    } else if rate < SLOW * expected {
        format!("the cameras reached only {rate:.1} of {expected:.1} frames per second")
    } else {
        return None;
    };
    Some(format!("{what}; CPU load of the machine {:.0} %", window.machine_busy * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use msight_supervise::scrape::Lost;

    /// The numbers that are tried if `carried` cameras are possible.
    fn tried(carried: u16, max: u16) -> Vec<u16> {
        let mut steps = Vec::new();
        while let Some(cameras) = next(&steps, max) {
            let too_much = (cameras > carried).then(String::new);
            steps.push(Step { cameras, window: None, lost: 0, behind: 0, too_much });
            assert!(steps.len() < 20);
        }
        steps.iter().map(|step| step.cameras).collect()
    }

    #[test]
    fn the_number_of_cameras_doubles_and_then_halves_the_difference() {
        assert_eq!(tried(5, 32), [1, 2, 4, 8, 6, 5]);
        assert_eq!(tried(7, 32), [1, 2, 4, 8, 6, 7]);
        assert_eq!(tried(0, 32), [1]);
        assert_eq!(tried(1, 1), [1]);
        assert_eq!(tried(64, 6), [1, 2, 4, 6]);
    }

    #[test]
    fn lost_frames_queued_frames_and_slow_cameras_are_too_much() {
        let window = Window {
            seconds: 10.0,
            frames: 100,
            costs: Vec::new(),
            bench_cpu_ms_per_frame: 0.0,
            machine_busy: 0.97,
        };
        let frames = |sent, encoded| Frames { sent, encoded, ..Frames::default() };
        assert_eq!(judge(&window, &frames(100, 95), 10.0), None);
        let why = |window: &Window, frames: &Frames| judge(window, frames, 10.0).expect("too much");
        let lost =
            |by: &str, count| Lost { by: by.to_owned(), counter: "dropped".to_owned(), reason: None, count };
        let losing = Frames { lost: vec![lost("x", 1), lost("y", 2)], ..frames(100, 97) };
        let said = why(&window, &losing);
        assert!(said.contains("3 frames lost") && said.contains("by y"), "{said}");
        // Losses in the warm-up do not count.
        let begin = Frames { lost: vec![lost("x", 90)], ..frames(200, 110) };
        let end = Frames { lost: vec![lost("x", 91), lost("y", 2)], ..frames(300, 207) };
        assert_eq!(end.since(&begin), losing);
        let end = Frames { lost: vec![lost("x", 90)], ..frames(300, 205) };
        assert_eq!(judge(&window, &end.since(&begin), 10.0), None);
        let behind = why(&window, &frames(100, 80));
        assert!(behind.contains("20 frames behind") && behind.contains("97 %"), "{behind}");
        let slow = Window { frames: 90, ..window };
        assert!(why(&slow, &frames(90, 90)).contains("9.0 of 10.0"));
    }
}
