//! Formats the results as a table.

use std::fmt::Write as _;

use super::access_units::AccessUnits;
use super::auto::SLOW;
use super::delay::Delay;
use super::peers::PeerCost;
use super::progress::counted;
use super::report::{Report, Run, Setup};
use super::window::Window;

impl Report {
    /// The results as text.
    pub(super) fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Setup { width, height, fps, camera_bitrate, buffer_size, bitrate, .. } = &self.setup;
        writeln!(out, "{}", self.machine.line())?;
        let versions: Vec<&str> = self.versions.values().map(String::as_str).collect();
        writeln!(out, "{}", versions.join("; "))?;
        let cameras = self.setup.cameras.or(self.cameras_carried).unwrap_or(0);
        writeln!(
            out,
            "{} of {width}x{height} at {fps:.4} frames/s and {}; segments of {buffer_size} frames at {}",
            counted(cameras),
            megabits(*camera_bitrate),
            megabits((*bitrate).into())
        )?;
        for step in &self.steps {
            let verdict = step.too_much.as_deref().unwrap_or("no frame dropped");
            writeln!(out, "  {:<12} {verdict}", counted(step.cameras))?;
        }
        if let Some(carried) = self.cameras_carried {
            writeln!(out, "maximum without a dropped frame: {}", counted(carried))?;
        }
        if let Some(window) = &self.window {
            writeln!(out)?;
            self.write_costs(out, window)?;
        }
        if let Some(copied) = &self.copied {
            copied.write(out)?;
        }
        self.run.as_ref().map_or(Ok(()), |run| self.write_run(out, run))
    }

    fn write_costs(&self, out: &mut String, window: &Window) -> std::fmt::Result {
        let idle = self.run.as_ref().map(|run| run.idle.as_slice()).unwrap_or_default();
        writeln!(
            out,
            "{:<30} {:>12} {:>7} {:>9} {:>9} {:>11} {:>10}",
            "", "CPU/frame", "cores", "peak RSS", "idle CPU", "idle RSS", "file size"
        )?;
        for cost in &window.costs {
            let name = match cost.processes {
                1 => cost.program.clone(),
                processes => format!("{} ({processes})", cost.program),
            };
            let idle = idle.iter().find(|idle| idle.program == cost.program);
            writeln!(
                out,
                "{name:<30} {:>9.2} ms {:>7.3} {:>9} {:>9} {:>11} {:>10}",
                cost.cpu_ms_per_frame,
                cost.cores,
                megabytes(cost.peak_bytes),
                idle.map(|idle| format!("{:.2} %", idle.cpu_percent)).unwrap_or_default(),
                idle.map(|idle| megabytes(idle.resident_bytes)).unwrap_or_default(),
                cost.executable_bytes.map(megabytes).unwrap_or_default(),
            )?;
        }
        let cores: f64 = window.costs.iter().map(|cost| cost.cores).sum();
        writeln!(out, "{:<30} {:>9.2} ms {cores:>7.3}", "total", window.cpu_ms_per_frame())?;
        let own = window.bench_cpu_ms_per_frame;
        writeln!(out, "{:<30} {own:>9.2} ms", "not included: cameras and S3")?;
        if let Some(run) = &self.run {
            if let Some(one) = &run.one_process {
                writeln!(
                    out,
                    "{:<30} {:>9.2} ms {:>7.3} {:>9}   {} of {} frames in {} segments{}",
                    "the nodes in one process",
                    one.cpu_ms_per_frame,
                    one.cores,
                    megabytes(one.peak_bytes),
                    one.frames_in_segments,
                    one.frames.sent,
                    one.segments.whole + one.segments.last + one.segments.wrong,
                    if one.is_complete() { "" } else { "; INCOMPLETE" },
                )?;
                for lost in one.frames.left_out.iter().chain(&one.frames.lost) {
                    let reason =
                        lost.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
                    writeln!(out, "  {} {}{reason} by {}", lost.count, lost.counter, lost.by)?;
                }
                writeln!(out, "one process / separate programs and redis-server: {:.2}", one.by_programs)?;
            }
            if let Some(units) = &run.access_units {
                write_access_units(out, units)?;
            }
            for peer in &run.peers {
                write_peer(out, peer)?;
            }
            for skipped in &run.skipped_peers {
                writeln!(out, "not compared: {skipped}")?;
            }
            if let (Some(ratio), Some(peer)) = (run.ratio, run.peers.first()) {
                writeln!(out, "total / {}: {ratio:.2}", peer.name)?;
                if let Some(ratio) = run.one_process.as_ref().and_then(|one| one.by_peer) {
                    writeln!(out, "one process / {}: {ratio:.2}", peer.name)?;
                }
            }
        }
        writeln!(
            out,
            "{} frames in {:.0} s; CPU load of the machine {:.0} %",
            window.frames,
            window.seconds,
            window.machine_busy * 100.0
        )?;
        match self.camera_fps {
            Some(rate) if rate < SLOW * self.setup.fps => {
                writeln!(out, "each camera reached only {rate:.2} frames/s: the machine is overloaded")
            }
            _ => Ok(()),
        }
    }

    fn write_run(&self, out: &mut String, run: &Run) -> std::fmt::Result {
        let frames = &run.frames;
        writeln!(
            out,
            "\nframes     {} sent, {} published, {} encoded, {} in segments{}",
            frames.sent,
            frames.published,
            frames.encoded,
            run.frames_in_segments,
            if frames.lost.is_empty() { "; none dropped" } else { "" }
        )?;
        for lost in frames.left_out.iter().chain(&frames.lost) {
            let reason = lost.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            writeln!(out, "           {} {}{reason} by {}", lost.count, lost.counter, lost.by)?;
        }
        let segments = &run.segments;
        let endings: Vec<_> = run.endings.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        writeln!(
            out,
            "segments   {} full, {} shortened by the stop, {} invalid; {}; ended by: {}",
            segments.whole,
            segments.last,
            segments.wrong,
            megabits(segments.bitrate),
            endings.join(", ")
        )?;
        let delays = [
            ("delay     ", "from capture to a subscriber", run.publication),
            ("          ", "from a segment's last frame to its object and sidecar", run.object),
            ("start-up  ", "from a source's start to its first frame", run.start_up_ms),
        ];
        for (head, what, delay) in delays {
            if let Some(Delay { median_ms, p95_ms, max_ms, count }) = delay {
                writeln!(
                    out,
                    "{head} {what}: median {median_ms:.0} ms, 95th percentile {p95_ms:.0} ms, maximum {max_ms:.0} ms, {count} values"
                )?;
            }
        }
        if let Some(quality) = &run.quality {
            let (ours, x264) = (quality.ours, quality.x264_ultrafast);
            writeln!(
                out,
                "quality    {:.2} dB at {}; libx264 ultrafast {:.2} dB at {} (luma PSNR against the received pictures)",
                ours.psnr_y,
                megabits(ours.bitrate),
                x264.psnr_y,
                megabits(x264.bitrate)
            )?;
        }
        Ok(())
    }
}

/// Writes the cost of a compared program.
pub(super) fn write_peer(out: &mut String, peer: &PeerCost) -> std::fmt::Result {
    writeln!(
        out,
        "{:<30} {:>9.2} ms {:>7} {:>9}   {} of {} frames in {} segments, {}{}",
        peer.name,
        peer.cpu_ms_per_frame,
        "",
        megabytes(peer.peak_bytes),
        peer.frames_written,
        peer.frames_sent,
        peer.segments,
        megabits(peer.bitrate),
        match (&peer.failed, peer.kept_up) {
            (Some(_), _) => "; FAILED",
            (None, false) => "; DID NOT KEEP UP",
            (None, true) => "",
        }
    )
}

/// The source that decodes nothing, and ffmpeg beside it.
fn write_access_units(out: &mut String, units: &AccessUnits) -> std::fmt::Result {
    writeln!(
        out,
        "{:<30} {:>9.2} ms {:>7} {:>9}   {} units of {} frames{}; redis-server {:.2} ms",
        "source, access units alone",
        units.cpu_ms_per_frame,
        "",
        megabytes(units.peak_bytes),
        units.units_received,
        units.frames_sent,
        if units.is_complete() { "" } else { "; INCOMPLETE" },
        units.redis_cpu_ms_per_frame,
    )?;
    units.peer.as_ref().map_or(Ok(()), |peer| write_peer(out, peer))
}

/// Bytes in megabytes.
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn megabits(bits: f64) -> String {
    format!("{:.2} Mbit/s", bits / 1e6)
}
