//! Programs that describe themselves, programs that do not, and `msight nodes`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use msight::BUILT_IN;
use msight::cmd::nodes::markdown;
use msight_graph::catalog::{Catalog, NotFound, Origin, Program};
use msight_node::Entry;
use msight_node::describe::{Document, FORMAT};
use msight_test_support::until;
use tempfile::TempDir;

use crate::nodes;

const MSIGHT: &str = env!("CARGO_BIN_EXE_msight");
const SECRET: &str = "geheimnis";

/// The three commands of MSight's tutorial.
const TUTORIAL: [(&str, &str); 3] = [
    (
        "msight_launch_rtsp",
        "-n rtsp_node -pt rtsp_topic --sensor-name rtsp_sensor -u rtsp://localhost:8554/live.stream -g 0 \
         --rtsp-transport tcp",
    ),
    (
        "msight_launch_image_to_video_aggregator",
        "-n image-aggregator -st rtsp_topic -pt aggregated_video --fps 10 --buffer-size 100 --overlap-size 0",
    ),
    (
        "msight_launch_aws_video_pusher",
        "-st aggregated_video --name video_pusher --bucket-name some-bucket --prefix msight_tutorial",
    ),
];

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// The example, which is the node `brightness_meter` when it is called so.
fn own_launcher() -> PathBuf {
    let path = Path::new(MSIGHT).with_file_name("examples").join("own_launcher");
    assert!(path.exists(), "{} is not built; run cargo build -p msight --examples", path.display());
    path
}

/// The built-in node with this name.
fn built_in(program: &str) -> &'static Entry {
    BUILT_IN.iter().find(|entry| entry.program() == program).expect("it is built in")
}

/// What `--describe` prints, in an empty environment.
fn describe(program: &Path, args: &[String]) -> (Document, String) {
    let output = Command::new(program).arg("--describe").args(args).env_clear().output().expect("it runs");
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && complained.is_empty(), "{}: {complained}", program.display());
    (serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}")), said)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_built_in_program_says_what_its_entry_says() {
    let bad = words("-n n --no-such-flag");
    for (name, line) in TUTORIAL {
        let entry = built_in(name);
        let program = nodes::program(name);
        let (document, _) = describe(&program, &[]);
        assert_eq!((document.msight_node, &document.description), (FORMAT, &entry.describe()));
        assert_eq!((document.invocation, document.mistake), (None, None));

        let (document, _) = describe(&program, &words(line));
        assert_eq!(document.invocation, entry.understand(words(line), &|_| None).ok());
        assert!(document.invocation.is_some() && document.mistake.is_none(), "{name}");
        let (document, _) = describe(&program, &bad);
        assert_eq!(document.mistake, entry.understand(&bad, &|_| None).err());
        assert!(document.mistake.is_some() && document.invocation.is_none(), "{name}");

        let help = Command::new(&program).arg("-h").output().expect("it runs");
        assert!(text(&help.stdout).contains("--describe"), "{name}");
    }
}

#[test]
fn a_password_is_not_repeated() {
    let rtsp = nodes::program("msight_launch_rtsp");
    let line = format!("-n n -pt t -sn s -u rtsp://user:{SECRET}@camera/ --redis-url redis://:{SECRET}@host");
    assert!(describe(&rtsp, &words(&line)).0.invocation.is_some());
    for more in ["", " --bogus", " rtsp://user:geheimnis@again/", " --gap rtsp://user:geheimnis@again/"] {
        let (_, said) = describe(&rtsp, &words(&(line.clone() + more)));
        assert!(!said.contains(SECRET), "{more}: {said}");
    }
}

#[tokio::test]
async fn the_tutorial_is_understood_and_its_topics_meet() {
    let folder = nodes::folder();
    for (catalog, origin) in [
        (Catalog::new(BUILT_IN, None), None),
        (Catalog::new(BUILT_IN, Some(folder.as_os_str())), Some(folder)),
        // A launcher without nodes has to ask the programs.
        (Catalog::new([], Some(folder.as_os_str())), Some(folder)),
    ] {
        let mut ends = Vec::new();
        for (name, line) in TUTORIAL {
            let program = catalog.find(name).await.expect("it is there");
            let from = origin.map_or(Origin::BuiltIn, |folder| Origin::Installed(folder.join(name)));
            assert_eq!(program.origin(), &from);
            let meant = program.understand(&words(line), &BTreeMap::new()).await.expect("it is understood");
            ends.extend(meant.writes.into_iter().map(|end| (end.topic, end.data_type, "written")));
            ends.extend(meant.reads.into_iter().map(|end| (end.topic, end.data_type, "read")));
        }
        ends.sort();
        let uses: Vec<(&str, &str, &str)> = ends
            .iter()
            .map(|(topic, data_type, end)| (topic.as_str(), data_type.as_deref().unwrap_or("any"), *end))
            .collect();
        let (image, video) = ("msight_core.data.image.ImageData", "msight_core.data.video.VideoData");
        assert_eq!(
            uses,
            [
                ("aggregated_video", video, "read"),
                ("aggregated_video", video, "written"),
                ("rtsp_topic", image, "read"),
                ("rtsp_topic", image, "written"),
            ]
        );
    }
}

#[tokio::test]
async fn a_custom_node_on_the_path_takes_part() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = folder.path().join("brightness_meter");
    symlink(own_launcher(), &node).expect("a link");
    let catalog = Catalog::new(BUILT_IN, Some(folder.path().as_os_str()));
    for name in ["brightness_meter", node.to_str().expect("text")] {
        let program = catalog.find(name).await.expect("it is there");
        assert_eq!(program.file(), Some(node.as_path()));
        let meant =
            program.understand(&words("-n meter -st a -p b"), &BTreeMap::new()).await.expect("understood");
        assert_eq!(meant.writes[0].data_type.as_deref(), Some("example.Brightness"));
        assert_eq!((meant.name.as_str(), meant.writes[0].argument), ("meter", Some(5)));
    }
    let program = catalog.find("brightness_meter").await.expect("it is there");
    let refused = async |line: &str, environment: &[(&str, &str)]| {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        program.understand(&words(line), &environment.collect()).await.expect_err("it is refused")
    };
    let mistake = refused("-n meter -st a -pt b --logging-levle DEBUG", &[]).await;
    assert_eq!((mistake.argument, mistake.help.as_deref()), (Some(6), Some("did you mean --logging-level?")));
    let mistake = refused("-n meter -st a -pt b", &[("MSIGHT_LOGGING_LEVEL", "loud")]).await;
    assert_eq!(mistake.variable.as_deref(), Some("MSIGHT_LOGGING_LEVEL"));
    let required =
        "the following arguments are required: -n/--name, -pt/--publish-topic, -st/--subscribe-topic";
    assert_eq!(refused("", &[]).await.message, required);
    match catalog.find("brightness_metre").await {
        Err(NotFound::Unknown { near: None, .. }) => {}
        other => panic!("what is not called like a node is not offered: {other:?}"),
    }
}

/// Programs that are no nodes of ours, each a script.
fn others() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let script = |name: &str, interpreter: &str, lines: &str, mode: u32| {
        let file = folder.path().join(name);
        fs::write(&file, format!("#!{interpreter}\n{lines}\n")).expect("a script");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("its mode");
    };
    let hang = "sleep 1000 & echo $! > \"$(dirname \"$0\")/pid\"; wait";
    script("msight_launch_hangs", "/bin/sh", hang, 0o755);
    script("msight_launch_crashes", "/bin/sh", "echo 'no \x1b[31mcamera' >&2; kill -KILL $$", 0o755);
    script("msight_launch_babbles", "/bin/sh", "exec yes", 0o755);
    script("msight_launch_chats", "/bin/sh", "echo Hello", 0o755);
    script("msight_launch_later", "/bin/sh", &format!("printf %s '{}'", from_later()), 0o755);
    script("msight_launch_odd", "/bin/sh", &format!("printf %s '{}'", with_escapes()), 0o755);
    script("msight_launch_text", "/bin/sh", "touch /should/never/run", 0o644);
    script("msight_launch_missing", "/no/such/interpreter", "", 0o755);
    // As pip writes them; they are not run, or the first would be slow.
    script("msight_launch_rtsp", "/opt/venv/bin/python3", "import time; time.sleep(1000)", 0o755);
    script("msight_launch_ifm", "/bin/sh", "'''exec' \"/a long path/python3\" \"$0\" \"$@\"\n' '''", 0o755);
    script("msight_launch_image_local_dumper", "/usr/bin/env python3", "", 0o755);
    // One that is started by something else than Python, but answers as argparse does.
    let usage = "echo 'usage: x [-h]' >&2; echo 'x: error: unrecognized arguments: --describe' >&2; exit 2";
    script("msight_launch_http", "/bin/sh", usage, 0o755);
    folder
}

fn from_later() -> String {
    let description = BUILT_IN[0].describe();
    let later = Document { msight_node: FORMAT + 1, description, invocation: None, mistake: None };
    // Within single quotes of a shell.
    serde_json::to_string(&later).expect("JSON").replace('\'', "")
}

fn with_escapes() -> String {
    let mut description = BUILT_IN[0].describe();
    description.summary = "clear\u{1b}[2J".to_owned();
    description.flags.clear();
    description.details.clear();
    let odd = Document { msight_node: FORMAT, description, invocation: None, mistake: None };
    serde_json::to_string(&odd).expect("JSON").replace('\'', "")
}

#[tokio::test]
async fn programs_that_are_no_nodes_are_told_apart_and_leave_nothing_behind() {
    let folder = others();
    let path = Some(folder.path().as_os_str());
    let catalog = Catalog::new(BUILT_IN, path);
    let refused = async |catalog: &Catalog, name: &str| match catalog.find(name).await {
        Err(error) => error.to_string(),
        Ok(program) => panic!("{name} is {program:?}"),
    };
    // Long enough for a shell to start on a busy machine, and then it hangs on.
    let impatient = Catalog::new(BUILT_IN, path).with_timeout(Duration::from_secs(3));
    let said = refused(&impatient, "msight_launch_hangs").await;
    assert!(said.contains("within 3 s"), "{said}");
    let left = fs::read_to_string(folder.path().join("pid")).expect("its child has started");
    let left = PathBuf::from(format!("/proc/{}/exe", left.trim()));
    until("the child of a program that hung is gone", async || fs::read_link(&left).is_err()).await;

    for (name, reason) in [
        ("msight_launch_crashes", "no \\u{1b}[31mcamera"),
        ("msight_launch_babbles", "1 MiB"),
        ("msight_launch_chats", "not a description"),
        ("msight_launch_later", "format 2"),
        ("msight_launch_missing", "cannot start it"),
        ("msight_launch_image_local_dumper", "imports msight_edge"),
        ("msight_launch_text", "unknown program"),
    ] {
        let said = refused(&catalog, name).await;
        assert!(said.contains(reason), "{name}: {said}");
    }
    let odd = catalog.find("msight_launch_odd").await.expect("it answers");
    assert_eq!(odd.description().summary, "clear\\u{1b}[2J");

    for name in ["msight_launch_rtsp", "msight_launch_ifm", "msight_launch_http"] {
        let program: Program = catalog.find(name).await.expect("it is MSight's");
        assert_eq!(program.origin(), &Origin::Python(Some(folder.path().join(name))), "{name}");
    }
    // MSight's own has no --metrics.
    let python = catalog.find("msight_launch_rtsp").await.expect("it is MSight's");
    let line = words("-n n -pt t -sn s -u rtsp://c/ --metrics 9100");
    let mistake = python.understand(&line, &BTreeMap::new()).await.expect_err("it is refused");
    assert_eq!(
        (mistake.argument, mistake.message.as_str()),
        (Some(8), "unrecognized arguments: --metrics 9100")
    );
}

fn msight_nodes(folder: &Path, args: &[&str]) -> Output {
    Command::new(MSIGHT).arg("nodes").args(args).env("PATH", folder).output().expect("it runs")
}

#[test]
fn the_programs_are_listed_and_shown() {
    let folder = others();
    for slow in ["msight_launch_hangs", "msight_launch_babbles"] {
        fs::remove_file(folder.path().join(slow)).expect("it is there");
    }
    let place = folder.path().display();
    let list = text(&msight_nodes(folder.path(), &[]).stdout);
    assert!(list.contains("built into msight:\n  msight_launch_image_to_video_aggregator "), "{list}");
    assert!(list.contains(&format!("{place}, MSight in Python:\n  msight_launch_rtsp ")), "{list}");
    assert!(
        list.contains("\nNot usable:\n") && list.contains("msight_launch_chats is not a node program"),
        "{list}"
    );
    assert!(!list.contains("msight_launch_image_viewer") && !list.contains('\u{1b}'), "{list}");
    let longest =
        list.lines().filter(|line| line.starts_with("  msight_launch_image")).map(|l| l.chars().count());
    assert!(longest.max().is_some_and(|columns| columns <= 80), "{list}");
    assert!(text(&msight_nodes(folder.path(), &["--all"]).stdout).contains("msight_launch_image_viewer"));

    let json = msight_nodes(folder.path(), &["--format", "json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let rtsp =
        json["programs"].as_array().expect("a list").iter().find(|p| p["program"] == "msight_launch_rtsp");
    assert_eq!(rtsp.expect("it is listed")["origin"]["from"], "python");

    let sheet = text(&msight_nodes(folder.path(), &["msight_launch_aws_video_pusher"]).stdout);
    assert!(sheet.contains("  -st, --subscribe-topic <NAME>\n") && sheet.contains("Required:\n"), "{sheet}");
    for part in [
        "  --subscribe-topic   input   msight_core.data.video.VideoData\n",
        "  msight_segments_failed_total (loss, segments)\n",
        "      Label reason: unusable, ",
    ] {
        assert!(sheet.contains(part), "{part} is not in:\n{sheet}");
    }
    let page = msight_nodes(folder.path(), &["msight_launch_aws_video_pusher", "--markdown"]);
    assert_eq!(text(&page.stdout), markdown(&built_in("msight_launch_aws_video_pusher").describe()));

    let unknown = msight_nodes(folder.path(), &["msight_launch_rtps"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("did you mean msight_launch_rtsp?"), "{}", text(&unknown.stderr));
}

/// In a node's guide, the line before the reference: what follows it is generated.
const REFERENCE: &str = "<!-- Generated from the program's description;";

/// The guide of the program: in the folder of the crate whose manifest has a program of this name.
fn guide_of(program: &str, nodes: &Path) -> PathBuf {
    let crates = fs::read_dir(nodes).expect("the nodes").flatten().map(|entry| entry.path());
    let declares = |folder: &PathBuf| {
        fs::read_to_string(folder.join("Cargo.toml"))
            .is_ok_and(|manifest| manifest.lines().any(|line| line == format!("name = \"{program}\"")))
    };
    crates.into_iter().find(declares).expect("a crate with this program").join("README.md")
}

#[test]
fn the_reference_in_each_guide_is_the_programs_description() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for entry in BUILT_IN {
        let file = guide_of(entry.program(), &workspace.join("nodes"));
        let guide = fs::read_to_string(&file).expect("the guide can be read");
        let (prose, rest) = guide.split_once(REFERENCE).expect("the guide has a reference");
        let (comment, _) = rest.split_once('\n').expect("the comment is a line");
        // In a guide the reference is a chapter, so its headings are one level lower.
        let reference = format!("\n{}", markdown(&entry.describe())).replace("\n#", "\n##");
        let expected = format!("{prose}{REFERENCE}{comment}\n{reference}");
        if std::env::var_os("MSIGHT_WRITE_REFERENCE").is_some() {
            fs::write(&file, &expected).expect("the guide can be written");
        }
        assert!(
            fs::read_to_string(&file).ok().as_deref() == Some(expected.as_str()),
            "{} differs from what {} --describe prints; update it with\n  MSIGHT_WRITE_REFERENCE=1 cargo test -p \
             msight --test it the_reference",
            file.display(),
            entry.program()
        );
    }
}
