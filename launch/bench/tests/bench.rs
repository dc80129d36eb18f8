//! Runs `msight-bench` with the real programs, a real Redis server and a small camera.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use msight_test_support::blocking;
use msight_test_support::redis::RedisServer;
use serde_json::Value;

const BENCH: &str = env!("CARGO_BIN_EXE_msight-bench");
/// A camera that is small enough for a busy machine and programs without optimisation.
const SMALL: [&str; 6] = ["--size", "320x180", "--camera-bitrate", "300k", "--buffer-size", "10"];

/// The measured programs: links to one program that contains all of them.
fn programs() -> &'static Path {
    // The tests are threads of one process, or a process each.
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(link_programs)
}

fn link_programs() -> PathBuf {
    let built = Path::new(BENCH).with_file_name("examples").join("msight");
    assert!(built.exists(), "{} is not built; run cargo build -p msight-bench --examples", built.display());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
    let links = Command::new(&built).arg("links").arg(&folder).output().expect("it runs");
    assert!(links.status.success(), "{}", text(&links.stderr));
    // Another process may do this at the same time.
    let fresh = folder.join(format!(".msight.{}", std::process::id()));
    symlink(&built, &fresh).expect("a link");
    std::fs::rename(&fresh, folder.join("msight")).expect("a link");
    folder
}

/// A bench with its temporary folder in `folder`.
fn bench(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(BENCH);
    command.args(SMALL).args(args).arg("--programs").arg(programs()).env("TMPDIR", folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn results(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// Waits until no file and no process of the bench is left.
fn assert_tidy(folder: &Path) {
    blocking::until("no file and no process of the bench is left", || is_tidy(folder));
}

fn is_tidy(folder: &Path) -> bool {
    files(folder).is_empty() && processes(folder).is_empty()
}

fn files(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("the folder").flatten();
    files
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("msight-bench"))
        .collect()
}

/// Processes whose working directory is in the folder, which holds for all that the bench starts.
fn processes(folder: &Path) -> Vec<String> {
    let working = std::fs::read_dir("/proc").expect("/proc").flatten().filter(|process| {
        std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
    });
    working.map(|process| process.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_small_camera_is_measured_from_end_to_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let (json, chart) = (folder.path().join("results.json"), folder.path().join("chart.svg"));
    let mut command = bench(folder.path(), &["--duration", "4", "--idle", "1"]);
    let output = command.arg("--json").arg(&json).arg("--chart").arg(&chart).output().expect("it runs");
    let (table, progress) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{progress}");
    for part in
        ["source", "aggregator", "pusher", "redis-server", "total", "none dropped", "320x180", "start-up"]
    {
        assert!(table.contains(part), "{part} is missing in\n{table}{progress}");
    }
    let results: Value = serde_json::from_slice(&std::fs::read(&json).expect("results")).expect("JSON");
    let costs = results["window"]["costs"].as_array().expect("costs");
    assert_eq!(costs.len(), 4);
    for cost in costs {
        assert!(number(&cost["peak_bytes"]) > 1e6, "{cost}");
        assert!(number(&cost["cpu_ms_per_frame"]) >= 0.0, "{cost}");
    }
    let sum: f64 = costs.iter().map(|cost| number(&cost["cpu_ms_per_frame"])).sum();
    assert!(sum > 0.0 && (sum - number(&results["cpu_ms_per_frame"])).abs() < 1e-6);
    assert!(number(&results["window"]["frames"]) > 20.0, "{results:#}");
    assert_eq!(results["run"]["idle"].as_array().map(Vec::len), Some(3));

    let frames = &results["run"]["frames"];
    assert_eq!(frames["lost"], serde_json::json!([]));
    let sent = number(&frames["sent"]);
    for count in ["received", "published", "arrived"] {
        assert_eq!(number(&frames[count]), sent, "{count} in {frames}");
    }
    let left_out: f64 =
        frames["left_out"].as_array().expect("a list").iter().map(|one| number(&one["count"])).sum();
    assert_eq!(number(&frames["encoded"]) + left_out, sent, "{frames}");
    assert_eq!(results["run"]["frames_in_segments"], frames["encoded"]);
    let segments = &results["run"]["segments"];
    assert!(number(&segments["whole"]) >= 3.0, "{segments}");
    // A machine that stalls for seconds ends segments early.
    let endings = results["run"]["endings"].as_object().expect("a map");
    assert!(segments["wrong"] == 0 || endings.len() > 1, "{segments}");
    for delay in ["publication", "object", "start_up_ms"] {
        let delay = &results["run"][delay];
        let [median, p95, most] = ["median_ms", "p95_ms", "max_ms"].map(|key| number(&delay[key]));
        assert!(-5.0 < median && median <= p95 && p95 <= most && most < 60_000.0, "{delay}");
    }
    assert!(number(&results["machine"]["cores"]) >= 1.0 && number(&results["machine"]["memory_bytes"]) > 1e8);
    let chart = std::fs::read_to_string(&chart).expect("a chart");
    assert!(chart.starts_with("<svg ") && chart.ends_with("</svg>\n") && chart.contains("aggregator"));
    assert_tidy(folder.path());
}

#[test]
fn the_nodes_in_one_process_are_measured_beside_the_programs() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = ["--one-process", "--cameras", "2", "--duration", "3", "--idle", "0"];
    let json = folder.path().join("results.json");
    let output = bench(folder.path(), &flags).arg("--json").arg(&json).output().expect("it runs");
    let (table, progress) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{progress}");
    assert!(
        table.contains("the nodes in one process") && table.contains("one process / separate"),
        "{table}"
    );
    let results: Value = serde_json::from_slice(&std::fs::read(&json).expect("results")).expect("JSON");
    let one = &results["run"]["one_process"];
    let frames = &one["frames"];
    assert_eq!(frames["lost"], serde_json::json!([]), "{table}{progress}");
    let sent = number(&frames["sent"]);
    assert!(sent > 60.0, "{frames}");
    for count in ["received", "published", "arrived"] {
        assert_eq!(number(&frames[count]), sent, "{count} in {frames}");
    }
    let left_out: f64 =
        frames["left_out"].as_array().expect("a list").iter().map(|one| number(&one["count"])).sum();
    assert_eq!(number(&one["frames_in_segments"]) + left_out, sent, "{one}");
    assert!(number(&one["cpu_ms_per_frame"]) > 0.0 && number(&one["peak_bytes"]) > 1e6, "{one}");
    let ratio = number(&one["cpu_ms_per_frame"]) / number(&results["cpu_ms_per_frame"]);
    assert!((number(&one["by_programs"]) - ratio).abs() < 1e-9);
    assert_tidy(folder.path());
}

#[test]
fn a_source_that_decodes_nothing_is_measured_beside_ffmpeg() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = ["--packets", "--duration", "4", "--idle", "0", "--format", "json"];
    let output = bench(folder.path(), &args).output().expect("it runs");
    let results = results(&output);
    let units = &results["run"]["access_units"];
    let (sent, received) = (number(&units["frames_sent"]), number(&units["units_received"]));
    assert!(sent > 20.0 && sent == received, "{units}");
    assert!(number(&units["peak_bytes"]) > 1e6 && number(&units["cpu_ms_per_frame"]) >= 0.0, "{units}");
    assert!(number(&units["peer"]["frames_written"]) > 0.0, "ffmpeg is installed: {units}");
    assert!(text(&output.stderr).contains("measuring access units"));
    assert_tidy(folder.path());
}

#[test]
fn graphs_that_copy_are_measured_and_compared_with_what_the_camera_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("results.json");
    // The aggregator copies a stream within its default bit rate, 115 kbit/s at this size, if at most half of a segment
    // is hidden.
    let camera = ["--size", "320x180", "--camera-bitrate", "80k", "--buffer-size", "50"];
    let args = ["--copy", "--copy-cameras", "3", "--duration", "3"];
    let mut command = Command::new(BENCH);
    command.args(camera).args(args).arg("--json").arg(&json).arg("--programs").arg(programs());
    let output = command.env("TMPDIR", folder.path()).stdin(Stdio::null()).output().expect("it runs");
    let (table, progress) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{progress}");
    let results: Value = serde_json::from_slice(&std::fs::read(&json).expect("results")).expect("JSON");
    let groups = results["copied"]["groups"].as_array().expect("groups");
    let rows: Vec<&Value> = groups.iter().flat_map(|group| group["rows"].as_array().expect("rows")).collect();
    assert_eq!(rows.len(), 6, "{table}");
    for row in &rows {
        let (sent, recorded) = (&row["frames_sent"], &row["recorded"]);
        assert!(number(sent) > 20.0 && recorded["frames"] == *sent, "{row}\n{table}");
        assert_eq!(recorded["as_sent"], true, "{row}\n{table}");
        assert!(number(&row["cpu_ms_per_frame"]) > 0.0 && number(&row["peak_bytes"]) > 1e6, "{row}");
        assert!(row["holds"].is_boolean() && number(&row["limit"]) > 0.0, "{row}");
    }
    // A loaded machine may be too slow for ffmpeg, which then has no ratio.
    for group in groups {
        let kept_up = group["peer"]["kept_up"] == true;
        let with_ratio = group["rows"].as_array().expect("rows").iter().all(|row| row["ratio"].is_number());
        assert_eq!(with_ratio, kept_up, "{group}");
    }
    let many = &results["copied"]["cameras"];
    assert_eq!((&many["cameras"], &many["recorded"]["frames"]), (&3.into(), &many["frames_sent"]), "{many}");
    assert!(many["recorded"]["as_sent"] == true && many["bytes_per_further_camera"].is_number(), "{many}");
    assert!(table.contains("recorder in one process") && table.contains("limit"), "{table}");
    assert_tidy(folder.path());
}

#[test]
fn auto_finds_the_number_of_cameras_on_a_given_redis() {
    let (folder, redis) = (tempfile::tempdir().expect("a folder"), RedisServer::start(&[]));
    let auto = ["--cameras", "auto", "--max-cameras", "2", "--step", "2", "--format", "json"];
    let output = bench(folder.path(), &auto).args(["--redis", &redis.url()]).output().expect("it runs");
    let results = results(&output);
    let steps = results["steps"].as_array().expect("steps");
    assert!((1..=2).contains(&steps.len()), "{results:#}");
    assert_eq!(steps[0]["cameras"], 1);
    let carried = steps.iter().filter(|step| step["too_much"].is_null()).count();
    assert_eq!(number(&results["cameras_carried"]), carried as f64, "{results:#}");
    for step in steps {
        assert!(step["too_much"].is_null() || step["too_much"].as_str().is_some_and(|why| !why.is_empty()));
    }
    assert_eq!(redis.cli(&["hlen", "MSIGHT:NODES"]), "0", "the programs have unregistered");
    assert_eq!(redis.cli(&["hlen", "MSIGHT:TOPICS"]), "0", "and the bench its topics");
    assert_tidy(folder.path());
}

/// Whether a segment is in the bench's bucket.
fn has_segment(folder: &Path) -> bool {
    // A file that is deleted meanwhile does not count.
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().map(|entry| entry.path()).any(|path| {
        if path.is_dir() { has_segment(&path) } else { path.extension().is_some_and(|kind| kind == "mp4") }
    })
}

#[test]
fn a_redis_that_stops_is_an_error_and_not_an_overload() {
    let folder = tempfile::tempdir().expect("a folder");
    let auto = ["--cameras", "auto", "--max-cameras", "2", "--step", "2"];
    let mut running = bench(folder.path(), &auto).spawn().expect("it runs");
    blocking::until("a segment arrives", || {
        assert_eq!(running.try_wait().expect("its state"), None, "the bench has ended");
        has_segment(folder.path())
    });
    let name = |pid: &String| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let redis = processes(folder.path()).into_iter().find(|pid| name(pid).starts_with("redis-server"));
    let killed = Command::new("kill").args(["-KILL", &redis.expect("it runs")]).status().expect("kill");
    assert!(killed.success());
    let output = running.wait_with_output().expect("it ends");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}{}", text(&output.stdout));
    assert!(said.contains("Redis server is gone") && !said.contains("overloaded"), "{said}");
    assert_tidy(folder.path());
}

#[test]
fn invalid_settings_are_rejected_before_the_measurement() {
    let folder = tempfile::tempdir().expect("a folder");
    for (args, why) in [
        (["--json", "/nonexistent/results.json"].as_slice(), "cannot write /nonexistent/results.json"),
        (&["--stream", "x.mp4", "--fps", "5"], "cannot be used with"),
        (&["--redis", "unix:///nonexistent?pass=geheim"], "no user name and password"),
        (&["--redis", "redis://:geheim@127.0.0.1:9"], "no user name and password"),
    ] {
        let mut command = Command::new(BENCH);
        let output = command
            .args(args)
            .arg("--programs")
            .arg(programs())
            .env("TMPDIR", folder.path())
            .output()
            .expect("it runs");
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{args:?}: {said}");
        assert!(!said.contains("geheim") && !said.contains("test picture"), "{said}");
    }
    assert_tidy(folder.path());
}

#[test]
fn an_mp4_file_is_streamed_and_other_programs_are_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("in.mp4");
    let source = "testsrc2=size=320x240:rate=10:duration=3";
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", source, "-c:v", "libx264", "-bf", "2", "-b:v", "300k"])
        .args(["-pix_fmt", "yuv420p", "-g", "10"])
        .arg(&file)
        .status()
        .expect("ffmpeg is installed");
    assert!(made.success());
    let args = ["--buffer-size", "10", "--duration", "3", "--idle", "0", "--peers", "--format", "json"];
    let output = Command::new(BENCH)
        .args(args)
        .arg("--programs")
        .arg(programs())
        .arg("--stream")
        .arg(&file)
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let results = results(&output);
    assert_eq!((number(&results["setup"]["width"]), number(&results["setup"]["fps"])), (320.0, 10.0));
    let run = &results["run"];
    let peers = run["peers"].as_array().expect("peers");
    assert!(peers.len() >= 3, "ffmpeg is installed: {run:#}");
    assert!(peers[0]["name"].as_str().is_some_and(|name| name.contains("ultrafast")));
    // Four programs: each is measured, or left out with a reason.
    let skipped = run["skipped_peers"].as_array().expect("a list");
    assert_eq!(peers.len() + skipped.len(), 4, "{run:#}");
    let stated = skipped.iter().all(|one| one["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    assert!(stated, "{run:#}");
    for peer in peers {
        assert!(number(&peer["frames_sent"]) > 0.0 && peer["command"].is_string(), "{peer}");
    }
    assert!(
        number(&peers[0]["cpu_ms_per_frame"]) > 0.0 && number(&peers[0]["frames_written"]) > 0.0,
        "{run:#}"
    );
    assert_eq!(run["ratio"].is_number(), peers[0]["kept_up"] == true, "{run:#}");
    let [ours, x264] = ["ours", "x264_ultrafast"].map(|video| number(&run["quality"][video]["psnr_y"]));
    assert!(ours > 20.0 && x264 > 20.0, "{}\n{}", run["quality"], text(&output.stderr));
    assert_tidy(folder.path());
}

/// Waits until the bench has started its programs.
fn until_at_work(bench: &mut Child, folder: &Path) {
    // The guard, redis-server and two programs at least.
    blocking::until("the bench has started its programs", || {
        assert_eq!(bench.try_wait().expect("its state"), None, "the bench has ended");
        processes(folder).len() >= 3
    });
}

#[test]
fn an_interrupted_bench_removes_its_files_and_processes() {
    for signal in ["-INT", "-KILL"] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut bench = bench(folder.path(), &["--duration", "600"]).spawn().expect("it runs");
        until_at_work(&mut bench, folder.path());
        let killed = Command::new("kill").args([signal, &bench.id().to_string()]).status().expect("kill");
        assert!(killed.success());
        let output = bench.wait_with_output().expect("its end");
        if signal == "-INT" {
            assert_eq!(output.status.code(), Some(1));
            assert!(text(&output.stderr).contains("interrupted"), "{}", text(&output.stderr));
        }
        assert_tidy(folder.path());
    }
}

#[test]
fn a_missing_program_is_reported_with_its_installation() {
    let folder = tempfile::tempdir().expect("a folder");
    // Alone in a folder, it finds no programs.
    let alone = folder.path().join("msight-bench");
    std::fs::copy(BENCH, &alone).expect("a copy");
    let run = |program: &Path, args: &[&str]| {
        let output = Command::new(program).args(args).env("PATH", folder.path()).output();
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    let said = run(&alone, &[]);
    assert!(said.contains("msight_launch_rtsp") && said.contains("cargo build"), "{said}");
    let elsewhere = folder.path().to_string_lossy();
    let said = run(&alone, &["--programs", &elsewhere]);
    assert!(said.contains(&*elsewhere) && said.contains("cargo build"), "{said}");
    // With them, but without sh and redis-server in PATH.
    symlink("/bin/sh", folder.path().join("sh")).expect("a link");
    let programs = programs();
    let run = |args: &[&str]| run(&alone, &[&["--programs", &programs.to_string_lossy()], args].concat());
    let said = run(&[]);
    assert!(said.contains("redis-server is not in PATH") && said.contains("apt-get install"), "{said}");
    let said = run(&["--redis", "redis://u:hunter2@127.0.0.1:9"]);
    assert!(said.contains("no user name and password") && !said.contains("hunter2"), "{said}");
    let said = run(&["--redis", "redis://127.0.0.1:9", "--stream", "/nonexistent.mp4"]);
    assert!(said.contains("no Redis server at redis://127.0.0.1:9"), "{said}");
}
