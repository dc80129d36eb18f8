//! Stops a build that would produce slow codecs, or end in a long error from a C library.
//!
//! Without `nasm`, the H.264 codec builds without its assembly and needs two to three times the CPU time. The JPEG codec
//! does not build at all. This script does not wait for the build of any dependency, so it reports within a second.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

/// The value 1 accepts an H.264 codec without assembly. (The JPEG codec does not build without it.)
const ALLOW_SLOW: &str = "MSIGHT_ALLOW_SLOW_CODECS";

const INSTALL: &str = "Install the tools: sudo apt-get install nasm cmake g++";

fn main() {
    for variable in ["CXX", "CMAKE", "OPENH264_NO_ASM", ALLOW_SLOW] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    for error in missing_tools().chain(slow_codecs()) {
        println!("cargo::error={error}");
    }
}

fn missing_tools() -> impl Iterator<Item = String> {
    let tool = |variable, otherwise: &str| env::var(variable).unwrap_or_else(|_| otherwise.to_owned());
    let cmake = tool("CMAKE", "cmake");
    // A cross compiler has another name, which the codecs' builds find.
    let compiler = (env::var_os("HOST") == env::var_os("TARGET")).then(|| tool("CXX", "c++"));
    [Some(cmake), compiler].into_iter().flatten().filter(|program| !runs(program)).map(|program| {
        format!("{program} not found; the JPEG and H.264 codecs are built from source. {INSTALL}")
    })
}

fn slow_codecs() -> Option<String> {
    // On ARM the C compiler is the assembler.
    if !matches!(env::var("CARGO_CFG_TARGET_ARCH").as_deref(), Ok("x86" | "x86_64")) {
        return None;
    }
    if !runs("nasm") {
        return Some(format!("nasm not found; without it the codecs are 2-3 times slower. {INSTALL}"));
    }
    if env::var_os(ALLOW_SLOW).is_some_and(|value| value == "1") {
        return None;
    }
    if env::var_os("OPENH264_NO_ASM").is_some() {
        return Some(format!(
            "OPENH264_NO_ASM is set; it makes the H.264 codec 2-3 times slower. Unset it, or set {ALLOW_SLOW}=1"
        ));
    }
    has_slow_codec().then(|| {
        "the target folder still has an H.264 codec that was built without nasm and is 2-3 times slower. \
         Run: cargo clean -p openh264-sys2"
            .to_owned()
    })
}

fn runs(program: &str) -> bool {
    // A compiler variable may contain a launcher and flags, such as `ccache g++`.
    let Some(program) = program.split_whitespace().next() else { return false };
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Whether the target folder has a codec that was built before `nasm` was installed. The output of its build script is in
/// `<target>/<profile>/build/openh264-sys2-<hash>/output`.
fn has_slow_codec() -> bool {
    let Some(out_dir) = env::var_os("OUT_DIR") else { return false };
    let Some(builds) = Path::new(&out_dir).ancestors().nth(2) else { return false };
    let Ok(entries) = builds.read_dir() else { return false };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("openh264-sys2-"))
        .filter_map(|entry| std::fs::read(entry.path().join("output")).ok())
        .map(|output| String::from_utf8_lossy(&output).into_owned())
        .any(|output| {
            output.contains("Failed to compile NASM") || output.contains("NASM compilation disabled")
        })
}
