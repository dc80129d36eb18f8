//! Records of other programs in the registry of a real Redis.

use msight_bus::Registry;
use msight_bus::registry::{NodeRecord, Owner, Registration, Status, nodes};

use super::*;

/// Sets the field `cam` of `MSIGHT:NODES` to the value of this Lua expression.
fn put(server: &RedisServer, value: &str) {
    let script = format!("return redis.call('HSET', KEYS[1], 'cam', {value})");
    assert!(["0", "1"].contains(&&*server.cli(&["EVAL", &script, "1", "MSIGHT:NODES"])));
}

async fn claim(registry: &std::sync::Arc<dyn Registry>) -> Registration {
    let record = NodeRecord::new("cam", "edge1".to_owned(), "RTSPSourceNode");
    Registration::claim(registry.clone(), record, Owner::current()).await.unwrap()
}

#[tokio::test]
async fn a_record_that_is_too_long_or_not_text_is_cut_and_blocks_no_other() {
    let server = RedisServer::start(&[]);
    let registry = server.connection().await.registry;
    for value in ["string.rep('x', 50000000)", "string.rep('é', 50000)", "'\\255\\254{'"] {
        put(&server, value);
        let (name, text) = registry.read(Table::Nodes).await.unwrap().remove(0);
        assert!(name == "cam" && text.len() < 200_000, "{value}: {}", text.len());
        assert!(registry.get(Table::Nodes, "cam").await.unwrap().is_some_and(|text| text.len() < 200_000));
        assert!(nodes(&*registry).await.unwrap()[0].1.is_err(), "{value}");
        let mut cam = claim(&registry).await;
        put(&server, value);
        cam.heartbeat(Status::Running, None).await.unwrap();
        put(&server, value);
        cam.release().await.unwrap();
        assert!(registry.get(Table::Nodes, "cam").await.unwrap().is_some(), "{value}: not its own record");
        server.cli(&["DEL", "MSIGHT:NODES"]);
    }
}

#[tokio::test]
async fn the_error_for_a_too_large_registry_states_the_solution() {
    let server = RedisServer::start(&[]);
    let registry = server.connection().await.registry;
    let script = "for n = 1, 300 do redis.call('HSET', KEYS[1], n, string.rep('x', 64000)) end";
    server.cli(&["EVAL", script, "1", "MSIGHT:NODES"]);
    let error = registry.read(Table::Nodes).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    assert!(error.to_string().contains("16 MiB") && error.to_string().contains("msight reset"), "{error}");
    assert_eq!(registry.read(Table::Topics).await.unwrap(), []);
}
