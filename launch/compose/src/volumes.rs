//! `volumes` of a service, in the short form (`./data:/data:ro`) and in the long one.

use std::path::{Path, PathBuf};

use super::field::Field;
use super::finding::Findings;
use super::yaml::Value;
use super::{Finding, Located, Mount, Volume, keys};
use msight_contract::suggest::closest;

/// The folders that relative paths start from.
#[derive(Clone, Copy)]
pub(super) struct Folders<'a> {
    /// The folder of the project; absolute.
    pub(super) project: &'a Path,
    /// The home folder, for `~`.
    pub(super) home: Option<&'a str>,
}

impl Folders<'_> {
    /// Makes a path of the file absolute.
    pub(super) fn resolve(self, path: &str) -> PathBuf {
        let from_home = match path.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                self.home.map(|home| Path::new(home).join(rest.trim_start_matches('/')))
            }
            _ => None,
        };
        let joined = from_home.unwrap_or_else(|| self.project.join(path));
        // `./data` and `data` are one folder.
        joined.components().collect()
    }
}

/// Reads the volumes of a service. Of two with the same target the later one counts, as it comes from the later file.
pub(super) fn read(field: &Field<'_>, folders: Folders<'_>, findings: &mut Findings) -> Vec<Volume> {
    let mut volumes = indexmap::IndexMap::new();
    for item in field.items(findings) {
        let read = match item.node.value {
            Value::Mapping(_) => long(&item, folders, findings),
            _ => item.text(findings).and_then(|text| short(&text, folders, findings)),
        };
        if let Some(volume) = read {
            volumes.insert(volume.target.value.clone(), volume);
        }
    }
    volumes.into_values().collect()
}

/// `[SOURCE:]TARGET[:OPTIONS]`
fn short(text: &Located<String>, folders: Folders<'_>, findings: &mut Findings) -> Option<Volume> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, options] => (Some(source), target, options),
        _ => (None, "", ""),
    };
    if target.is_empty() || source == Some("") {
        findings.push(
            Finding::error("invalid-volume", text.place.clone(), format!("invalid volume `{}`", **text))
                .with_help("write it as `./folder:/folder` or `name:/folder:ro`"),
        );
        return None;
    }
    let source = match source {
        None => Mount::Empty,
        Some(path) if path.starts_with(['.', '/', '~']) => Mount::Path(folders.resolve(path)),
        Some(name) => Mount::Named(name.to_owned()),
    };
    Some(Volume {
        source,
        target: Located::new(target.to_owned(), text.place.clone()),
        read_only: options.split(',').any(|option| option == "ro"),
    })
}

fn long(field: &Field<'_>, folders: Folders<'_>, findings: &mut Findings) -> Option<Volume> {
    keys::check(field, keys::VOLUME, findings);
    let kind = field.get("type").and_then(|field| field.text(findings));
    let source = field.get("source").and_then(|field| field.text(findings));
    let (Some(kind), Some(target)) = (kind, field.get("target").and_then(|field| field.text(findings)))
    else {
        findings.error("missing-key", field.place(), "a volume needs `type` and `target`");
        return None;
    };
    let source = match (kind.as_str(), source) {
        ("bind", Some(path)) => Mount::Path(folders.resolve(&path)),
        ("volume", Some(name)) => Mount::Named(name.value),
        ("volume" | "tmpfs", _) => Mount::Empty,
        ("bind", None) => {
            findings.error("missing-key", field.place(), "a volume of type `bind` needs a `source`");
            return None;
        }
        (other, _) => {
            let finding = Finding::error(
                "invalid-value",
                kind.place.clone(),
                format!("unsupported volume type `{other}`"),
            );
            findings.push(match closest(other, ["bind", "volume", "tmpfs"]) {
                Some(near) => finding.with_help(format!("did you mean `{near}`?")),
                None => finding.with_help("supported types: bind, volume, tmpfs"),
            });
            return None;
        }
    };
    let read_only = field.get("read_only").and_then(|field| field.boolean(findings));
    Some(Volume { source, target, read_only: read_only.unwrap_or(false) })
}

#[cfg(test)]
mod tests {
    use super::super::{Place, SourceFile};
    use super::*;

    #[test]
    fn the_short_form() {
        let folders = Folders { project: Path::new("/srv/graph"), home: Some("/home/me") };
        let place = Place::whole(&SourceFile::new("compose.yaml", ""));
        let path = |path: &str| Some(Mount::Path(path.into()));
        let table = [
            ("/data", Some(Mount::Empty), false),
            (".:/data:ro", path("/srv/graph"), true),
            ("./a/./b:/data", path("/srv/graph/a/b"), false),
            ("/a:/data:rw,z", path("/a"), false),
            ("~/a:/data", path("/home/me/a"), false),
            ("~:/data", path("/home/me"), false),
            ("name:/data:z,ro", Some(Mount::Named("name".into())), true),
            ("", None, false),
            (":/data", None, false),
            ("a:", None, false),
            ("a:b:c:d", None, false),
        ];
        for (text, expected, read_only) in table {
            let mut findings = Findings::default();
            let volume = short(&Located::new(text.to_owned(), place.clone()), folders, &mut findings);
            assert_eq!(volume.is_none(), findings.has_errors(), "{text}");
            assert_eq!(volume.as_ref().is_some_and(|volume| volume.read_only), read_only, "{text}");
            assert_eq!(volume.map(|volume| volume.source), expected, "{text}");
        }
    }
}
