//! What is reported, and where.

use proptest::prelude::*;

use super::*;

#[test]
fn problems_are_reported_at_their_place() {
    let service = |lines: &str| format!("services:\n  a:\n    image: i\n    {lines}\n");
    let table = [
        ("comand: x", "c:4:5 error unknown-key"),
        ("command: [a, 5]", "c:4:18 error wrong-type"),
        ("command: a 'b", "c:4:14 error unclosed-quote"),
        ("command: a | b", "c:4:16 warning shell-operator"),
        ("command: a $B", "c:4:16 warning variable-not-set"),
        ("command: ['${B:?set it}']", "c:4:16 error variable-required"),
        ("command: 'a $'", "c:4:17 error invalid-interpolation"),
        ("environment: {A: 1.50}", "c:4:22 warning number-rewritten"),
        ("environment: {A: [1]}", "c:4:22 error wrong-type"),
        ("environment: x", "c:4:18 error wrong-type"),
        ("env_file: none.env", "c:4:15 error unreadable-file"),
        ("depends_on: [b]", "c:4:18 error unknown-service"),
        ("depends_on: {b: {required: false}}", "c:4:18 warning unknown-service"),
        ("depends_on: [a]", "c:4:18 error dependency-cycle"),
        ("network_mode: host\n    healthcheck: {test: x, retries: x}", "c:5:37 error wrong-type"),
        ("restart: allways", "c:4:14 error invalid-value"),
        ("deploy: {replicas: 5000}", "c:4:24 error wrong-type"),
        ("deploy: {replica: 5}", "c:4:14 error unknown-key"),
        ("scale: many", "c:4:12 error wrong-type"),
        ("stop_grace_period: 10", "c:4:24 error wrong-type"),
        ("healthcheck: {test: [redis-cli]}", "c:4:26 error invalid-healthcheck"),
        ("ports: ['x:1']", "c:4:13 error invalid-port"),
        ("volumes: ['a:']", "c:4:15 error invalid-volume"),
        ("volumes: [{type: bin, target: /x}]", "c:4:22 error invalid-value"),
        ("secrets: [s]", "c:4:5 warning container-only"),
        ("mem_limit: 1g", "c:4:5 note container-limit"),
        ("post_start: [{command: x}]", "c:4:5 error unsupported-key"),
        ("extends: {file: other.yaml, service: b}", "c:4:21 error unreadable-file"),
        ("extends: b", "c:4:14 error unknown-service"),
        ("extends: a", "c:4:14 error extends-cycle"),
        ("user: 1000", "c:4:11 error wrong-type"),
        ("image: again", "c:4:5 error duplicate-key"),
        ("command: *nowhere", "c:4:14 error undefined-alias"),
        ("command: !mine x", "c:4:20 error unknown-tag"),
        ("<<: x", "c:4:9 error wrong-type"),
        ("? [a]\n    : b", "c:4:7 error wrong-type"),
    ];
    let mut wrong = Vec::new();
    for (lines, expected) in table {
        let found = codes(&service(lines));
        if found != [expected] {
            wrong.push(format!("{lines}: {found:?}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let table = [
        ("", "c error empty-file"),
        ("x", "c:1:1 error wrong-type"),
        ("version: '3'", "c:1:1 error no-services"),
        ("servces: {}\nservices: {}", "c:1:1 error unknown-key"),
        ("services: {}\ninclude: [x]", "c:2:11 error unreadable-file"),
        ("services: [", "c:1:11 error invalid-yaml"),
        ("services: {a: {}}", "c:1:12 error no-image"),
        ("services: {a b: {image: i}}", "c:1:12 error invalid-service-name"),
        ("services: {a: x}", "c:1:15 error wrong-type"),
        ("name: Upper\nservices: {}", "c:1:7 error invalid-project-name"),
        ("services: {}\n---\nservices: {}", "c:2:1 error second-document"),
    ];
    for (text, expected) in table {
        assert_eq!(codes(text), [expected], "{text}");
    }
}

#[test]
fn all_problems_are_reported_once() {
    let text = "
x-base: &base {image: i, comand: x}
services:
  b: {<<: *base, restart: x}
  a: {<<: *base, depends_on: [c]}
  c: {image: i, profiles: [p]}
";
    let expected =
        ["c:2:26 error unknown-key", "c:4:27 error invalid-value", "c:5:31 error inactive-dependency"];
    assert_eq!(codes(text), expected);
}

#[test]
fn dependency_cycles_are_reported() {
    let text = "
services:
  a: {image: i, depends_on: [b]}
  b: {image: i, depends_on: [c, d]}
  c: {image: i, depends_on: [b]}
  d: {image: i}
";
    assert_eq!(codes(text), ["c:5:30 error dependency-cycle"]);
}

#[test]
fn a_finding_shows_the_line_and_hides_its_secrets() {
    let text = "services:\n  a:\n    image: i\n    comand: rtsp://me:s3cret@host/x # ü\n    environment:\n      AWS_SECRET_ACCESS_KEY: s3cret$X\n";
    let reading = read(&[source("compose.yaml", text)], &options(&[]));
    let expected = "\
compose.yaml:4:5: error: unknown key `comand`
  4 |     comand: rtsp://**************** * *
    |     ^^^^^^
  at services.a.comand
  help: did you mean `command`?
compose.yaml:6:36: warning: the variable after `$` is not set and becomes an empty string
  6 |       AWS_SECRET_ACCESS_KEY: ********
    |                                    ^^
  at services.a.environment.AWS_SECRET_ACCESS_KEY
  help: set it in the environment or in .env; write `$$` for a dollar sign
";
    assert_eq!(rendered(&reading), expected);
    assert!(!format!("{reading:?}").contains("s3cret"), "{reading:?}");
    let coloured = reading.findings[0].render(true).to_string();
    assert!(coloured.contains("\x1b[1;31merror:\x1b[0m"), "{coloured:?}");
}

#[test]
fn hostile_files_have_an_end() {
    let mut laughs = String::from("x0: &x0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n");
    for level in 1..20 {
        let before = level - 1;
        laughs += &format!("x{level}: &x{level} [{}]\n", vec![format!("*x{before}"); 10].join(", "));
    }
    let deep = format!("services: {}{}", "[".repeat(5000), "]".repeat(5000));
    let block = (0..2000).map(|level| format!("{}a:\n", " ".repeat(level % 500))).collect::<String>();
    let itself = "services: &a {a: *a}".to_owned();
    let long = format!("services: {{a: {{image: i, command: \"{}\"}}}}", "$A".repeat(400_000));
    let many =
        format!("services:\n{}", (0..1500).map(|n| format!("  s{n}: {{image: i}}\n")).collect::<String>());
    let wrong =
        format!("services:\n{}", (0..900).map(|n| format!("  s{n}: {{imag: i}}\n")).collect::<String>());
    let heirs = format!(
        "services:\n  b: {{image: i, command: {}}}\n{}",
        "x".repeat(900_000),
        (0..900).map(|n| format!("  s{n}: {{extends: b}}\n")).collect::<String>()
    );
    let waits = format!(
        "services: {{a: {{image: i, depends_on: [{}]}}}}",
        (0..60_000).map(|n| format!("s{n},")).collect::<String>()
    );
    let quoted = format!("services: {{a: {{image: i, user: 1, command: '{}'}}}}", "\\a ".repeat(200_000));
    let value = "v".repeat(100_000);
    for text in [&laughs, &deep, &block, &itself, &long, &many, &wrong, &heirs, &waits, &quoted] {
        let reading = read(&[source("c", text)], &options(&[("A", &value)]));
        assert!(reading.has_errors() && reading.findings.len() <= 201, "{}", &text[..50]);
    }
}

proptest! {
    #[test]
    fn any_text_is_read(text in "(?s).{0,200}") {
        rendered(&read(&[source("c", &text)], &options(&[])));
    }

    #[test]
    fn any_mixture_of_what_compose_files_have_is_read(
        parts in prop::collection::vec(prop::sample::select(vec![
            "services:", "\n", "\n  ", "\n    ", "\n      ", "a:", "b:", "image:", "command:", "environment:", "env_file:",
            "depends_on:", "extends:", "ports:", "volumes:", "healthcheck:", "deploy:", "replicas:", "- ", "[", "]", "{",
            "}", ", ", "&x ", "*x", "<<: *x", "'", "\"", "${A:-", "}", "$", ": ", " i", " 1", " null", "!reset ",
            "!override ", "? ", "| ", "> ", "\u{202e}ü", "\t", "#", "8000-9000:1", "a:b:c", "A=1", "---", "service:",
        ]), 0..40),
        over in any::<bool>(),
    ) {
        let text = parts.concat();
        let around = format!("services:\n  a: &x\n    image: i\n    {text}\n");
        let sources = if over { vec![source("a", &around), source("b", &text)] } else { vec![source("c", &text)] };
        rendered(&read(&sources, &options(&[("A", "1")])));
    }
}
