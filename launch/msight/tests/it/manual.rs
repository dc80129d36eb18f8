//! Manual pages, completions, and nodes by the first argument: what packages contain beside the program.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const MSIGHT: &str = env!("CARGO_BIN_EXE_msight");
const PROGRAMS: [&str; 5] = [
    "msight_launch_rtsp",
    "msight_launch_image_to_video_aggregator",
    "msight_launch_aws_video_pusher",
    "msight_status",
    "msight_reset_redis",
];

fn msight(args: &[&str]) -> Output {
    // The values of variables belong into no page.
    Command::new(MSIGHT).args(args).env("MSIGHT_RTSP_URL", "rtsp://u:hunter2@h/").output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn each_command_and_node_has_a_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("man");
    let listed = msight(&["man", pages.to_str().expect("a path")]);
    assert!(listed.status.success(), "{}", text(&listed.stderr));
    let listed = text(&listed.stdout);

    let help = text(&msight(&["--help"]).stdout);
    let commands =
        help.split("Commands:").nth(1).and_then(|rest| rest.split("Options:").next()).expect("commands");
    let commands = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let commands: Vec<_> = commands.filter(|name| !name.is_empty() && *name != "help").collect();
    assert!(commands.contains(&"up") && commands.contains(&"man"), "{commands:?}");
    let names = commands.iter().map(|name| format!("msight-{name}"));
    for name in names.chain(PROGRAMS.map(str::to_owned)).chain(["msight".to_owned()]) {
        let page = fs::read_to_string(pages.join(format!("{name}.1")))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(listed.contains(&format!("{name}.1\n")), "{listed}");
        assert!(page.contains("\n.SH SYNOPSIS\n"), "{page}");
        assert!(!page.contains("hunter2"), "{page}");
    }
    assert_eq!(fs::read_dir(&pages).expect("pages").count(), commands.len() + PROGRAMS.len() + 1);
}

#[test]
fn completions_are_scripts_that_name_the_flags() {
    for shell in ["bash", "fish", "zsh"] {
        for (program, flag) in [("msight", "one-process"), (PROGRAMS[0], "rtsp-transport")] {
            let output = msight(&["completions", shell, program]);
            assert!(output.status.success(), "{}", text(&output.stderr));
            let script = text(&output.stdout);
            assert!(script.contains(flag) && script.contains(program), "{shell} {program}: {script}");
            assert!(!script.contains("hunter2"), "{script}");
        }
    }
    let script = text(&msight(&["completions", "bash"]).stdout);
    let wanted = format!(
        "{script}\nCOMP_WORDS=(msight up --one); COMP_CWORD=2; _msight msight --one up; echo \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash").args(["-c", &wanted]).output().expect("bash");
    assert_eq!(text(&output.stdout), "--one-process\n", "{}", text(&output.stderr));

    let mistyped = msight(&["completions", "bash", "msight_launch_rstp"]);
    assert_eq!(mistyped.status.code(), Some(1));
    assert!(text(&mistyped.stderr).contains(PROGRAMS[0]), "{}", text(&mistyped.stderr));
}

#[test]
fn a_program_runs_by_its_name_or_path_as_the_first_argument() {
    let by_link =
        Command::new(crate::nodes::folder().join(PROGRAMS[0])).arg("--describe").output().expect("it runs");
    for name in [PROGRAMS[0].to_owned(), Path::new("/opt").join(PROGRAMS[0]).display().to_string()] {
        let output = msight(&[&name, "--describe"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(output.stdout, by_link.stdout);
    }
    for name in &PROGRAMS[3..] {
        let own = Command::new(crate::nodes::folder().join(name)).arg("--help").output().expect("it runs");
        assert!(text(&own.stdout).contains(&format!("Usage: {name}")), "{}", text(&own.stdout));
        assert_eq!(msight(&[name, "--help"]).stdout, own.stdout);
    }
    let refused = msight(&[PROGRAMS[0], "-n", "name"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("msight_launch_rtsp: error: "), "{}", text(&refused.stderr));
}
