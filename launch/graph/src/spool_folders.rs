//! Compares the spool folders of a graph: a node that publishes references to files, and the nodes that read these files.

use std::path::{Component, Path, PathBuf};

use msight_compose::{Finding, Mount, Place, Project};
use msight_proto::{Message as _, VideoData};

use crate::graph::{Graph, Node};

/// The flag that names the folder, at both ends.
const FLAG: &str = "--spool";

/// Where a folder is.
#[derive(Debug, PartialEq, Eq)]
enum Location {
    /// In a named volume, at this path.
    Volume(String, PathBuf),
    /// On this machine.
    Host(PathBuf),
    /// In no volume: with `msight up` on this machine, else in the container.
    Own(PathBuf),
    /// In a volume that no other service has.
    Empty,
}

impl Location {
    /// The location that a node sees as `folder`.
    fn of(node: &Node, folder: &str, project: &Project) -> Self {
        // `.` and slashes at the end make no difference.
        let path: PathBuf =
            Path::new(folder).components().filter(|part| *part != Component::CurDir).collect();
        let volumes = project.service(&node.service).map_or(&[][..], |service| &service.volumes);
        let fitting = volumes
            .iter()
            .filter_map(|volume| Some((volume, path.strip_prefix(volume.target.as_str()).ok()?.to_owned())));
        match fitting.max_by_key(|(volume, _)| volume.target.len()) {
            None => Self::Own(path),
            Some((volume, rest)) => match &volume.source {
                Mount::Named(name) => Self::Volume(name.clone(), rest),
                Mount::Path(source) => Self::Host(source.join(rest).components().collect()),
                Mount::Empty => Self::Empty,
            },
        }
    }

    fn is_shared_with(&self, other: &Self) -> bool {
        self == other && *self != Self::Empty
    }
}

/// Reports nodes that do not find the files which messages name.
pub(super) fn check(project: &Project, graph: &Graph, findings: &mut Vec<Finding>) {
    for (name, topic) in graph.topics() {
        let writers =
            topic.writers.iter().filter(|(_, written)| written.data_type.as_deref() == Some(VideoData::TYPE));
        for (writer, _) in writers {
            let Some(folder) = writer.value_of(FLAG).filter(|folder| !folder.is_empty()) else { continue };
            let readers = topic.readers.iter().map(|(reader, _)| *reader).filter(|reader| has_flag(reader));
            for reader in readers.filter(|reader| !reader.is_incomplete && !writer.is_incomplete) {
                findings.extend(compare(project, name, (writer, &folder), reader));
            }
        }
    }
}

/// Whether one node writes files into a spool folder, and the other one finds them there, with or without a message.
pub(crate) fn share_files(writer: &Node, reader: &Node) -> bool {
    [writer, reader].iter().all(|node| node.value_of(FLAG).is_some_and(|folder| !folder.is_empty()))
}

fn has_flag(node: &Node) -> bool {
    node.program.description().flags.iter().any(|flag| flag.name() == FLAG)
}

fn compare(
    project: &Project,
    topic: &str,
    (writer, folder): (&Node, &str),
    reader: &Node,
) -> Option<Finding> {
    let (from, to) = (writer.service.as_str(), reader.service.as_str());
    let Some(read) = reader.value_of(FLAG).filter(|folder| !folder.is_empty()) else {
        let text = format!(
            "`{from}` writes segments into {FLAG} {folder} and publishes their names on topic {topic:?}, but `{to}` has no {FLAG}"
        );
        let help = format!("add {FLAG} {folder} to `{to}`, and the volume with this folder");
        return Some(Finding::error("spool-folder", reader.place(None), text).with_help(help));
    };
    let place = reader.place_of_value(FLAG, project);
    let (written, found) = (Location::of(writer, folder, project), Location::of(reader, &read, project));
    if !written.is_shared_with(&found) {
        let text = format!(
            "`{to}` reads segments in {}, but `{from}` writes them into {}",
            shown(&read, &found),
            shown(folder, &written)
        );
        let help = "give both services the same volume, and name the same folder in it with --spool";
        return Some(Finding::error("spool-folder", place, text).with_help(help));
    }
    let in_container =
        |node: &Node| project.service(&node.service).is_some_and(|service| service.image.is_some());
    if matches!(found, Location::Own(_)) && in_container(writer) && in_container(reader) {
        let text = format!(
            "`{from}` and `{to}` share {FLAG} {folder} with `msight up` alone: as containers, each has a folder of its own"
        );
        let help = format!("give both services a volume with {folder}");
        return Some(Finding::warning("spool-folder", place, text).with_help(help));
    }
    let read_only = read_only_mount(project, reader, &read)?;
    let text = format!(
        "`{to}` cannot delete segments that are uploaded: the volume with {FLAG} {read} is read-only"
    );
    Some(Finding::error("spool-folder", read_only, text).with_help("mount it without `ro`"))
}

/// The folder as the node names it, and what it is outside of its container.
fn shown(folder: &str, location: &Location) -> String {
    match location {
        Location::Volume(name, path) if path.as_os_str().is_empty() => format!("{folder} (volume `{name}`)"),
        Location::Volume(name, path) => format!("{folder} ({} in volume `{name}`)", path.display()),
        Location::Host(path) => format!("{folder} ({} of the host)", path.display()),
        Location::Own(_) => format!("{folder}, which is in no volume"),
        Location::Empty => format!("{folder}, a volume of its own"),
    }
}

/// The place of the volume that the folder is in, if it is read-only.
fn read_only_mount(project: &Project, node: &Node, folder: &str) -> Option<Place> {
    let volumes = &project.service(&node.service)?.volumes;
    let fitting = volumes.iter().filter(|volume| Path::new(folder).starts_with(volume.target.as_str()));
    let volume = fitting.max_by_key(|volume| volume.target.len()).filter(|volume| volume.read_only)?;
    Some(volume.target.place.clone())
}

#[cfg(test)]
mod tests {

    use crate::catalog::Catalog;
    use crate::graph::GraphContext;
    use msight_compose::{Options, Source};
    use msight_node::Entry;

    const NODES: [Entry; 2] = [msight_recorder::ENTRY, msight_s3_pusher::ENTRY];

    /// The findings of a recorder and a pusher with these flags and volumes: their line and message.
    async fn found(recorder: (&str, &str), pusher: (&str, &str)) -> Vec<(usize, String)> {
        let text = format!(
            "services:\n  recorder: {{ image: x, entrypoint: [msight_launch_recorder], command: '-n r -st packets -pt segments {}', volumes: [{}] }}\n  \
             pusher: {{ image: x, entrypoint: [msight_launch_aws_video_pusher], command: '-n p -st segments --bucket-name videos {}', volumes: [{}] }}\n\
             volumes: {{ spool: {{}}, other: {{}} }}\n",
            recorder.0, recorder.1, pusher.0, pusher.1
        );
        let source = Source::Text { name: "compose.yaml".into(), text };
        let project = msight_compose::read(&[source], &Options::default()).project;
        let catalog = Catalog::new(NODES, None);
        let (graph, findings) = crate::read::read(&project, &catalog, &GraphContext::default()).await;
        assert_eq!(graph.nodes.len(), 2, "{findings:?}");
        let of_folders = findings.into_iter().filter(|finding| finding.code == "spool-folder");
        of_folders.map(|one| (one.place.map_or(0, |place| place.line), one.message)).collect()
    }

    #[tokio::test]
    async fn a_recorder_and_a_pusher_that_share_a_folder_are_fine() {
        for (recorder, pusher) in [
            (("", ""), ("", "")),
            (("", ""), ("--spool /spool", "'spool:/spool'")),
            (("--spool /spool", "'spool:/spool'"), ("--spool /spool/", "'spool:/spool'")),
            (("--spool /spool/a", "'spool:/spool'"), ("--spool=/data/a", "'spool:/data'")),
            (("--spool /a", "'/srv/spool:/a'"), ("--spool /b/spool", "'/srv:/b'")),
        ] {
            assert_eq!(found(recorder, pusher).await, [], "{recorder:?} {pusher:?}");
        }
    }

    #[tokio::test]
    async fn a_pusher_that_does_not_find_the_files_of_the_recorder_is_reported() {
        for (recorder, pusher, word) in [
            (("--spool /spool", "'spool:/spool'"), ("", "'spool:/spool'"), "has no --spool"),
            (("--spool /spool", "'spool:/spool'"), ("--spool /spool", "'other:/spool'"), "volume `other`"),
            (
                ("--spool /spool", "'spool:/spool'"),
                ("--spool /spool/a", "'spool:/spool'"),
                "a in volume `spool`",
            ),
            (("--spool /spool", "'spool:/spool'"), ("--spool /spool", ""), "in no volume"),
            (("--spool /a", "'/srv/a:/a'"), ("--spool /a", "'/srv/b:/a'"), "/srv/b of the host"),
            (("--spool /a", ""), ("--spool /b", ""), "reads segments in /b"),
            (("--spool spool", ""), ("--spool ./spool", ""), "with `msight up` alone"),
            (("--spool /spool", "'spool:/spool'"), ("--spool /spool", "'spool:/spool:ro'"), "read-only"),
        ] {
            let findings = found(recorder, pusher).await;
            let [(3, text)] = &findings[..] else { panic!("{recorder:?} {pusher:?}: {findings:?}") };
            assert!(text.contains(word), "{text}");
        }
    }
}
