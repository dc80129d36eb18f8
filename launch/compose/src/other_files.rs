//! The files that a compose file refers to: those of `include`, and of `extends` with `file`.
//!
//! As in Docker Compose, relative paths of another file start from its own folder, and its variables are those of the
//! file that refers to it, with the `.env` beside it for what they lack.

use std::path::{Path, PathBuf};

use super::field::Field;
use super::finding::Findings;
use super::interpolate::{Interpolation, Variables};
use super::volumes::Folders;
use super::yaml::{Kind, MAX_WEIGHT, Mapping, Node, Scalar, Value};
use super::{Finding, Located, dotenv, extends, files, keys, yaml};
use crate::merge::merge;

/// The maximum number of files that refer to each other in a chain.
const MAX_DEPTH: usize = 16;

/// The maximum number of files that a project refers to.
const MAX_FILES: usize = 100;

/// The keys of a file whose entries `include` adds.
const RESOURCES: [&str; 5] = ["services", "networks", "volumes", "configs", "secrets"];

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

    /// Adds what the tree of a file of the project includes and extends. `path` is the file's.
    pub(super) fn resolve_file(&mut self, tree: &mut Node, path: &Path, place: Place<'_>) {
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.trail.push((identity, tree.at.file.name().to_owned()));
        self.resolve(tree, place);
        self.leave();
    }

    /// Adds what the tree of a file includes and extends.
    fn resolve(&mut self, tree: &mut Node, place: Place<'_>) {
        let Value::Mapping(entries) = &mut tree.value else { return };
        let include = entries.shift_remove("include").filter(|entry| !entry.value.is_null());
        extends::apply(tree, place, self);
        let Some(include) = include else { return };
        for item in Field::new(&include.value, "include").items(self.findings) {
            if let Some(included) = self.included(&item, place) {
                self.add(tree, included);
            }
        }
    }

    /// The trees of one entry of `include`, merged into one: a path, or a mapping with paths.
    fn included(&mut self, item: &Field<'_>, place: Place<'_>) -> Option<Node> {
        let (paths, settings) = match &item.node.value {
            Value::Mapping(_) => {
                keys::check(item, keys::INCLUDE, self.findings);
                let paths =
                    item.get("path").map(|field| field.items_or_one(self.findings)).unwrap_or_default();
                (paths, Some(item))
            }
            _ => (vec![Field::new(item.node, item.path.as_str())], None),
        };
        let paths: Vec<Located<String>> = paths.iter().filter_map(|path| path.text(self.findings)).collect();
        let Some(first) = paths.first() else {
            self.findings.push(
                Finding::error("missing-key", item.place(), "`path` is missing in `include`")
                    .with_help("write `include: [other.yaml]`"),
            );
            return None;
        };
        let mut texts = |key: &str| -> Vec<Located<String>> {
            let field = settings.and_then(|settings| settings.get(key));
            let fields = field.map(|field| field.items_or_one(self.findings)).unwrap_or_default();
            fields.iter().filter_map(|field| field.text(self.findings)).collect()
        };
        let (folder, env_files) = (texts("project_directory"), texts("env_file"));
        let folder = match folder.first() {
            Some(folder) => self.path(folder, place.folder),
            None => self.path(first, place.folder).parent().map(Path::to_owned).unwrap_or_default(),
        };
        let variables = self.variables(&env_files, &folder, place);
        let inside = Place { folder: &folder, variables: &variables };
        let mut whole: Option<Node> = None;
        for path in &paths {
            let Some(mut tree) =
                self.enter(path, None, Place { folder: place.folder, variables: &variables })
            else {
                continue;
            };
            self.resolve(&mut tree, inside);
            self.leave();
            absolute_paths(&mut tree, &folder);
            match &mut whole {
                Some(base) => merge(base, tree, &[]),
                None => whole = Some(tree),
            }
        }
        whole
    }

    /// The variables of an included file: those around it, and what only its own files of variables have.
    fn variables(&mut self, env_files: &[Located<String>], folder: &Path, place: Place<'_>) -> Variables {
        let mut variables = Variables::new();
        let beside = folder.join(".env");
        let mut read = |path: &Path, name: &str| {
            let file = files::read_variables(path, name)?;
            let read = dotenv::parse(&file, place.variables, self.findings);
            variables.extend(read.into_iter().map(|(name, value)| (name, value.value)));
            Ok::<(), String>(())
        };
        let mut failed = Vec::new();
        if env_files.is_empty() && folder != place.folder && beside.is_file() {
            let name = beside.display().to_string();
            failed.extend(read(&beside, &name).err().map(|reason| (reason, None)));
        }
        for file in env_files {
            let path = Folders { project: place.folder, home: self.home }.resolve(file);
            failed.extend(read(&path, file).err().map(|reason| (reason, Some(file.place.clone()))));
        }
        for (reason, at) in failed {
            self.findings.push(
                Finding::error("unreadable-file", at, reason)
                    .with_help("correct the path, which starts from the folder of the including file"),
            );
        }
        variables.extend(place.variables.clone());
        variables
    }

    fn path(&self, written: &str, folder: &Path) -> PathBuf {
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

    /// Adds the resources of an included tree. Two of one name are an error, as in Docker Compose.
    fn add(&mut self, tree: &mut Node, included: Node) {
        let (Value::Mapping(top), Value::Mapping(resources)) = (&mut tree.value, included.value) else {
            return;
        };
        for (kind, entry) in resources.into_iter().filter(|(kind, _)| RESOURCES.contains(&kind.as_str())) {
            let Some(known) = top.get_mut(&kind).filter(|known| !known.value.is_null()) else {
                top.insert(kind, entry);
                continue;
            };
            let (Value::Mapping(known), Value::Mapping(more)) = (&mut known.value.value, entry.value.value)
            else {
                continue;
            };
            for (name, resource) in more {
                if kind == "services" && known.contains_key(&name) {
                    let place = resource.key.place(format!("services.{name}"));
                    self.findings.push(
                        Finding::error(
                            "include-conflict",
                            place,
                            format!("service `{name}` is also in the including file"),
                        )
                        .with_help("give it another name, or extend it: `extends: {file: …, service: …}`"),
                    );
                    continue;
                }
                known.entry(name).or_insert(resource);
            }
        }
    }
}

/// Makes the relative paths of all services of a file absolute.
fn absolute_paths(tree: &mut Node, folder: &Path) {
    let Value::Mapping(top) = &mut tree.value else { return };
    if let Some(Value::Mapping(services)) = top.get_mut("services").map(|entry| &mut entry.value.value) {
        services.values_mut().for_each(|entry| absolute_paths_of(&mut entry.value, folder));
    }
}

/// Makes the relative paths of a service absolute: those of `env_file`, `volumes` and `build`.
pub(super) fn absolute_paths_of(service: &mut Node, folder: &Path) {
    let Value::Mapping(keys) = &mut service.value else { return };
    let is_relative =
        |path: &str| !path.starts_with(['/', '~']) && !path.contains("://") && !path.starts_with("git@");
    let join = |text: &mut String| {
        if !text.is_empty() && is_relative(text) {
            *text = folder.join(&*text).to_string_lossy().into_owned();
        }
    };
    // The source of a volume is a path only if it begins with a dot.
    let join_source = |text: &mut String| {
        if text.starts_with('.') {
            *text = folder.join(&*text).to_string_lossy().into_owned();
        }
    };
    for (key, inner) in [("env_file", "path"), ("build", "context"), ("volumes", "source")] {
        let Some(node) = keys.get_mut(key).map(|entry| &mut entry.value) else { continue };
        let items = match &mut node.value {
            Value::Sequence(items) => items.as_mut_slice(),
            _ => std::slice::from_mut(node),
        };
        for item in items {
            match &mut item.value {
                Value::Scalar(scalar) if key == "volumes" => text(scalar, join_source),
                Value::Scalar(scalar) => text(scalar, join),
                Value::Mapping(entries) if key == "volumes" => inner_text(entries, inner, join_source),
                Value::Mapping(entries) => inner_text(entries, inner, join),
                Value::Sequence(_) => {}
            }
        }
    }
}

fn inner_text(entries: &mut Mapping, key: &str, change: impl Fn(&mut String)) {
    if let Some(Value::Scalar(scalar)) = entries.get_mut(key).map(|entry| &mut entry.value.value) {
        text(scalar, change);
    }
}

fn text(scalar: &mut Scalar, change: impl Fn(&mut String)) {
    if scalar.kind == Kind::Text {
        change(&mut scalar.text);
    }
}
