//! Reading of compose files: what a graph is made of, each value with its place in the file.
//!
//! [`read`] takes the files of a project as Docker Compose would (<https://github.com/compose-spec/compose-spec>):
//! merged, with variables replaced, files of variables read, and paths absolute. What a user should hear of them
//! are [`Finding`]s, all at once: what is missing, mistyped, or not supported. No key is passed over unsaid that
//! would change what runs.
//!
//! ```
//! use msight::compose::{self, Options, Source};
//!
//! let text = "
//! services:
//!   camera:
//!     image: msight
//!     entrypoint: [msight_launch_rtsp]
//!     command: -n camera --url ${CAMERA:-rtsp://localhost:8554/live.stream}
//!     restart: unles-stopped
//! ";
//! let source = Source::Text { name: "compose.yaml".into(), text: text.into() };
//! let reading = compose::read(&[source], &Options::default());
//! let camera = reading.project.service("camera").unwrap();
//! assert_eq!(camera.command_line().last().unwrap().as_str(), "rtsp://localhost:8554/live.stream");
//! let said = reading.findings[0].to_string();
//! assert!(said.starts_with("compose.yaml:7:14: error: `unles-stopped` is not known here"), "{said}");
//! ```

mod dotenv;
mod environment;
mod excerpt;
mod extends;
mod field;
mod files;
mod finding;
mod interpolate;
mod keys;
mod lifecycle;
mod merge;
mod place;
mod ports;
mod project;
mod relations;
mod service;
#[cfg(test)]
mod tests;
mod volumes;
mod words;
mod yaml;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

pub use files::Source;
pub use finding::{Finding, Severity};
pub use place::{Located, Place, SourceFile};
pub use project::{
    Build, Condition, Dependency, Environment, HealthTest, Healthcheck, MOST_REPLICAS, Mount, Port, Project,
    Protocol, Restart, Service, Volume,
};

use environment::Environments;
use field::Field;
use finding::Findings;
use interpolate::{Interpolation, Variables};
use volumes::Folders;
use yaml::{Node, Value};

/// The way out where a file asks for other files: Docker Compose makes one of them.
const AS_ONE_FILE: &str = "Docker Compose makes one file of all: docker compose config | msight check -";

/// The most services of a project.
const MOST_SERVICES: usize = 1000;

/// What the files are read with. It has no `Debug`: variables may be passwords.
#[derive(Clone, Default)]
pub struct Options {
    /// The variables of the process. They win over those of files.
    pub variables: BTreeMap<String, String>,
    /// The folder that the program was started in, absolute; names of files start from it.
    pub folder: PathBuf,
    /// `--env-file`: files of variables instead of `.env` in the folder of the project; the last one wins.
    pub env_files: Vec<PathBuf>,
    /// `--project-name`
    pub project_name: Option<String>,
    /// `--project-directory`: the folder of the project instead of that of the first file.
    pub project_folder: Option<PathBuf>,
    /// `--profile`: the chosen profiles, beside those in the variable `COMPOSE_PROFILES`; `*` is all.
    pub profiles: Vec<String>,
}

impl Options {
    /// Those of this process. Variables that are not UTF-8 are left out.
    ///
    /// # Errors
    /// The folder that the process is in does not exist any more.
    pub fn from_process() -> std::io::Result<Self> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(Self { variables: variables.collect(), folder: std::env::current_dir()?, ..Self::default() })
    }

    /// The files that are meant when none is named.
    fn usual_sources(&self) -> Vec<Source> {
        let setting = |name: &str| self.variables.get(name).map(String::as_str);
        files::usual(&self.folder, setting("COMPOSE_FILE"), setting("COMPOSE_PATH_SEPARATOR"))
    }
}

/// What was read of the files of a project.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The project. After errors it is what could be read, so that more can be said of it; it is not to be run then.
    pub project: Project,
    /// What is to be said, in the order of the files.
    pub findings: Vec<Finding>,
}

impl Reading {
    /// Whether something is wrong that leaves nothing to run.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Whether there is a file of the usual name for [`read`] without sources.
pub fn is_here(options: &Options) -> bool {
    !options.usual_sources().is_empty()
}

/// Reads the files of a project, and merges them in their order. Without any, it is the one of the usual name in
/// `options.folder` or above.
///
/// It ends, whatever the files say: sizes, nesting, aliases and numbers have limits, and going over one is an error.
pub fn read(sources: &[Source], options: &Options) -> Reading {
    let mut findings = Findings::default();
    let usual;
    let sources = if sources.is_empty() {
        usual = options.usual_sources();
        if usual.is_empty() {
            findings.push(
                Finding::error(None, format!("no compose.yaml is in {} or above", options.folder.display()))
                    .with_help("name the file: -f FILE"),
            );
        }
        &usual
    } else {
        sources
    };
    let folder = project_folder(sources, options);
    let files = files::load(sources, &options.folder, &mut findings);
    let mut variables = variables(&folder, options, &mut findings);

    let mut trees: Vec<Node> = files.iter().filter_map(|file| yaml::parse(file, &mut findings)).collect();
    let name = project_name(&trees, &folder, options, &variables, &mut findings);
    variables.entry("COMPOSE_PROJECT_NAME".to_owned()).or_insert_with(|| name.clone());
    let mut interpolation = Interpolation::new(&variables, &mut findings);
    trees.iter_mut().for_each(|tree| interpolation.apply(tree, ""));
    for tree in &mut trees {
        extends::apply(tree, &mut findings);
    }
    let merged = trees.into_iter().reduce(|mut base, over| {
        merge::merge(&mut base, over, &[]);
        base
    });
    let services = match merged {
        Some(mut tree) => {
            merge::prune(&mut tree);
            services(&tree, &folder, &variables, options, &mut findings)
        }
        None => {
            if let (Some(file), false) = (files.first(), findings.has_errors()) {
                findings.error(Place::whole(file), "the file is empty");
            }
            Vec::new()
        }
    };
    Reading { project: Project { name, folder, services }, findings: findings.into_sorted() }
}

/// The folder that the paths of the project start from.
fn project_folder(sources: &[Source], options: &Options) -> PathBuf {
    let said = options.project_folder.as_deref();
    let of_file = match sources.first() {
        Some(Source::Path(path)) => path.parent(),
        _ => None,
    };
    let folder = options.folder.join(said.or(of_file).unwrap_or(Path::new("")));
    std::path::absolute(&folder).unwrap_or(folder).components().collect()
}

/// The variables of the files of variables, and over them those of the process.
fn variables(folder: &Path, options: &Options, findings: &mut Findings) -> Variables {
    let usual = folder.join(".env");
    let files: Vec<PathBuf> = match options.env_files.is_empty() {
        true if usual.is_file() => vec![usual],
        true => Vec::new(),
        false => options.env_files.iter().map(|file| options.folder.join(file)).collect(),
    };
    let mut variables = Variables::new();
    for file in files {
        let name = file.strip_prefix(&options.folder).unwrap_or(&file).display().to_string();
        match files::read_variables(&file, &name) {
            Ok(file) => {
                let read = dotenv::parse(&file, &options.variables, findings);
                variables.extend(read.into_iter().map(|(name, value)| (name, value.value)));
            }
            Err(wrong) => findings.error(None, wrong),
        }
    }
    variables.extend(options.variables.clone());
    variables
}

/// What a project's name is like.
pub const PROJECT_NAME: &str =
    "it has lower-case letters, digits, `-` and `_`, and begins with a letter or digit";

/// Whether a project may be called so.
pub fn is_project_name(name: &str) -> bool {
    name.chars().all(is_of_name) && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.len() <= 128
}

/// The name of the project: as chosen, else as the last file has it, else that of the folder.
fn project_name(
    trees: &[Node],
    folder: &Path,
    options: &Options,
    variables: &Variables,
    findings: &mut Findings,
) -> String {
    let chosen = options.project_name.as_ref().or_else(|| variables.get("COMPOSE_PROJECT_NAME"));
    let mut name = chosen.filter(|name| !name.is_empty()).map(|name| (name.clone(), None));
    for tree in trees.iter().rev().filter(|_| name.is_none()) {
        let Value::Mapping(entries) = &tree.value else { continue };
        let Some(mut node) = entries.get("name").map(|entry| entry.value.clone()) else { continue };
        // What is wrong with it is said when the whole tree is read.
        Interpolation::new(variables, &mut Findings::default()).apply(&mut node, "name");
        let field = Field::new(&node, "name");
        name = field.text(findings).map(|name| (name.value, Some(name.place)));
        break;
    }
    let Some((name, place)) = name else {
        let folder = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let name: String = folder.chars().filter(|c| is_of_name(*c)).collect();
        let name = name.trim_start_matches(['_', '-']);
        return if name.is_empty() { "default".to_owned() } else { name.to_owned() };
    };
    if !is_project_name(&name) {
        findings.push(Finding::error(place, "this is no name of a project").with_help(PROJECT_NAME));
        return "default".to_owned();
    }
    name
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_'
}

/// The services of the merged tree.
fn services(
    tree: &Node,
    folder: &Path,
    variables: &Variables,
    options: &Options,
    findings: &mut Findings,
) -> Vec<Service> {
    let root = Field::new(tree, "");
    if root.mapping(findings).is_none() {
        return Vec::new();
    }
    keys::check(&root, keys::FILE, findings);
    let Some(field) = root.get("services") else {
        findings.error(root.place(), "the file has no services");
        return Vec::new();
    };
    let folders = Folders { project: folder, home: variables.get("HOME").map(String::as_str) };
    let listed = variables.get("COMPOSE_PROFILES").into_iter().flat_map(|listed| listed.split(','));
    let profiles: Vec<String> =
        options.profiles.iter().map(String::as_str).chain(listed).map(str::to_owned).collect();
    let mut reader =
        service::Reader { folders, environments: Environments::new(variables, folders), profiles: &profiles };
    let mut services = Vec::new();
    let mut fields = HashMap::new();
    for (name, field) in field.entries(findings) {
        if services.len() == MOST_SERVICES {
            findings.error(name.place, format!("a project has no more than {MOST_SERVICES} services"));
            break;
        }
        if name.starts_with("x-") {
            continue;
        }
        services.extend(reader.service(name.clone(), &field, findings));
        fields.insert(name.value, field);
    }
    relations::implied(&mut services, &fields, findings);
    relations::check(&services, findings);
    services
}
