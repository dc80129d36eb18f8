//! Services and files that refer to others.

use super::*;

#[test]
fn services_extend_each_other() {
    let project = clean(
        "
services:
  base: {image: i, command: [a], environment: {A: 1, B: 1}, profiles: [never]}
  mid: {extends: base, environment: {B: 2}}
  top: {extends: {service: mid}, command: [c], environment: {C: 3}}
",
    );
    let top = project.service("top").unwrap();
    let variables: Vec<_> =
        top.environment.iter().map(|(name, value)| format!("{name}={}", value.value)).collect();
    assert_eq!(variables, ["A=1", "B=2", "C=3"]);
    assert_eq!(words(top.command_line()), ["c"]);
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn files_include_and_extend_others() {
    let here = folder(&[
        (
            "compose.yaml",
            "
include:
  - sub/more.yaml
services:
  a:
    extends: {file: sub/base.yaml, service: base}
    environment: {B: 2}
",
        ),
        (
            "sub/more.yaml",
            "
services:
  included: {image: $IMAGE, env_file: vars, volumes: ['./data:/data', 'named:/x']}
volumes: {named: {}}
",
        ),
        (
            "sub/base.yaml",
            "
services:
  base: {extends: {file: deeper/lowest.yaml, service: lowest}, env_file: [vars], environment: {A: 1, B: 1}}
",
        ),
        ("sub/deeper/lowest.yaml", "services: {lowest: {image: low, volumes: ['.:/here']}}"),
        ("sub/.env", "IMAGE=from-sub"),
        ("sub/vars", "V=1"),
    ]);
    let options = Options { folder: here.path().into(), ..options(&[]) };
    let reading = read(&[], &options);
    assert!(reading.findings.is_empty(), "{}", rendered(&reading));
    let a = reading.project.service("a").unwrap();
    assert_eq!(a.image.as_ref().unwrap().as_str(), "low");
    let variables: Vec<_> =
        a.environment.iter().map(|(name, value)| format!("{name}={}", value.value)).collect();
    assert_eq!(variables, ["V=1", "A=1", "B=2"]);
    assert_eq!(a.volumes[0].source, Mount::Path(here.path().join("sub/deeper")));
    let included = reading.project.service("included").unwrap();
    assert_eq!(included.image.as_ref().unwrap().as_str(), "from-sub");
    assert_eq!(included.environment.get("V").unwrap().as_str(), "1");
    assert_eq!(included.volumes[0].source, Mount::Path(here.path().join("sub/data")));
}

#[test]
fn files_that_refer_to_each_other_have_an_end() {
    let table = [
        (("include: [compose.yaml]\nservices: {a: {image: i}}", ""), "file-cycle"),
        (("include: [b.yaml]\nservices: {a: {image: i}}", "include: [b.yaml]\nservices: {}"), "file-cycle"),
        (("include: [b.yaml]\nservices: {a: {image: i}}", "services: {a: {image: i}}"), "include-conflict"),
        (("include: [none.yaml]\nservices: {a: {image: i}}", ""), "unreadable-file"),
        (("include: [/dev/zero]\nservices: {a: {image: i}}", ""), "unreadable-file"),
        (
            (
                "services: {a: {extends: {file: b.yaml, service: b}}}",
                "services: {b: {extends: {file: b.yaml, service: b}}}",
            ),
            "file-cycle",
        ),
        (
            ("services: {a: {extends: {file: b.yaml, service: c}}}", "services: {b: {image: i}}"),
            "unknown-service",
        ),
    ];
    for ((first, second), expected) in table {
        let here = folder(&[("compose.yaml", first), ("b.yaml", second)]);
        let options = Options { folder: here.path().into(), ..options(&[]) };
        let reading = read(&[], &options);
        let found: Vec<&str> = reading.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(found, [expected], "{first}: {}", rendered(&reading));
    }
}
