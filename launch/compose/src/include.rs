//! `include`: the files whose services and other resources become part of a project.
//!
//! As in Docker Compose, relative paths of another file start from its own folder, and its variables are those of the
//! file that refers to it, with the `.env` beside it for what they lack.

use std::path::Path;

use super::field::Field;
use super::interpolate::Variables;
use super::merge::merge;
use super::other_files::{OtherFiles, Place};
use super::relative_paths::absolute_paths;
use super::yaml::{Node, Value};
use super::{Finding, Located, dotenv, extends, files, keys};

/// The keys of a file whose entries `include` adds.
const RESOURCES: [&str; 5] = ["services", "networks", "volumes", "configs", "secrets"];

impl OtherFiles<'_> {
    /// Adds what the tree of a file of the project includes and extends. `path` is the file's.
    pub(super) fn resolve_file(&mut self, tree: &mut Node, path: &Path, place: Place<'_>) {
        let name = tree.at.file.name().to_owned();
        self.begin(path, &name);
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
            None => self.folder_of(first, place.folder),
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
        let named: Vec<_> = env_files.iter().map(|file| (self.path(file, place.folder), file)).collect();
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
        for (path, file) in named {
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
