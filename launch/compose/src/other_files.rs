//! The files that a compose file refers to: those of `include`, and of `extends` with `file`.

use std::path::{Path, PathBuf};

use super::finding::Findings;
use super::interpolate::{Interpolation, Variables};
use super::volumes::Folders;
use super::yaml::{MAX_WEIGHT, Node};
use super::{Finding, Located, files, yaml};

/// The maximum number of files that refer to each other in a chain.
const MAX_DEPTH: usize = 16;

/// The maximum number of files that a project refers to.
const MAX_FILES: usize = 100;

/// Where a file stands: what its relative paths start from, and its variables.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) folder: &'a Path,
    pub(super) variables: &'a Variables,
}

/// Reads the files that others refer to, within limits.
pub(super) struct OtherFiles<'a> {
    pub(super) findings: &'a mut Findings,
    home: Option<&'a str>,
    /// The files, or services of files, that are being read, by their path and by their name in messages.
    trail: Vec<(PathBuf, String)>,
    files: usize,
    weight: usize,
}

impl<'a> OtherFiles<'a> {
    pub(super) fn new(home: Option<&'a str>, findings: &'a mut Findings) -> Self {
        Self { findings, home, trail: Vec::new(), files: 0, weight: 0 }
    }

    /// Begins with a file of the project. `path` is the file's. [`leave`](Self::leave) follows.
    pub(super) fn begin(&mut self, path: &Path, name: &str) {
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.trail.push((identity, name.to_owned()));
    }

    /// The path that is written in a file of this folder.
    pub(super) fn path(&self, written: &str, folder: &Path) -> PathBuf {
        Folders { project: folder, home: self.home }.resolve(written)
    }

    /// Reads and interpolates a file. `service` is the one that is needed of it, or `None` for the whole file.
    /// [`leave`](Self::leave) follows.
    pub(super) fn enter(
        &mut self,
        written: &Located<String>,
        service: Option<&str>,
        place: Place<'_>,
    ) -> Option<Node> {
        let path = self.path(written, place.folder);
        let identity = path.canonicalize().unwrap_or_else(|_| path.clone());
        let identity = service.map_or(identity.clone(), |service| identity.join(service));
        let name = service.map_or(written.value.clone(), |service| format!("{}: {service}", **written));
        if self.trail.iter().any(|(known, _)| *known == identity) {
            let names = self.trail.iter().map(|(_, name)| name.as_str()).chain([name.as_str()]);
            let message =
                format!("files refer to each other in a cycle: {}", names.collect::<Vec<_>>().join(" → "));
            self.findings.push(
                Finding::error("file-cycle", written.place.clone(), message)
                    .with_help("remove one of these `include` or `extends`"),
            );
            return None;
        }
        self.files += 1;
        if self.trail.len() >= MAX_DEPTH || self.files > MAX_FILES {
            let message = format!("more than {MAX_DEPTH} files deep, or more than {MAX_FILES} files");
            self.findings.push(
                Finding::error("too-many-files", written.place.clone(), message)
                    .with_help("refer to fewer files with `include` and `extends`"),
            );
            return None;
        }
        let file = match files::read_regular(&path, written) {
            Ok(file) => file,
            Err(error) => {
                let message = format!("cannot read {}: {error}", **written);
                self.findings.push(
                    Finding::error("unreadable-file", written.place.clone(), message)
                        .with_help(format!("its path resolves to {}", path.display())),
                );
                return None;
            }
        };
        let mut tree = yaml::parse(&file, self.findings)?;
        Interpolation::new(place.variables, self.findings).apply(&mut tree, "");
        self.weight += tree.weight();
        if self.weight > MAX_WEIGHT {
            let message = format!("the files that the project refers to exceed {} MiB", MAX_WEIGHT >> 20);
            self.findings.error("too-large", written.place.clone(), message);
            return None;
        }
        self.trail.push((identity, name));
        Some(tree)
    }

    /// Ends what [`enter`](Self::enter) began.
    pub(super) fn leave(&mut self) {
        self.trail.pop();
    }

    /// The folder of a file, which its own relative paths start from.
    pub(super) fn folder_of(&self, written: &str, folder: &Path) -> PathBuf {
        self.path(written, folder).parent().map(Path::to_owned).unwrap_or_default()
    }
}
