//! A Redis server that speaks TLS.

use msight_test_support::tls::{certificates, server};

use super::*;

async fn connect(server: &RedisServer, ca: &str, client: Option<&str>) -> Result<Connection, Error> {
    let port = server.port.to_string();
    let file = |name: String| server.folder.path().join(name).to_str().unwrap().to_owned();
    let ca = file(format!("{ca}.pem"));
    let (certificate, key) = match client {
        Some(name) => (file(format!("{name}.pem")), file(format!("{name}.key"))),
        None => Default::default(),
    };
    Connection::redis(config(&[
        ("HOST", "127.0.0.1"),
        ("PORT", &port),
        ("USE_TLS", "true"),
        ("TLS_CA_CERT_FILE", &ca),
        ("TLS_CERT_FILE", &certificate),
        ("TLS_KEY_FILE", &key),
    ]))
    .await
}

#[tokio::test]
async fn bus_and_registry_work_with_a_client_certificate() {
    let server = server("server");
    let Connection { bus, registry } = connect(&server, "ca", Some("client")).await.unwrap();
    assert!(bus.describe().starts_with("rediss://127.0.0.1"));
    let mut subscription = bus.subscribe(&topic("t"), QueueConfig::default()).await.unwrap();
    let large = Bytes::from(vec![7; 5_000_000]);
    bus.publish(&topic("t"), large.clone()).await.unwrap();
    assert!(next(&mut subscription).await == large);
    registry.swap(Table::Nodes, "n", None, Some("r")).await.unwrap().unwrap();
}

#[tokio::test]
async fn client_and_server_reject_untrusted_certificates() {
    let server = server("server");
    for (ca, client) in [("other", Some("client")), ("ca", None)] {
        let error = connect(&server, ca, client).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{ca} {client:?}: {error}");
        assert!(error.to_string().contains("TLS failed"), "{error}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_host_is_rejected() {
    let server = server("named");
    let error = connect(&server, "ca", Some("client")).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}

#[tokio::test]
async fn an_invalid_certificate_file_is_reported() {
    let server = server("server");
    std::fs::write(server.folder.path().join("empty.pem"), "nothing").unwrap();
    for (ca, reason) in [("empty", "PEM"), ("absent", "No such file")] {
        let error = connect(&server, ca, None).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{error}");
        let message = error.to_string();
        assert!(message.contains("TLS_CA_CERT_FILE") && message.contains(reason), "{message}");
    }
}

#[tokio::test]
async fn the_error_for_tls_to_a_plain_port_asks_about_tls() {
    let server = RedisServer::start_in(certificates(), &[]);
    let error = connect(&server, "ca", None).await.unwrap_err();
    assert!(error.to_string().contains("does this port speak TLS?"), "{error}");
}
