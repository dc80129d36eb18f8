//! Maps paths in a container to paths on this machine.

use std::fs;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, access};

use msight_compose::{Finding, Mount, Service, Volume};

/// The volumes of a node. A named volume, which Docker keeps, is the folder `NAME-data` in the project's folder here. It is
/// made if it does not exist, as Docker does.
///
/// # Errors
/// The folder of a named volume cannot be written.
pub(super) fn of_node(service: &Service, project: &Path) -> Result<Vec<Volume>, Finding> {
    let with_folder = |volume: &Volume| {
        let Mount::Named(name) = &volume.source else { return Ok(volume.clone()) };
        let folder = project.join(format!("{name}-data"));
        let usable = fs::create_dir_all(&folder)
            .and_then(|()| access(&folder, Access::WRITE_OK | Access::EXEC_OK).map_err(Into::into));
        if let Err(error) = usable {
            let text = format!("cannot keep the volume `{name}` in {}: {error}", folder.display());
            return Err(Finding::error("unusable-folder", volume.target.place.clone(), text).with_help(
                format!(
                    "copy the compose file into a folder of yours, or mount one: `~/{name}:{}`",
                    *volume.target
                ),
            ));
        }
        Ok(Volume { source: Mount::Path(folder), ..volume.clone() })
    };
    service.volumes.iter().map(with_folder).collect()
}

/// The path on this machine that a container with these volumes sees as `seen`.
pub(super) fn outside(seen: &str, volumes: &[Volume]) -> Option<PathBuf> {
    let path = Path::new(seen);
    // In a container, `..` cannot leave the volume.
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return None;
    }
    let fitting = volumes.iter().filter_map(|volume| {
        let Mount::Path(source) = &volume.source else { return None };
        let rest = path.strip_prefix(volume.target.as_str()).ok()?;
        Some((
            volume.target.len(),
            if rest.as_os_str().is_empty() { source.clone() } else { source.join(rest) },
        ))
    });
    fitting.max_by_key(|(length, _)| *length).map(|(_, outside)| outside)
}

/// Replaces a path in a volume: `/data/file`, or `--file=/data/file`.
pub(super) fn in_argument(argument: &str, volumes: &[Volume]) -> String {
    if let Some((flag, value)) = argument.split_once('=').filter(|(flag, _)| flag.starts_with("--")) {
        return format!("{flag}={}", in_argument(value, volumes));
    }
    outside(argument, volumes).map_or_else(|| argument.to_owned(), |path| path.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use msight_compose::{Options, Source, read};

    #[test]
    fn the_nearest_volume_counts() {
        let text =
            "services: { a: { image: a, volumes: ['/srv:/data', '/other:/data/deep:ro', 'named:/named'] } }";
        let source = Source::Text { name: "compose.yaml".into(), text: text.into() };
        let project = read(&[source], &Options::default()).project;
        let volumes = &project.services[0].volumes;
        let table = [
            ("/data/sample.mp4", "/srv/sample.mp4"),
            ("/data", "/srv"),
            ("/data/deep/x", "/other/x"),
            ("/database", "/database"),
            ("/named/x", "/named/x"),
            ("/data/../etc/passwd", "/data/../etc/passwd"),
            ("data", "data"),
            ("--file=/data/x", "--file=/srv/x"),
        ];
        for (seen, expected) in table {
            assert_eq!(in_argument(seen, volumes), expected);
        }
    }

    #[test]
    fn a_named_volume_of_a_node_is_a_folder_of_the_project() {
        let text = "services: { a: { image: a, volumes: ['spool:/spool', '/srv:/data'] } }";
        let source = Source::Text { name: "compose.yaml".into(), text: text.into() };
        let project = read(&[source], &Options::default()).project;
        let folder = tempfile::tempdir().expect("a folder");
        let volumes = of_node(&project.services[0], folder.path()).expect("it is made");
        let spool = folder.path().join("spool-data");
        assert!(spool.is_dir());
        assert_eq!(outside("/spool/gate", &volumes), Some(spool.join("gate")));
        assert_eq!(outside("/data", &volumes), Some("/srv".into()));

        fs::write(folder.path().join("file"), "").expect("written");
        let error = of_node(&project.services[0], &folder.path().join("file")).expect_err("it is a file");
        assert!(error.message.contains("`spool`") && error.message.contains("spool-data"), "{error:?}");
    }
}
