//! Finds and reads the compose files.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::finding::Findings;
use super::{Finding, SourceFile};

/// The maximum size of a file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The maximum number of files of a project.
const MAX_FILES: usize = 32;

/// The default file names, in order of preference.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// Where a compose file comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    Path(PathBuf),
    /// Standard input.
    Stdin,
    /// A text, with its name in messages.
    Text {
        /// The name in messages.
        name: String,
        /// The text of the file.
        text: String,
    },
}

impl fmt::Debug for Source {
    // A text may contain passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{path:?}"),
            Self::Stdin => f.write_str("<stdin>"),
            Self::Text { name, .. } => write!(f, "{name:?}"),
        }
    }
}

impl From<&str> for Source {
    /// As on a command line: `-` is standard input.
    fn from(written: &str) -> Self {
        if written == "-" { Self::Stdin } else { Self::Path(written.into()) }
    }
}

/// The files to read when none is named: those of `COMPOSE_FILE`, else the first default name in `folder` or the
/// nearest folder above it, with its override file.
pub(super) fn defaults(folder: &Path, listed: Option<&str>, separator: Option<&str>) -> Vec<Source> {
    if let Some(listed) = listed.filter(|listed| !listed.is_empty()) {
        let separator = separator.filter(|separator| !separator.is_empty()).unwrap_or(":");
        return listed.split(separator).map(Source::from).collect();
    }
    for folder_above in folder.ancestors() {
        // In the folder itself the bare name is shown.
        let named = |name: &str| if folder_above == folder { name.into() } else { folder_above.join(name) };
        let Some(name) = NAMES.iter().find(|name| folder_above.join(name).is_file()) else { continue };
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "yaml"));
        let others = if extension == "yaml" { ["yaml", "yml"] } else { ["yml", "yaml"] };
        let over = others.map(|extension| format!("{stem}.override.{extension}"));
        let over = over.iter().find(|name| folder_above.join(name).is_file());
        return [Some(*name), over.map(String::as_str)]
            .into_iter()
            .flatten()
            .map(|name| Source::Path(named(name)))
            .collect();
    }
    Vec::new()
}

/// The text of each source. Files that cannot be read are reported.
pub(super) fn load(sources: &[Source], folder: &Path, findings: &mut Findings) -> Vec<Arc<SourceFile>> {
    if sources.len() > MAX_FILES {
        findings.error(
            "too-many-files",
            None,
            format!("{} files given; a project can have at most {MAX_FILES}", sources.len()),
        );
    }
    let mut files = Vec::new();
    for source in sources.iter().take(MAX_FILES) {
        let (name, read) = match source {
            Source::Path(path) => (path.display().to_string(), open(&folder.join(path)).and_then(text)),
            Source::Stdin => ("<stdin>".to_owned(), text(io::stdin().lock())),
            Source::Text { name, text: at_hand } => (name.clone(), text(at_hand.as_bytes())),
        };
        match read {
            Ok(text) => files.push(SourceFile::new(name, text)),
            Err(error) => {
                let missing = error.kind() == io::ErrorKind::NotFound;
                let finding = Finding::error("unreadable-file", None, format!("cannot read {name}: {error}"));
                findings.push(match missing {
                    true => finding.with_help("pass the compose file with -f, or change to its folder"),
                    false => finding,
                });
            }
        }
    }
    files
}

/// A file of variables, called `name` in messages.
///
/// # Errors
/// Why it cannot be read, for a finding at the place that names the file.
pub(super) fn read_variables(path: &Path, name: &str) -> Result<Arc<SourceFile>, String> {
    read_regular(path, name).map_err(|error| format!("cannot read variables from {name}: {error}"))
}

/// A regular file that a compose file names, called `name` in messages. Reading never blocks: from a pipe or a device it
/// could forever, and some files of /proc look regular.
///
/// # Errors
/// The file cannot be read.
pub(super) fn read_regular(path: &Path, name: &str) -> io::Result<Arc<SourceFile>> {
    let file = open_at_once(path)?;
    let found = file.metadata()?;
    if found.is_dir() {
        return Err(io::Error::other("it is a folder; name a file"));
    }
    if !found.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    match text(file) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(io::Error::other("not a regular file"))
        }
        read => Ok(SourceFile::new(name, read?)),
    }
}

/// Opens a file without waiting for the other end of a pipe.
fn open_at_once(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)
}

/// A compose file that the user names. It may be a pipe, such as `<(docker compose config)`, and is then waited for.
fn open(path: &Path) -> io::Result<File> {
    let found = path.metadata()?;
    if found.is_dir() {
        return Err(io::Error::other("it is a folder; name the compose file in it"));
    }
    if found.is_file() { open_at_once(path) } else { File::open(path) }
}

fn text(from: impl io::Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("larger than {} MiB", MAX_BYTES >> 20)));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_names_are_found_here_and_above() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b");
        std::fs::create_dir_all(&below).unwrap();
        let write = |name: &str| std::fs::write(folder.path().join(name), "").unwrap();
        let path = |name: &str| Source::Path(name.into());
        assert!(!defaults(&below, None, None).contains(&path("compose.yaml")));
        write("docker-compose.yml");
        assert_eq!(defaults(folder.path(), None, None), [path("docker-compose.yml")]);
        write("compose.yml");
        assert_eq!(defaults(folder.path(), None, None), [path("compose.yml")]);
        write("compose.override.yaml");
        assert_eq!(defaults(folder.path(), None, None), [path("compose.yml"), path("compose.override.yaml")]);
        write("compose.override.yml");
        assert_eq!(defaults(folder.path(), None, None), [path("compose.yml"), path("compose.override.yml")]);
        assert_eq!(defaults(&below, None, None)[0], Source::Path(folder.path().join("compose.yml")));
        assert_eq!(defaults(&below, Some("x.yml:-"), None), [path("x.yml"), Source::Stdin]);
        assert_eq!(defaults(&below, Some("x:y;z"), Some(";")), [path("x:y"), path("z")]);
    }

    #[test]
    fn unreadable_files_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("large"), vec![b' '; (MAX_BYTES + 1) as usize]).unwrap();
        std::fs::write(folder.path().join("binary"), [0xff, 0xfe]).unwrap();
        let table =
            [("absent", "No such file"), ("large", "larger than 1 MiB"), ("binary", "not UTF-8"), (".", "")];
        for (name, expected) in table {
            let mut findings = Findings::default();
            let files = load(&[Source::from(name)], folder.path(), &mut findings);
            let said = findings.into_sorted();
            assert!(
                files.is_empty() && said.len() == 1 && said[0].message.contains(expected),
                "{name}: {said:?}"
            );
        }
        let device = read_variables(Path::new("/dev/zero"), "zero").unwrap_err();
        assert!(device.contains("not a regular file"), "{device}");
        // Looks regular, and blocks a reader until the kernel logs a line.
        read_variables(Path::new("/proc/kmsg"), "kmsg").expect_err("it has no end");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success());
        let pipe = read_variables(&pipe, "pipe").unwrap_err();
        assert!(pipe.contains("not a regular file"), "{pipe}");
        let here = read_variables(folder.path(), "here").unwrap_err();
        assert!(here.contains("folder"), "{here}");
    }
}
