//! Maps paths in a container to paths on this machine.

use std::path::{Component, Path, PathBuf};

use msight_compose::{Mount, Volume};

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
}
