//! The unit of `compose/`, as systemd reads it.

use std::fs;
use std::path::Path;
use std::process::Command;

use msight_test_support::{can_run, is_installed};

/// The exposure that `systemd-analyze security` counts, from 0 to 10, which sandboxing keeps below this.
const MOST_EXPOSURE: f32 = 1.5;

#[test]
fn systemd_takes_the_unit_without_a_word() {
    if !can_run(is_installed("systemd-analyze", &["--version"]), "systemd-analyze (apt-get install systemd)")
    {
        return;
    }
    let analyze = || Command::new("systemd-analyze");
    let unit =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../compose/msight@.service"));
    let unit = unit.expect("the unit");
    // What is started has to be there.
    let installed = "ExecStart=/usr/local/bin/msight ";
    assert!(unit.contains(installed));
    let unit = unit.replace(installed, &format!("ExecStart={} ", env!("CARGO_BIN_EXE_msight")));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("msight@gate.service");
    fs::write(&file, &unit).expect("a file");

    let output = analyze().arg("verify").arg(&file).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    // Units of the machine are looked at as well.
    assert!(output.status.success() && !said.contains("msight@gate"), "{said}");
    let output = analyze().args(["security", "--offline=true", "--no-pager"]).arg(&file).output();
    let output = output.expect("it runs");
    let table = String::from_utf8_lossy(&output.stdout);
    let exposure = table.split_once("exposure level").and_then(|(_, rest)| rest.split(": ").nth(1));
    let exposure: Option<f32> = exposure.and_then(|rest| rest.split(' ').next()?.parse().ok());
    assert!(exposure.is_some_and(|exposure| exposure <= MOST_EXPOSURE), "{exposure:?}\n{table}");

    // A word that systemd does not know would be passed over, and what it should do not be done.
    fs::write(&file, unit.replace("NoNewPrivileges=", "NoNewPrivilegs=")).expect("a file");
    let output = analyze().arg("verify").arg(&file).output().expect("it runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("NoNewPrivilegs"));
}
