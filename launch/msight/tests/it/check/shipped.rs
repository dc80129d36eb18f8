//! The graphs that users are shown.

use super::*;

#[test]
fn the_graphs_that_users_are_shown_are_right() {
    let guide = include_str!("../../../../README.md");
    let shown = guide.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a graph");
    let output = msight(shown, &["check"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "3 nodes, 3 servers: 0 errors, 0 warnings\n");
}

type Variables = [(&'static str, &'static str)];

/// What is to be set for the files in `compose/`, as they say themselves, and what they then are.
const SHOWN: [(&str, &Variables, &str); 7] = [
    ("tutorial.yml", &[("BUCKET", "videos")], "3 nodes, 3 servers"),
    ("local.yml", &[], "3 nodes, 3 servers"),
    (
        "cameras.yml",
        &[("BUCKET", "videos"), ("NORTH_URL", "rtsp://10.0.0.11/"), ("SOUTH_URL", "rtsp://10.0.0.12/")],
        "4 nodes, 1 server",
    ),
    ("mixed.yml", &[("CAMERA", "rtsp://10.0.0.11/")], "4 nodes, 1 server"),
    ("recorder.yml", RECORDED, "3 nodes, 1 server"),
    ("pictures.yml", RECORDED, "5 nodes, 1 server"),
    ("events.yml", RECORDED, "3 nodes, 1 server"),
];

const RECORDED: &Variables = &[("CAMERA", "rtsp://10.0.0.11/"), ("BUCKET", "videos")];

#[test]
fn the_graphs_to_begin_with_are_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose");
    let files = std::fs::read_dir(&folder).expect("the folder").flatten().map(|file| file.path());
    let files = files.filter(|file| file.extension().is_some_and(|extension| extension == "yml"));
    assert_eq!(files.count(), SHOWN.len());
    for (file, variables, expected) in SHOWN {
        let path = folder.join(file);
        let check = |variables: &[(&str, &str)]| {
            let mut command = Command::new(MSIGHT);
            command.arg("check").arg(&path).env_clear().envs(variables.iter().copied());
            command.output().expect("it runs")
        };
        let output = check(variables);
        assert!(output.status.success(), "{file}: {}", said(&output));
        assert_eq!(
            text(&output.stdout),
            format!("{expected}: 0 errors, 0 warnings\n"),
            "{file}: {}",
            said(&output)
        );
        // What is to be set is named where it is not.
        for without in 0..variables.len() {
            let mut others = variables.to_vec();
            let (name, _) = others.remove(without);
            let output = check(&others);
            assert_eq!(output.status.code(), Some(1), "{file} without {name}");
            assert!(said(&output).contains(name), "{file}: {}", said(&output));
        }
    }
}

#[test]
fn the_guide_shows_the_graph_of_the_recorder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose");
    let guide = std::fs::read_to_string(folder.join("README.md")).expect("the guide");
    let shown = guide.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a graph");
    let mut command = Command::new(MSIGHT);
    command.arg("graph").arg(folder.join("recorder.yml"));
    command.env_clear().envs([("CAMERA", "rtsp://10.0.0.11/stream1"), ("BUCKET", "my-bucket")]);
    let output = command.output().expect("it runs");
    assert_eq!(text(&output.stdout), shown, "{}", said(&output));
}
