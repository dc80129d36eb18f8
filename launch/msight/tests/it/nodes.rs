//! The node programs: links to `msight`, which is each of its nodes by the name it is called.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// A folder with a link for each node that `msight` is built with.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("msight");
        let links = Command::new(env!("CARGO_BIN_EXE_msight")).arg("links").arg(&folder).output();
        let links = links.expect("it runs");
        assert!(links.status.success(), "{}", String::from_utf8_lossy(&links.stderr));
        folder
    });
    &FOLDER
}

/// A program of this workspace by its name.
pub(crate) fn program(name: &str) -> PathBuf {
    match name {
        "msight" => env!("CARGO_BIN_EXE_msight").into(),
        "msight_status" => env!("CARGO_BIN_EXE_msight_status").into(),
        "msight_reset_redis" => env!("CARGO_BIN_EXE_msight_reset_redis").into(),
        node => folder().join(node),
    }
}
