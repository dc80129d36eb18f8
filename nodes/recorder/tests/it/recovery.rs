//! Recorders that are killed: what they wrote is recovered up to the last fragment, and nothing twice.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use msight_bus::{Bus, Receivers};
use msight_media::mp4::read_fragments;
use msight_proto::{AccessUnitData, Sample, encode};
use msight_spool::Spool;
use msight_test_support::bus::topic;
use msight_test_support::probe::{decode, packets};
use msight_test_support::redis::RedisServer;
use msight_test_support::{Program, until};

use crate::segments::H264;
use crate::stream::{Recipe, of, units};

const KILLS: usize = 30;
/// No two units of it are equal.
const NOISE: &str = "-vf noise=alls=20:allf=t+u -c:v libx264 -preset ultrafast -bf 2 -g 12";

pub(crate) fn recorder(redis: &RedisServer, name: &str, folder: &Path, flags: &[&str]) -> Program {
    // With a limit on the size of files, the system sends a signal beside the error.
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_msight_launch_recorder")])
        .args([
            "-n",
            name,
            "-st",
            "units",
            "-pt",
            "segments",
            "--metrics",
            "127.0.0.1:0",
            "--log-format",
            "text",
        ])
        .arg("--spool")
        .arg(folder)
        .args(flags)
        .env_clear()
        .env("MSIGHT_EDGE_DEVICE_NAME", "edge1")
        .env("MSIGHT_REDIS_MESSAGE_BROKER_PORT", redis.port.to_string());
    Program::start(name, command)
}

pub(crate) fn is_ready(node: &Program) -> bool {
    node.get("/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// Files below a folder whose names end like this.
pub(crate) fn find(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false if entry.file_name().to_string_lossy().ends_with(end) => found.push(entry.path()),
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// Samples in the whole fragments of an unfinished file.
fn samples(path: &Path) -> usize {
    let mut file = std::fs::File::open(path).unwrap();
    let length = file.metadata().unwrap().len();
    read_fragments(&mut file, length)
        .map_or(0, |found| found.tracks.iter().map(|track| track.tables.count() as usize).sum())
}

pub(crate) async fn publish(bus: &dyn Bus, unit: &Sample<AccessUnitData>) -> bool {
    bus.publish(&topic("units"), encode(unit).unwrap()).await.unwrap() != Receivers::Known(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_that_is_killed_again_and_again_loses_no_whole_fragment() {
    let redis = RedisServer::start(&[]);
    let bus = redis.bus().await;
    let folder = tempfile::tempdir().unwrap();
    let sent = units("gate", "a", Recipe { video: NOISE, audio: "-c:a aac", seconds: 60 });
    let flags = ["--segment-duration=1", "--fragment-duration=0.1"];
    let per_kill = sent.len() / (KILLS + 1);
    // The open files of the killed recorders, and how many units their whole fragments had.
    let mut written: Vec<(PathBuf, usize)> = Vec::new();
    let mut next = 0;
    for kill in 0..=KILLS {
        let mut node = recorder(&redis, "recorder", folder.path(), &flags);
        node.serves_metrics().await;
        until("it is ready", async || is_ready(&node)).await;
        // Somewhere between the first and the last unit of this round, while it writes.
        let moment = if kill == KILLS { per_kill } else { fastrand::usize(1..=per_kill) };
        for unit in &sent[next..next + moment] {
            assert!(publish(&*bus, unit).await);
        }
        next += per_kill;
        if kill == KILLS {
            node.reaches("msight_recorder_units_total", per_kill as u64).await;
            node.stop().await;
            break;
        }
        node.signal("-KILL");
        node.ended().await;
        written.extend(find(folder.path(), ".part").into_iter().map(|path| {
            let samples = samples(&path);
            (path.with_extension(""), samples)
        }));
    }
    assert!(find(folder.path(), ".part").is_empty());
    let whole = find(folder.path(), ".mp4");
    assert_eq!(Spool::open(folder.path()).unwrap().waiting(10_000).unwrap().len(), whole.len());
    let mut seen = HashSet::new();
    let mut total = 0;
    for path in &whole {
        decode(path);
        let (streams, found) = packets(path);
        let least = written.iter().find(|(open, _)| open == path).map_or(0, |(_, samples)| *samples);
        assert!(found.len() >= least, "{}: {} of {least} units", path.display(), found.len());
        for packet in found {
            let track = if streams[packet.stream as usize].size.is_some() { "video" } else { "audio" };
            let unit = of(&sent, track).find(|unit| unit.data == packet.data);
            let unit = unit.unwrap_or_else(|| panic!("{}: {packet:?} was not sent", path.display()));
            // Silence has equal units of sound.
            assert!(
                seen.insert((track, unit.sequence)) || track == "audio",
                "{track} {} is there twice",
                unit.sequence
            );
            total += 1;
        }
    }
    let lost: Vec<_> =
        written.iter().filter(|(path, samples)| *samples > 0 && !whole.contains(path)).collect();
    assert!(lost.is_empty(), "not recovered: {lost:?}");
    assert!(total > sent.len() / 20, "{total} units in {} segments", whole.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn transport_streams_and_matroska_are_recovered() {
    let redis = RedisServer::start(&[]);
    let bus = redis.bus().await;
    let sent = units("gate", "a", Recipe { video: H264, audio: "-c:a aac", seconds: 10 });
    for container in ["ts", "mkv"] {
        let folder = tempfile::tempdir().unwrap();
        let flags = [format!("--container={container}"), "--fragment-duration=0.2".to_owned()];
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let mut node = recorder(&redis, "recorder", folder.path(), &flags);
        until("it is ready", async || is_ready(&node)).await;
        for unit in &sent {
            assert!(publish(&*bus, unit).await);
        }
        let most = sent.len() as u64 - 60;
        node.reaches("msight_recorder_recorded_total", most).await;
        node.signal("-KILL");
        node.ended().await;
        // A power cut leaves a part of the last fragment.
        let part = find(folder.path(), ".part").pop().unwrap();
        let file = std::fs::File::options().write(true).open(&part).unwrap();
        file.set_len(file.metadata().unwrap().len() - 77).unwrap();
        drop(file);

        let mut node = recorder(&redis, "recorder", folder.path(), &flags);
        until("it is recovered", async || find(folder.path(), ".part").is_empty()).await;
        node.stop().await;
        let whole = find(folder.path(), &format!(".{container}"));
        let [path] = &whole[..] else { panic!("{whole:?}") };
        decode(path);
        let (streams, found) = packets(path);
        let pictures = found.iter().filter(|packet| streams[packet.stream as usize].size.is_some()).count();
        // Of 250, those of the last fragments may be missing.
        assert!(pictures > 200, "{pictures} pictures in {}", path.display());
        let sidecar: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
        let times: Vec<_> = sidecar["capture_timestamps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|time| time.as_f64().unwrap())
            .collect();
        let mut captured: Vec<_> = (sent.iter().filter(|unit| unit.body.track == "video"))
            .map(|unit| unit.head.capture_timestamp)
            .collect();
        captured.sort_by(f64::total_cmp);
        assert_eq!(times.len(), pictures);
        // The last ones in the order of decoding are not the last ones that are shown.
        for time in &times {
            assert!(captured.iter().any(|sent| (sent - time).abs() < 0.002), "{time} in {container}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_fragments_and_recording_goes_on_when_there_is_space() {
    let redis = RedisServer::start(&[]);
    let bus = redis.bus().await;
    let folder = tempfile::tempdir().unwrap();
    let sent = units("gate", "a", Recipe { video: H264, audio: "", seconds: 20 });
    let flags = ["--segment-duration=1", "--fragment-duration=0.2"];
    let mut node = recorder(&redis, "recorder", folder.path(), &flags);
    node.serves_metrics().await;
    until("it is ready", async || is_ready(&node)).await;
    let half = sent.len() / 2;
    for unit in &sent[..100] {
        assert!(publish(&*bus, unit).await);
    }
    node.reaches("msight_recorder_units_total", 100).await;
    // The system refuses every byte, as on a full disk (EFBIG instead of ENOSPC).
    limit_file_size(node.pid(), Some(1));
    for unit in &sent[100..half] {
        assert!(publish(&*bus, unit).await);
    }
    until("the loss is counted", async || {
        node.count("msight_recorder_dropped_total{node=\"recorder\",reason=\"disk\"}") > 0
    })
    .await;
    until("it says so", async || node.get("/readyz").is_some_and(|a| a.contains("spool folder"))).await;
    limit_file_size(node.pid(), None);
    for unit in &sent[half..] {
        assert!(publish(&*bus, unit).await);
    }
    until("it goes on", async || is_ready(&node)).await;
    node.reaches("msight_recorder_units_total", sent.len() as u64).await;
    node.stop().await;
    let (dropped, recorded) = (
        node.lines("units lost").len(),
        find(folder.path(), ".mp4").iter().map(|path| packets(path).1.len()).sum::<usize>(),
    );
    assert!(dropped > 0 && recorded > 200, "{recorded} recorded: {}", node.log());
    find(folder.path(), ".mp4").iter().for_each(|path| decode(path));
}

/// Limits the size of files that a program can write.
fn limit_file_size(pid: u32, bytes: Option<u64>) {
    let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
    let argument = format!("--fsize={limit}:unlimited");
    let output = Command::new("prlimit").args(["--pid", &pid.to_string(), &argument]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
