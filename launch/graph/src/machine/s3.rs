//! The S3 server of a graph: the built-in one, where none answers.

use std::collections::BTreeSet;

use rustix::fs::{Access, access};

use super::provider::{Provider, ServerPlan, own_program_for, variables};
use super::volumes;
use crate::server::{Server, values_of, words_of};
use msight_compose::{Finding, Service};

/// The built-in server's variables for its user.
const OWN_KEYS: [&str; 2] = ["MSIGHT_STORE_ACCESS_KEY", "MSIGHT_STORE_SECRET_KEY"];

/// The built-in server's flags for its user. They become variables, which no other user of the machine can read.
const OWN_KEY_FLAGS: [&str; 2] = ["--access-key", "--secret-key"];

/// MinIO's variables for the first user.
const MINIO_KEYS: [&str; 2] = ["MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"];

/// Flags of MinIO that change nothing for a graph, with what their values are called: it has no console here, and its
/// port is where the nodes look.
const HARMLESS: [(&str, bool); 5] = [
    ("--address", true),
    ("--console-address", true),
    ("--quiet", false),
    ("--anonymous", false),
    ("--json", false),
];

impl Provider<'_> {
    /// The built-in S3 server over the folder of the service's volume, else over one in the project folder.
    pub(super) fn store(&self, server: &Server, service: &Service) -> Result<ServerPlan, Finding> {
        let own = own_program_for(&server.service.place)?;
        let volume =
            service.volumes.iter().find_map(|volume| volumes::outside(&volume.target, &service.volumes));
        let is_chosen = volume.is_some();
        let folder = volume.unwrap_or_else(|| self.project.folder.join(format!("{}-data", *service.name)));
        let usable = std::fs::create_dir_all(&folder)
            .and_then(|()| access(&folder, Access::WRITE_OK | Access::EXEC_OK).map_err(Into::into));
        if let Err(error) = usable {
            let text = format!("cannot store objects in {}: {error}", folder.display());
            return Err(Finding::error("unusable-folder", server.service.place.clone(), text).with_help(
                match is_chosen {
                    true => "make this folder writable for the user of msight, or mount one that is",
                    false => "copy the compose file into a folder of yours, or mount one: volumes: [\"~/msight-s3:/data\"]",
                },
            ));
        }
        let mut args = vec!["store".to_owned(), "--listen".to_owned(), server.address().to_string()];
        args.extend(["--folder".to_owned(), folder.to_string_lossy().into_owned()]);
        for bucket in self.buckets(service) {
            if let Err(invalid) = msight_segment::check_bucket_name(&bucket) {
                let place = server.service.place.clone();
                return Err(Finding::error("invalid-bucket", place, invalid.to_string()));
            }
            args.extend(["--bucket".to_owned(), bucket]);
        }
        let mut job = self.job(server, service, own, args);
        let value = |name| Some(service.environment.get(name)?.value.clone());
        let names = if server.is_own { OWN_KEYS } else { MINIO_KEYS };
        let keys = names.into_iter().zip(OWN_KEYS);
        job.environment = keys.filter_map(|(name, own)| Some((own.to_owned(), value(name)?))).collect();
        if server.is_own {
            let words = words_of(service);
            let flags = OWN_KEY_FLAGS.into_iter().zip(OWN_KEYS);
            let given =
                flags.filter_map(|(flag, own)| Some((own.to_owned(), values_of(&words, flag).pop()?)));
            job.environment.extend(given.map(|(own, value)| (own, value.to_owned())));
        }
        Ok(ServerPlan::Started(Box::new(job), settings(server, service)))
    }

    /// The buckets that a built-in server creates. If its command names none, and for other servers, those that the nodes
    /// of the graph name.
    fn buckets(&self, service: &Service) -> BTreeSet<String> {
        let words = words_of(service);
        let created = values_of(&words, "--bucket");
        if !created.is_empty() {
            return created.into_iter().map(str::to_owned).collect();
        }
        self.graph.nodes.iter().filter_map(|node| node.value_of("--bucket-name")).collect()
    }
}

/// What the file sets of the server beside its port, its first user and its folder: the names.
pub(super) fn settings(server: &Server, service: &Service) -> Vec<String> {
    if server.is_own {
        return Vec::new();
    }
    let words = words_of(service);
    let mut named = Vec::new();
    let mut words =
        words.into_iter().filter(|word| !matches!(*word, "minio" | "/usr/bin/docker-entrypoint.sh"));
    let begins_a_server = words.next().is_none_or(|word| word == "server");
    while let Some(word) = words.next() {
        let flag = word.split('=').next().unwrap_or(word);
        let harmless = HARMLESS.iter().find(|(name, _)| *name == flag);
        match harmless {
            Some((_, true)) if flag == word => drop(words.next()),
            Some(_) => {}
            None if flag.starts_with('-') => named.push(flag.to_owned()),
            // A folder of the container; its volume says where that is.
            None => {}
        }
    }
    if !begins_a_server {
        named = vec!["its command".to_owned()];
    }
    named.extend(variables(service, "MINIO_", &MINIO_KEYS));
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::graph::GraphContext;
    use crate::machine::names::Names;
    use crate::tutorial::BUILT_IN;
    use msight_compose::{Options, Source, read};

    #[tokio::test]
    async fn buckets_are_found_in_any_spelling() {
        let text = "services:
  a: { image: x, entrypoint: [msight_launch_aws_video_pusher], command: '-n a -st s --bucket one' }
  b: { image: x, entrypoint: [msight_launch_aws_video_pusher], command: '-n b -st s --bucket-name=two' }
  c: { image: x, entrypoint: [msight_launch_aws_sequence_pusher], command: '-n c -st s --buck=three' }
  d: { image: minio/minio }
  e: { image: x, command: msight store --bucket four }";
        let source = Source::Text { name: "compose.yaml".into(), text: text.into() };
        let project = read(&[source], &Options::default()).project;
        let catalog = Catalog::new(BUILT_IN, None);
        let (graph, _) = crate::read::read(&project, &catalog, &GraphContext::default()).await;
        let names = Names::of(&project);
        let provider =
            Provider { project: &project, graph: &graph, names: &names, path: &[], needs_redis: true };
        let buckets =
            |service: usize| provider.buckets(&project.services[service]).into_iter().collect::<Vec<_>>();
        assert_eq!(buckets(3), ["one", "three", "two"]);
        // A bucket that only a node names is a mistake, which must not make one.
        assert_eq!(buckets(4), ["four"]);
    }

    #[test]
    fn what_is_not_taken_over_is_named() {
        let table: [(&str, &[&str]); 5] = [
            ("command: server /data --console-address :9001 --quiet", &[]),
            ("command: minio server --address=:9000 /data", &[]),
            ("command: server /data --certs-dir /certs", &["--certs-dir"]),
            ("command: gateway s3", &["its command"]),
            ("environment: { MINIO_ROOT_USER: u, MINIO_REGION: eu, TZ: UTC }", &["MINIO_REGION"]),
        ];
        for (service, named) in table {
            let text = format!("services: {{ minio: {{ image: minio/minio, {service} }} }}");
            let source = Source::Text { name: "compose.yaml".into(), text };
            let project = read(&[source], &Options::default()).project;
            let service_of = &project.services[0];
            let server = Server::of(service_of).expect("it is a server");
            assert_eq!(settings(&server, service_of), named, "{service}");
        }
    }
}
