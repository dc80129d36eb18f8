//! The script that installs a tarball, with small programs in the place of msight's.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const INSTALL: &str = include_str!("../tarball/install");
const UNIT: &str = "lib/systemd/system/msight@.service";

/// An unpacked tarball whose program prints `version`. Only its owner may read it, as with a umask of 077.
fn tarball(version: &str, page: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let files = [
        ("install", INSTALL),
        ("bin/msight", &format!("#!/bin/sh\necho {version} {{$*}}\n")),
        (UNIT, "ExecStart=/usr/local/bin/msight up\n"),
        (page, "text\n"),
        ("share/doc/msight-rs/INSTALL.md", "text\n"),
    ];
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(&file, text).expect("a file");
        let is_program = name == "install" || name.starts_with("bin/");
        set_mode(&file, if is_program { 0o700 } else { 0o600 });
    }
    symlink("msight", folder.path().join("bin/a_node")).expect("a link");
    folder
}

fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("permissions");
}

/// Runs the script of a tarball in a folder, as a user whose files are private.
fn install(tarball: &TempDir, folder: &Path, args: &[&str]) -> Output {
    let script = tarball.path().join("install");
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(script).args(args);
    shell.current_dir(folder).output().expect("it runs")
}

fn installed(tarball: &TempDir, folder: &Path, args: &[&str]) -> String {
    let output = install(tarball, folder, args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// All entries below a folder with their permissions; those of links do not count.
fn entries(folder: &Path) -> BTreeMap<PathBuf, u32> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            let about = fs::symlink_metadata(&path).expect("an entry");
            if about.is_dir() {
                folders.push(path.clone());
            }
            let mode = if about.is_symlink() { 0 } else { about.permissions().mode() & 0o777 };
            found.insert(path.strip_prefix(folder).expect("below it").to_owned(), mode);
        }
    }
    found
}

#[test]
fn any_user_may_run_what_is_installed_below_a_relative_prefix() {
    let (tarball, home) = (tarball("1", "share/man/man1/msight.1"), tempfile::tempdir().expect("a folder"));
    let said = installed(&tarball, home.path(), &["some where"]);
    let program = home.path().join("some where/bin/msight");
    assert!(said.contains(program.to_str().expect("text")), "{said}");
    for (path, mode) in entries(&home.path().join("some where")) {
        let is_file =
            ["md", "1", "service"].iter().any(|end| path.extension().is_some_and(|found| found == *end));
        let expected = match path.to_str() {
            Some("bin/a_node") => 0,
            _ if is_file || path.ends_with("installed-files") => 0o644,
            _ => 0o755,
        };
        assert_eq!(format!("{mode:o}"), format!("{expected:o}"), "{}", path.display());
    }
    let unit = fs::read_to_string(home.path().join("some where").join(UNIT)).expect("the unit");
    assert_eq!(unit, format!("ExecStart={} up\n", program.display()));
    let node = Command::new(home.path().join("some where/bin/a_node")).arg("-n").output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&node.stdout), "1 {-n}\n");
    // All of it lies in one folder, and all of it goes.
    assert_eq!(entries(home.path()).keys().next(), Some(&PathBuf::from("some where")));
    installed(&tarball, home.path(), &["--remove", "some where"]);
    assert_eq!(entries(home.path()), BTreeMap::new());
}

#[test]
fn an_upgrade_replaces_running_programs_and_removes_old_files() {
    let old = tarball("1", "share/man/man1/msight-old.1");
    let new = tarball("2", "share/man/man5/msight-new.5");
    let prefix = tempfile::tempdir().expect("a folder");
    let own = prefix.path().to_str().expect("text");
    // Of the user: an empty folder, and a file beside those of the package.
    fs::create_dir_all(prefix.path().join("bin")).expect("a folder");
    fs::create_dir_all(prefix.path().join("share/man/man5")).expect("a folder");
    fs::write(prefix.path().join("share/man/man5/mine.5"), "text").expect("a file");
    let before = entries(prefix.path());

    // A running binary cannot be written to.
    fs::copy("/bin/sleep", old.path().join("bin/msight")).expect("a program");
    installed(&old, Path::new("/"), &[own]);
    let mut running = Command::new(prefix.path().join("bin/msight")).arg("100").spawn().expect("it runs");
    installed(&new, Path::new("/"), &[own]);
    assert_eq!(running.try_wait().expect("a child"), None);
    running.kill().and_then(|()| running.wait()).expect("it ends");
    let upgraded = Command::new(prefix.path().join("bin/msight")).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&upgraded.stdout), "2 {}\n");
    let after = entries(prefix.path());
    assert!(after.contains_key(Path::new("share/man/man5/msight-new.5")), "{after:?}");
    assert!(!after.contains_key(Path::new("share/man/man1")), "{after:?}");

    installed(&new, Path::new("/"), &["--remove", own]);
    assert_eq!(entries(prefix.path()), before);
}

#[test]
fn an_upgrade_that_fails_keeps_the_old_program_and_can_be_removed() {
    let (old, new) = (tarball("1", "share/man/man1/msight.1"), tarball("2", "share/man/man5/msight.5"));
    let prefix = tempfile::tempdir().expect("a folder");
    let own = prefix.path().to_str().expect("text");
    installed(&old, Path::new("/"), &[own]);
    // A place that cannot be written to, as on a full disk.
    let blocked = prefix.path().join("share/man/man5/msight.5.new");
    fs::create_dir_all(blocked.join("msight.5")).expect("a folder");
    let failed = install(&new, Path::new("/"), &[own]);
    assert!(!failed.status.success());
    assert!(Command::new(prefix.path().join("bin/msight")).status().expect("it runs").success());
    fs::remove_dir_all(blocked).expect("a folder");
    installed(&new, Path::new("/"), &["--remove", own]);
    let left: Vec<_> = entries(prefix.path()).into_keys().collect();
    assert_eq!(left, ["share", "share/man", "share/man/man5"].map(PathBuf::from));
}

#[test]
fn mistakes_touch_nothing() {
    let (tarball, empty) = (tarball("1", "share/man/man1/msight.1"), tempfile::tempdir().expect("a folder"));
    let before = entries(tarball.path());
    let own = tarball.path().to_str().expect("text");
    for args in [&["--help"][..], &["--remove", "-x"], &["a", "b"], &["--remove", "."], &[own]] {
        assert!(!install(&tarball, empty.path(), args).status.success(), "{args:?}");
    }
    assert_eq!(entries(tarball.path()), before);
    assert_eq!(entries(empty.path()), BTreeMap::new());
}
