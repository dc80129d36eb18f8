//! Stops a build that would end in slow codecs, or in a long error from deep inside a C library.
//!
//! Without `nasm`, the H.264 codec that the workspace builds from source silently leaves out its assembly
//! and needs two to three times the CPU; the JPEG codec refuses to build without it. This script needs no
//! dependency's build, so it speaks within the first second.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

/// Set to 1, it accepts an H.264 codec without assembly. (The JPEG codec does not build without.)
const ALLOW_SLOW: &str = "MSIGHT_ALLOW_SLOW_CODECS";

const INSTALL: &str = "Install what the codecs need: sudo apt-get install nasm cmake g++";

fn main() {
    for variable in ["CXX", "CMAKE", "OPENH264_NO_ASM", ALLOW_SLOW] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    for complaint in missing_tools().chain(slow_codecs()) {
        println!("cargo::error={complaint}");
    }
}

fn missing_tools() -> impl Iterator<Item = String> {
    let tool = |variable, otherwise: &str| env::var(variable).unwrap_or_else(|_| otherwise.to_owned());
    let cmake = tool("CMAKE", "cmake");
    // A cross compiler has a name of its own, which the codecs' builds find.
    let compiler = (env::var_os("HOST") == env::var_os("TARGET")).then(|| tool("CXX", "c++"));
    [Some(cmake), compiler].into_iter().flatten().filter(|program| !runs(program)).map(|program| {
        format!("{program} not found; the JPEG and H.264 codecs are built from source. {INSTALL}")
    })
}

fn slow_codecs() -> Option<String> {
    // On ARM the C compiler assembles.
    if !matches!(env::var("CARGO_CFG_TARGET_ARCH").as_deref(), Ok("x86" | "x86_64")) {
        return None;
    }
    if !runs("nasm") {
        return Some(format!("nasm not found; the codecs would be 2-3 times slower without it. {INSTALL}"));
    }
    if env::var_os(ALLOW_SLOW).is_some_and(|value| value == "1") {
        return None;
    }
    if env::var_os("OPENH264_NO_ASM").is_some() {
        return Some(format!(
            "OPENH264_NO_ASM is set; the H.264 codec would be 2-3 times slower. Unset it, or set {ALLOW_SLOW}=1"
        ));
    }
    slow_codec_is_kept().then(|| {
        "an H.264 codec built earlier without nasm is still in the target folder, 2-3 times slower. \
         Run: cargo clean -p openh264-sys2"
            .to_owned()
    })
}

fn runs(program: &str) -> bool {
    // A compiler variable may hold a launcher and flags too, such as `ccache g++`.
    let Some(program) = program.split_whitespace().next() else { return false };
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Cargo keeps a codec that was built before `nasm` was installed. What its build script said is beside our
/// own output: `<target>/<profile>/build/openh264-sys2-<hash>/output`.
fn slow_codec_is_kept() -> bool {
    let Some(out_dir) = env::var_os("OUT_DIR") else { return false };
    let Some(builds) = Path::new(&out_dir).ancestors().nth(2) else { return false };
    let Ok(entries) = builds.read_dir() else { return false };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("openh264-sys2-"))
        .filter_map(|entry| std::fs::read(entry.path().join("output")).ok())
        .map(|output| String::from_utf8_lossy(&output).into_owned())
        .any(|said| said.contains("Failed to compile NASM") || said.contains("NASM compilation disabled"))
}
