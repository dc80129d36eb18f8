//! Reads Docker Compose files into a [`Project`] whose values know their place in the file.
//!
//! [`read`] follows Docker Compose (<https://github.com/compose-spec/compose-spec>): it merges the files, replaces
//! variables, reads `.env` and `env_file`, and makes paths absolute. Problems are returned as [`Finding`]s, all at
//! once: what is missing, misspelt or not supported. Every key that would change what runs is either applied or
//! reported.
//!
//! ```
//! use msight_compose::{Options, Source, read};
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
//! let reading = read(&[source], &Options::default());
//! let camera = reading.project.service("camera").unwrap();
//! assert_eq!(camera.command_line().last().unwrap().as_str(), "rtsp://localhost:8554/live.stream");
//! let finding = &reading.findings[0];
//! assert_eq!((finding.code, finding.place.as_ref().unwrap().line), ("invalid-value", 7));
//! ```

mod dotenv;
mod environment;
mod excerpt;
mod extends;
mod field;
mod files;
mod finding;
mod include;
mod interpolate;
mod keys;
mod lifecycle;
mod merge;
mod other_files;
mod place;
mod ports;
mod project;
mod redact;
mod relations;
mod relative_paths;
mod service;
pub mod terminal;
#[cfg(test)]
mod tests;
mod volumes;
mod words;
mod yaml;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

pub use files::Source;
pub use finding::{Finding, Severity, VARIABLE_REQUIRED};
pub use place::{Located, Place, SourceFile};
pub use project::{
    Build, Condition, Dependency, Environment, HealthTest, Healthcheck, MAX_REPLICAS, Mount, Port, Project,
    Protocol, Restart, Service, Volume,
};
pub use words::quote;

use environment::Environments;
use field::Field;
use finding::Findings;
use interpolate::{Interpolation, Variables};
use msight_contract::suggest::closest;
use other_files::OtherFiles;
use volumes::Folders;
use yaml::{Node, Value};

/// The maximum number of services in a project.
const MAX_SERVICES: usize = 1000;

/// How to read the files. There is no `Debug`, because variables may hold passwords.
#[derive(Clone, Default)]
pub struct Options {
    /// The variables of the process. They override those of `.env` files.
    pub variables: BTreeMap<String, String>,
    /// The working directory, absolute. Relative file names start from it.
    pub folder: PathBuf,
    /// `--env-file`: files to read instead of `.env` in the project folder; later files override earlier ones.
    pub env_files: Vec<PathBuf>,
    /// Whether to ignore `.env` in the project folder.
    pub ignores_env_file: bool,
    /// `--project-name`
    pub project_name: Option<String>,
    /// `--project-directory`: the project folder, instead of the folder of the first file.
    pub project_folder: Option<PathBuf>,
    /// `--profile`: the enabled profiles, in addition to those in `COMPOSE_PROFILES`; `*` enables all.
    pub profiles: Vec<String>,
}

impl Options {
    /// The options of this process: its variables and working directory. Variables that are not UTF-8 are left out.
    ///
    /// # Errors
    /// The working directory no longer exists.
    pub fn from_process() -> std::io::Result<Self> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(Self { variables: variables.collect(), folder: std::env::current_dir()?, ..Self::default() })
    }

    /// The files to read when none is named.
    fn default_sources(&self) -> Vec<Source> {
        let setting = |name: &str| self.variables.get(name).map(String::as_str);
        files::defaults(&self.folder, setting("COMPOSE_FILE"), setting("COMPOSE_PATH_SEPARATOR"))
    }
}

/// The result of [`read`].
#[derive(Clone, Debug)]
pub struct Reading {
    /// The project. If there are errors it is incomplete: it is there for further checks, not to be run.
    pub project: Project,
    /// The findings in the order of the files.
    pub findings: Vec<Finding>,
}

impl Reading {
    /// Whether any finding is an error, so that the project must not be run.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// Whether [`read`] without sources would find a compose file.
pub fn has_default_file(options: &Options) -> bool {
    !options.default_sources().is_empty()
}

/// Reads and merges the files of a project. Without `sources`, reads the file with a default name in `options.folder`
/// or the nearest folder above it.
///
/// Reading always terminates: sizes, nesting, aliases and numbers are limited, and exceeding a limit is an error.
pub fn read(sources: &[Source], options: &Options) -> Reading {
    let mut findings = Findings::default();
    let default;
    let sources = if sources.is_empty() {
        default = options.default_sources();
        if default.is_empty() {
            findings.push(
                Finding::error(
                    "no-compose-file",
                    None,
                    format!("no compose.yaml in {} or above", options.folder.display()),
                )
                .with_help("name the file: -f FILE"),
            );
        }
        &default
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
    let home = variables.get("HOME").map(String::as_str);
    let mut others = OtherFiles::new(home, &mut findings);
    for tree in &mut trees {
        let path = options.folder.join(tree.at.file.name());
        others.resolve_file(tree, &path, other_files::Place { folder: &folder, variables: &variables });
    }
    let merged = trees.into_iter().reduce(|mut base, over| {
        merge::merge(&mut base, over, &[]);
        base
    });
    let mut external = Vec::new();
    let services = match merged {
        Some(mut tree) => {
            merge::prune(&mut tree);
            external = external_topics(&tree, &mut findings);
            services(&tree, &folder, &variables, options, &mut findings)
        }
        None => {
            if let (Some(file), false) = (files.first(), findings.has_errors()) {
                let finding = Finding::error("empty-file", Place::whole(file), "the file is empty");
                findings.push(finding.with_help(
                    "write `services:` and the nodes of the graph; launch/README.md has an example",
                ));
            }
            Vec::new()
        }
    };
    Reading { project: Project { name, folder, services, external }, findings: findings.into_sorted() }
}

/// The folder that relative paths of the project start from.
fn project_folder(sources: &[Source], options: &Options) -> PathBuf {
    let chosen = options.project_folder.as_deref();
    let of_file = match sources.first() {
        Some(Source::Path(path)) => path.parent(),
        _ => None,
    };
    let folder = options.folder.join(chosen.or(of_file).unwrap_or(Path::new("")));
    std::path::absolute(&folder).unwrap_or(folder).components().collect()
}

/// The variables for interpolation: those of `.env` files, overridden by those of the process.
fn variables(folder: &Path, options: &Options, findings: &mut Findings) -> Variables {
    let usual = folder.join(".env");
    let files: Vec<PathBuf> = match options.env_files.is_empty() {
        true if !options.ignores_env_file && usual.is_file() => vec![usual],
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
            Err(reason) => findings.push(
                Finding::error("unreadable-file", None, reason)
                    .with_help("correct the path in --env-file, which starts from the current folder"),
            ),
        }
    }
    variables.extend(options.variables.clone());
    variables
}

/// The rule for project names, as a help text.
pub const PROJECT_NAME: &str = "use lower-case letters, digits, `-` and `_`; begin with a letter or digit";

/// Whether `name` is a valid project name.
pub fn is_project_name(name: &str) -> bool {
    name.chars().all(is_project_name_char)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 128
}

/// The project name: the chosen one, else the one in the last file that has `name`, else the folder's name.
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
        // Errors in it are reported when the whole tree is read.
        Interpolation::new(variables, &mut Findings::default()).apply(&mut node, "name");
        let field = Field::new(&node, "name");
        name = field.text(findings).map(|name| (name.value, Some(name.place)));
        break;
    }
    let Some((name, place)) = name else {
        let folder = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let name: String = folder.chars().filter(|c| is_project_name_char(*c)).collect();
        let name = name.trim_start_matches(['_', '-']);
        return if name.is_empty() { "default".to_owned() } else { name.to_owned() };
    };
    if !is_project_name(&name) {
        findings.push(
            Finding::error("invalid-project-name", place, format!("invalid graph name `{name}`"))
                .with_help(PROJECT_NAME),
        );
        return "default".to_owned();
    }
    name
}

fn is_project_name_char(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_'
}

/// The topics outside the graph, from `x-msight: {external: [TOPIC]}`.
fn external_topics(tree: &Node, findings: &mut Findings) -> Vec<Located<String>> {
    let Some(settings) = Field::new(tree, "").get("x-msight") else { return Vec::new() };
    keys::check(&settings, keys::MSIGHT, findings);
    let topics = settings.get("external");
    topics
        .map(|topics| topics.items_or_one(findings))
        .into_iter()
        .flatten()
        .filter_map(|topic| topic.text(findings))
        .collect()
}

/// Reports profiles that no service has.
fn check_profiles(services: &[Service], options: &Options, findings: &mut Findings) {
    let known = || services.iter().flat_map(|service| &service.profiles).map(|profile| profile.as_str());
    for profile in options.profiles.iter().filter(|asked| *asked != "*" && !known().any(|one| one == **asked))
    {
        let finding =
            Finding::warning("unknown-profile", None, format!("no service has the profile `{profile}`"));
        findings.push(match (closest(profile, known()), known().next()) {
            (Some(near), _) => finding.with_help(format!("did you mean `{near}`?")),
            (None, Some(first)) => {
                finding.with_help(format!("profiles of this file: {first}, …; correct --profile"))
            }
            (None, None) => finding.with_help("this file has no profiles; remove --profile"),
        });
    }
}

/// Reads the services of the merged tree.
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
        findings.error("no-services", root.place(), "the file has no services");
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
        if services.len() == MAX_SERVICES {
            findings.error(
                "too-many-services",
                name.place,
                format!("a project can have at most {MAX_SERVICES} services"),
            );
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
    check_profiles(&services, options, findings);
    services
}
