//! Manual pages, completions, and nodes by the first argument: what packages contain beside the program.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use msight_test_support::{can_run, is_installed};

const MSIGHT: &str = env!("CARGO_BIN_EXE_msight");
const PROGRAMS: [&str; 6] = [
    "msight_launch_rtsp",
    "msight_launch_image_to_video_aggregator",
    "msight_launch_recorder",
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

/// The options of a program with their values, as its `--help` lists them.
fn options_of_help(program: &str) -> Vec<String> {
    let help = text(&msight(&[program, "--help"]).stdout);
    let options: Vec<_> =
        help.lines().filter_map(|line| line.strip_prefix("  ")).map(str::to_owned).collect();
    let options: Vec<_> = options.into_iter().filter(|line| line.starts_with('-')).collect();
    assert!(options.len() > 20, "{help}");
    options
}

/// The names of these options: `-pt` and `--publish-topic`.
fn names(options: &[String]) -> Vec<String> {
    let words = options.iter().flat_map(|line| line.split([' ', ',']));
    words.filter(|word| word.starts_with('-')).map(str::to_owned).collect()
}

#[test]
fn pages_have_the_options_of_the_help_in_its_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(format!("{name}.1"));
    assert!(msight(&["man", folder.path().to_str().expect("a path")]).status.success());
    for program in &PROGRAMS[..4] {
        let page = fs::read_to_string(path(program)).expect("a page");
        let plain = ["\\fB", "\\fI", "\\fR"].iter().fold(page, |page, font| page.replace(font, ""));
        let plain = plain.replace("\\-", "-");
        let options = plain.split("\n.TP\n").skip(1).filter_map(|item| item.lines().next());
        assert_eq!(options.collect::<Vec<_>>(), options_of_help(program), "{program}");
        assert!(plain.contains(&format!("\n.SH SYNOPSIS\n.nh\n.ad l\n{program} -n <NAME> ")), "{plain}");
    }
    let up = fs::read_to_string(path("msight-up")).expect("a page");
    assert!(
        up.contains("\\fBmsight up\\fR \\fI[OPTIONS]\\fR \\fI[FILE]...\\fR\n")
            && !up.contains("in\\-background"),
        "{up}"
    );

    if can_run(is_installed("mandoc", &["-T", "utf8", "/dev/null"]), "mandoc (apt-get install mandoc)") {
        for page in fs::read_dir(folder.path()).expect("pages") {
            let page = page.expect("a page").path();
            let lint = Command::new("mandoc")
                .args(["-T", "lint", "-W", "warning"])
                .arg(&page)
                .output()
                .expect("it runs");
            let found = text(&lint.stdout);
            // No page has a date.
            let found: Vec<_> = found.lines().filter(|line| !line.contains("missing date")).collect();
            assert!(found.is_empty(), "{found:?}");
        }
    }
}

/// The completion script of a program.
fn completions(shell: &str, program: &str) -> String {
    let output = msight(&["completions", shell, program]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let script = text(&output.stdout);
    assert!(
        !script.contains("hunter2")
            && !script.contains("shared-process")
            && !script.contains("in-background"),
        "{script}"
    );
    script
}

/// What a shell prints for these commands, one after the other.
fn lines_of(shell: &mut Command, script: &str) -> Vec<String> {
    let output = shell.args(["-c", script]).output().expect("a shell");
    assert!(output.stderr.is_empty(), "{script}: {}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_options_in_the_order_of_the_help_and_their_values() {
    let completed = |program: &str, words: &[&str]| {
        let (last, before) = words.split_last().expect("a word");
        // As bash calls it: a `=` is a word of its own, and not part of the one to be completed.
        let (last, before) =
            (if *last == "=" { "" } else { last }, before.last().copied().unwrap_or(program));
        let script = format!(
            "{}\nCOMP_WORDS=({program} {}); COMP_CWORD={}; _{program} {program} '{last}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            completions("bash", program),
            words.iter().map(|word| format!("'{word}' ")).collect::<String>(),
            words.len()
        );
        lines_of(&mut Command::new("bash"), &script)
    };
    for program in &PROGRAMS[..4] {
        assert_eq!(completed(program, &["-"]), names(&options_of_help(program)));
        assert_eq!(completed(program, &["-n", "name", ""]), names(&options_of_help(program)));
    }
    let rtsp = PROGRAMS[0];
    assert_eq!(completed(rtsp, &["-p"]), ["-pt"]);
    for words in [&["--rtsp-transport", ""][..], &["--rtsp-transport", "="], &["--rtsp-transport", "=", ""]] {
        assert_eq!(completed(rtsp, words), ["tcp", "udp"], "{words:?}");
    }
    assert_eq!(completed(rtsp, &["-pt", ""]), [""], "only the user knows the topic");
    assert_eq!(completed("msight", &["up", "--one"]), ["--one-process"]);
    assert_eq!(completed("msight", &["rest"]), ["restart"]);
    assert_eq!(completed("msight", &["completions", ""]), ["bash", "fish", "zsh"]);
}

#[test]
fn fish_completes_options_of_one_dash() {
    if !can_run(is_installed("fish", &["--version"]), "fish (apt-get install fish)") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let completed = |program: &str, line: &str| -> Vec<String> {
        let script = folder.path().join("script.fish");
        fs::write(&script, completions("fish", program)).expect("a file");
        let commands = format!("source {}; complete --do-complete '{program} {line}'", script.display());
        let mut fish = Command::new("fish");
        fish.arg("--no-config").env("HOME", folder.path()).current_dir(folder.path());
        let lines = lines_of(&mut fish, &commands);
        lines.iter().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
    };
    for program in &PROGRAMS[..4] {
        let mut expected = names(&options_of_help(program));
        let mut found = completed(program, "-");
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }
    assert_eq!(completed(PROGRAMS[0], "-pt topic --rtsp-transport "), ["tcp", "udp"]);
    assert_eq!(completed(PROGRAMS[0], "--overflow drop-o"), ["drop-oldest"]);
    assert_eq!(completed("msight", "res"), ["reset", "restart"]);
    assert_eq!(completed("msight", "up --one"), ["--one-process"]);
}

#[test]
fn zsh_gets_the_options_and_their_values() {
    if !can_run(is_installed("zsh", &["--version"]), "zsh (apt-get install zsh)") {
        return;
    }
    // The words that the script passes to zsh's own function.
    let arguments = |program: &str| {
        let script = completions("zsh", program);
        let commands = format!(
            "compdef() {{}}; words=(up); _arguments() {{ print -rl -- \"$@\"; state=rest }}\n{script}\n_{program}"
        );
        lines_of(Command::new("zsh").arg("-f"), &commands)
    };
    for program in &PROGRAMS[..4] {
        let lines = arguments(program);
        for option in names(&options_of_help(program)) {
            let is_spec = |line: &&String| {
                // Before it, in parentheses: the options that it excludes.
                let spec = line
                    .strip_prefix('(')
                    .and_then(|rest| rest.split_once(')'))
                    .map_or(line.as_str(), |(_, spec)| spec);
                spec.strip_prefix(&option)
                    .is_some_and(|rest| rest.trim_start_matches(['=', '+']).starts_with('['))
            };
            assert_eq!(lines.iter().filter(is_spec).count(), 1, "{option}: {lines:#?}");
        }
    }
    let lines = arguments(PROGRAMS[0]);
    assert!(
        lines.iter().any(|line| line.starts_with("(-pt --publish-topic)-pt[Topic to publish")),
        "{lines:#?}"
    );
    let values = lines.iter().find(|line| line.starts_with("--rtsp-transport=")).expect("an option");
    assert!(
        values.contains(r":TRANSPORT:((tcp\:Interleaved\ in\ the\ RTSP\ connection udp\:As\ datagrams))"),
        "{values}"
    );
    let lines = arguments("msight");
    assert!(lines.iter().any(|line| line.starts_with("--one-process[")), "{lines:#?}");
}

#[test]
fn a_mistyped_program_is_named() {
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
    for name in &PROGRAMS[4..] {
        let own = Command::new(crate::nodes::folder().join(name)).arg("--help").output().expect("it runs");
        assert!(text(&own.stdout).contains(&format!("Usage: {name}")), "{}", text(&own.stdout));
        assert_eq!(msight(&[name, "--help"]).stdout, own.stdout);
    }
    let refused = msight(&[PROGRAMS[0], "-n", "name"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("msight_launch_rtsp: error: "), "{}", text(&refused.stderr));
}
