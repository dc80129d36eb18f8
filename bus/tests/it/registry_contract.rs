//! The contract of every registry, run against memory and a real Redis.

use std::sync::Arc;

use msight_bus::registry::{
    Declared, Heartbeat, NodeRecord, Owner, Registration, RegistryError, SENSOR_DATA, Status, TopicNames,
    nodes, register_topic, resolve_topic, topics,
};
use msight_bus::{MemoryRegistry, Registry, Table};
use msight_test_support::bus::topic;
use msight_test_support::redis::RedisServer;

macro_rules! every_registry {
    ($($name:ident)*) => {
        mod memory {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(Arc::new(MemoryRegistry::new())).await;
                }
            )*
        }
        mod redis {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    let server = RedisServer::start(&[]);
                    super::$name(server.connection().await.registry).await;
                }
            )*
        }
    };
}

every_registry! {
    swap_compares_and_sets
    swap_has_one_winner
    reset_deletes_the_registry
    a_name_has_one_owner
    the_name_of_a_dead_owner_is_taken_over
    a_claim_whose_response_was_lost_can_be_repeated
    the_name_of_a_live_python_node_is_held
    a_vanished_record_is_restored
    a_rewrite_by_python_keeps_the_claim
    the_reason_of_an_error_is_in_the_record_until_it_ends
    a_name_that_was_taken_over_is_lost_and_its_record_kept
    a_malformed_record_blocks_no_other
    topics_are_declared
    a_topic_record_names_the_channel
}

async fn swap_compares_and_sets(registry: Arc<dyn Registry>) {
    let swap = async |expected, new| registry.swap(Table::Topics, "é", expected, new).await.unwrap();
    assert_eq!(swap(Some("1"), Some("2")).await, Err(None));
    assert_eq!(swap(None, Some("1")).await, Ok(()));
    assert_eq!(swap(None, Some("2")).await, Err(Some("1".to_owned())));
    assert_eq!(swap(Some(""), Some("2")).await, Err(Some("1".to_owned())));
    assert_eq!(swap(Some("1"), Some("")).await, Ok(()));
    assert_eq!(registry.get(Table::Topics, "é").await.unwrap().as_deref(), Some(""));
    assert_eq!(swap(None, None).await, Err(Some(String::new())));
    assert_eq!(registry.read(Table::Topics).await.unwrap(), [("é".to_owned(), String::new())]);
    assert_eq!(registry.read(Table::Nodes).await.unwrap(), []);
    assert_eq!(swap(Some(""), None).await, Ok(()));
    assert_eq!(swap(None, None).await, Ok(()));
    assert_eq!(registry.get(Table::Topics, "é").await.unwrap(), None);
}

async fn swap_has_one_winner(registry: Arc<dyn Registry>) {
    let contenders = (0..20).map(|n| {
        let registry = registry.clone();
        tokio::spawn(async move {
            registry.swap(Table::Nodes, "n", None, Some(&n.to_string())).await.unwrap().is_ok()
        })
    });
    let mut winners = 0;
    for contender in contenders.collect::<Vec<_>>() {
        winners += usize::from(contender.await.unwrap());
    }
    assert_eq!(winners, 1);
}

async fn reset_deletes_the_registry(registry: Arc<dyn Registry>) {
    assert_eq!(registry.reset().await.unwrap(), 0);
    for table in [Table::Nodes, Table::Topics] {
        registry.swap(table, "x", None, Some("y")).await.unwrap().unwrap();
    }
    assert_eq!(registry.reset().await.unwrap(), 2);
    assert!(registry.read(Table::Nodes).await.unwrap().is_empty());
}

fn record(name: &str) -> NodeRecord {
    let mut record = NodeRecord::new(name, "edge1".to_owned(), "RTSPSourceNode");
    record.publish_topic = Some(TopicNames::from("rtsp_topic"));
    record
}

fn elsewhere() -> Owner {
    Owner { id: "ee".into(), host: "elsewhere".into(), pid: 1, pid_namespace: "pid:[1]".into() }
}

/// The time in whole seconds, because serde_json does not parse every fraction exactly.
fn now() -> f64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as f64
}

async fn put(registry: &dyn Registry, record: &NodeRecord) {
    let current = registry.get(Table::Nodes, &record.name).await.unwrap();
    let text = record.to_json().unwrap();
    registry.swap(Table::Nodes, &record.name, current.as_deref(), Some(&text)).await.unwrap().unwrap();
}

async fn stored(registry: &dyn Registry, name: &str) -> Option<NodeRecord> {
    let text = registry.get(Table::Nodes, name).await.unwrap()?;
    Some(NodeRecord::from_json(name, &text).unwrap())
}

async fn a_name_has_one_owner(registry: Arc<dyn Registry>) {
    let mut first = Registration::claim(registry.clone(), record("cam"), Owner::current()).await.unwrap();
    let found = stored(&*registry, "cam").await.unwrap();
    assert_eq!((found.status, found.publish_topic), (Status::Registered, Some("rtsp_topic".into())));
    assert!((found.last_heartbeat - now()).abs() < 10.0);

    let refusal = Registration::claim(registry.clone(), record("cam"), Owner::current()).await.err().unwrap();
    let message = refusal.to_string();
    assert!(matches!(refusal, RegistryError::Held { .. }), "{message}");
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");

    assert_eq!(first.heartbeat(Status::Running, None).await.unwrap(), Heartbeat::Kept);
    assert_eq!(stored(&*registry, "cam").await.unwrap().status, Status::Running);
    assert_eq!(nodes(&*registry).await.unwrap().len(), 1);
    first.release().await.unwrap();
    assert_eq!(stored(&*registry, "cam").await, None);
    Registration::claim(registry.clone(), record("cam"), Owner::current()).await.unwrap();
}

async fn the_name_of_a_dead_owner_is_taken_over(registry: Arc<dyn Registry>) {
    // An owner on another host whose heartbeat has expired.
    let old = NodeRecord { owner: Some(elsewhere()), last_heartbeat: now() - 16.0, ..record("cam") };
    put(&*registry, &old).await;
    Registration::claim(registry.clone(), record("cam"), Owner::current()).await.unwrap();
    // An owner on this host that was just killed: a child process that has ended.
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let killed = Owner { pid: child.id(), ..Owner::current() };
    put(&*registry, &NodeRecord { owner: Some(killed), last_heartbeat: now(), ..record("cam") }).await;
    Registration::claim(registry.clone(), record("cam"), Owner::current()).await.unwrap();
    // A live owner on another host.
    let mut other = NodeRecord { owner: Some(elsewhere()), last_heartbeat: now(), ..record("cam") };
    put(&*registry, &other).await;
    let refusal = Registration::claim(registry.clone(), record("cam"), Owner::current()).await.err().unwrap();
    assert!(refusal.to_string().contains("elsewhere"), "{refusal}");
    // Unknown keys are kept when the owner changes.
    other.last_heartbeat -= 100.0;
    other.extra.insert("zeta".to_owned(), 1.into());
    put(&*registry, &other).await;
    Registration::claim(registry.clone(), record("cam"), Owner::current()).await.unwrap();
    assert_eq!(stored(&*registry, "cam").await.unwrap().extra["zeta"], 1);
}

async fn a_claim_whose_response_was_lost_can_be_repeated(registry: Arc<dyn Registry>) {
    let owner = Owner::current();
    let mut written = NodeRecord { owner: Some(owner.clone()), last_heartbeat: now(), ..record("cam") };
    written.extra.insert("zeta".to_owned(), 1.into());
    put(&*registry, &written).await;
    let mut cam = Registration::claim(registry.clone(), record("cam"), owner).await.unwrap();
    assert_eq!(cam.heartbeat(Status::Running, None).await.unwrap(), Heartbeat::Kept);
    assert_eq!(stored(&*registry, "cam").await.unwrap().extra["zeta"], 1);
}

async fn the_name_of_a_live_python_node_is_held(registry: Arc<dyn Registry>) {
    put(&*registry, &NodeRecord { last_heartbeat: now() - 50.0, ..record("cam") }).await;
    let refusal = Registration::claim(registry.clone(), record("cam"), Owner::current()).await.err().unwrap();
    let RegistryError::Held { retry_after, .. } = refusal else { panic!("{refusal}") };
    assert!((5..=10).contains(&retry_after.as_secs()), "{retry_after:?}");
    put(&*registry, &NodeRecord { last_heartbeat: now() - 61.0, ..record("cam") }).await;
    Registration::claim(registry.clone(), record("cam"), Owner::current()).await.unwrap();
}

async fn a_vanished_record_is_restored(registry: Arc<dyn Registry>) {
    let mut cam = Registration::claim(registry.clone(), record("cam"), Owner::current()).await.unwrap();
    registry.reset().await.unwrap();
    assert_eq!(cam.heartbeat(Status::Running, None).await.unwrap(), Heartbeat::Restored);
    assert_eq!(cam.heartbeat(Status::Running, None).await.unwrap(), Heartbeat::Kept);
    assert_eq!(stored(&*registry, "cam").await.unwrap().status, Status::Running);
    registry.reset().await.unwrap();
    cam.release().await.unwrap();
}

async fn a_rewrite_by_python_keeps_the_claim(registry: Arc<dyn Registry>) {
    let mut cam = Registration::claim(registry.clone(), record("cam"), Owner::current()).await.unwrap();
    let mut rewritten = stored(&*registry, "cam").await.unwrap();
    rewritten.status = Status::Error;
    rewritten.extra.insert("note".to_owned(), "kept".into());
    put(&*registry, &rewritten).await;
    assert_eq!(cam.heartbeat(Status::Running, None).await.unwrap(), Heartbeat::Kept);
    let found = stored(&*registry, "cam").await.unwrap();
    assert_eq!((found.status.clone(), found.extra["note"].as_str()), (Status::Running, Some("kept")));
    put(&*registry, &NodeRecord { status: Status::Error, ..found }).await;
    cam.release().await.unwrap();
    assert_eq!(stored(&*registry, "cam").await, None);
}

async fn the_reason_of_an_error_is_in_the_record_until_it_ends(registry: Arc<dyn Registry>) {
    let mut cam = Registration::claim(registry.clone(), record("cam"), Owner::current()).await.unwrap();
    let long = "é".repeat(1000);
    cam.heartbeat(Status::Error, Some(&long)).await.unwrap();
    let found = stored(&*registry, "cam").await.unwrap();
    assert_eq!(found.status_reason.as_deref(), Some(&*"é".repeat(NodeRecord::MAX_REASON)));
    // A Python tool that rewrites the record keeps the key, and is overwritten by the next heartbeat.
    put(&*registry, &NodeRecord { last_heartbeat: now(), ..found }).await;
    cam.heartbeat(Status::Running, None).await.unwrap();
    let text = registry.get(Table::Nodes, "cam").await.unwrap().unwrap();
    assert!(!text.contains("status_reason"), "{text}");
    // The node that takes the name over has its own reasons.
    cam.heartbeat(Status::Error, Some("the disk is full")).await.unwrap();
    drop(cam);
    Registration::claim(registry.clone(), record("cam"), Owner::current()).await.unwrap();
    assert_eq!(stored(&*registry, "cam").await.unwrap().status_reason, None);
}

async fn a_name_that_was_taken_over_is_lost_and_its_record_kept(registry: Arc<dyn Registry>) {
    let mut cam = Registration::claim(registry.clone(), record("cam"), Owner::current()).await.unwrap();
    let other = NodeRecord { owner: Some(elsewhere()), last_heartbeat: now(), ..record("cam") };
    put(&*registry, &other).await;
    let error = cam.heartbeat(Status::Running, None).await.unwrap_err();
    assert!(
        matches!(error, RegistryError::Lost { .. }) && error.to_string().contains("elsewhere"),
        "{error}"
    );
    // When the other owner is dead, the name is free again.
    put(&*registry, &NodeRecord { last_heartbeat: now() - 16.0, ..other.clone() }).await;
    assert_eq!(cam.heartbeat(Status::Running, None).await.unwrap(), Heartbeat::Kept);
    put(&*registry, &other).await;
    cam.release().await.unwrap();
    assert_eq!(stored(&*registry, "cam").await, Some(other));
}

async fn a_malformed_record_blocks_no_other(registry: Arc<dyn Registry>) {
    for table in [Table::Nodes, Table::Topics] {
        registry.swap(table, "cam", None, Some("notjson")).await.unwrap().unwrap();
    }
    assert!(nodes(&*registry).await.unwrap()[0].1.is_err());
    assert!(topics(&*registry).await.unwrap()[0].1.is_err());
    let declared = register_topic(&*registry, &topic("cam"), &[SENSOR_DATA]).await.unwrap();
    assert!(matches!(declared, Declared::Malformed(_)));
    assert_eq!(resolve_topic(&*registry, &topic("cam")).await.unwrap(), topic("cam"));
    let mut cam = Registration::claim(registry.clone(), record("cam"), Owner::current()).await.unwrap();
    let text = registry.get(Table::Nodes, "cam").await.unwrap();
    registry.swap(Table::Nodes, "cam", text.as_deref(), Some("{}")).await.unwrap().unwrap();
    assert_eq!(cam.heartbeat(Status::Running, None).await.unwrap(), Heartbeat::Kept);
}

async fn topics_are_declared(registry: Arc<dyn Registry>) {
    const IMAGE: &str = "msight_core.data.image.ImageData";
    let name = topic("img");
    assert_eq!(register_topic(&*registry, &name, &[SENSOR_DATA]).await.unwrap(), Declared::Created);
    assert_eq!(register_topic(&*registry, &name, &[IMAGE]).await.unwrap(), Declared::Upgraded);
    assert_eq!(register_topic(&*registry, &name, &[IMAGE]).await.unwrap(), Declared::Unchanged);
    let mismatch = register_topic(&*registry, &name, &["msight_core.data.video.VideoData"]).await.unwrap();
    assert_eq!(mismatch, Declared::Mismatch { registered: IMAGE.to_owned() });
    // A reader of several types leaves the statement to the writer.
    let either = ["example.Unit", IMAGE];
    assert_eq!(register_topic(&*registry, &name, &either).await.unwrap(), Declared::Unchanged);
    let mismatch = register_topic(&*registry, &name, &["example.Unit", "example.Other"]).await.unwrap();
    assert_eq!(mismatch, Declared::Mismatch { registered: IMAGE.to_owned() });
    let open = topic("open");
    assert_eq!(register_topic(&*registry, &open, &either).await.unwrap(), Declared::Created);
    assert_eq!(register_topic(&*registry, &open, &[IMAGE]).await.unwrap(), Declared::Upgraded);
    assert_eq!(
        registry.get(Table::Topics, "img").await.unwrap().unwrap(),
        r#"{"name": "img", "description": null, "data_type": "msight_core.data.image.ImageData"}"#
    );
}

async fn a_topic_record_names_the_channel(registry: Arc<dyn Registry>) {
    assert_eq!(resolve_topic(&*registry, &topic("a")).await.unwrap(), topic("a"));
    let text = r#"{"name": "other", "description": null, "data_type": "x"}"#;
    registry.swap(Table::Topics, "a", None, Some(text)).await.unwrap().unwrap();
    assert_eq!(resolve_topic(&*registry, &topic("a")).await.unwrap(), topic("other"));
    registry
        .swap(Table::Topics, "a", Some(text), Some(&text.replace("other", "o\\n")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(resolve_topic(&*registry, &topic("a")).await.unwrap(), topic("a"));
}
