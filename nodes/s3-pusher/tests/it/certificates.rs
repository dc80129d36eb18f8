//! Certificates: which are trusted, and what is said of those that are not.

use msight_s3_pusher::connection::Connection;
use msight_test_support::redis::RedisServer;
use msight_test_support::s3::Server;
use msight_test_support::{Program, until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::sync::Arc;

use crate::faults::is_said;
use crate::program::program;
use crate::support::{Log, connection, options, policy, segment, submit, uploader_with};

/// A TLS server that ends each connection after the handshake, with this certificate.
fn tls(certificate: &rcgen::Certificate, key: &KeyPair) -> u16 {
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let (config, listener) = (Arc::new(config), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    // It ends with the process.
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut session = rustls::ServerConnection::new(config.clone()).unwrap();
            while session.is_handshaking() && session.complete_io(&mut socket).is_ok() {}
        }
    });
    port
}

/// What a server can show, in PEM where it is trusted.
struct Certificates {
    key: KeyPair,
    authority: String,
    /// Of the authority.
    signed: rcgen::Certificate,
    /// A certificate of an authority that the server shows as its own.
    own: rcgen::Certificate,
}

impl Certificates {
    fn make() -> Self {
        let name = || CertificateParams::new(["localhost".to_owned()]).unwrap();
        let authority = || {
            let mut params = name();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let ca = CertifiedIssuer::self_signed(authority(), KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let signed = name().signed_by(&key, &ca).unwrap();
        let own = authority().self_signed(&key).unwrap();
        Self { key, authority: ca.pem(), signed, own }
    }

    /// What is shown and what is trusted, and what the log says of it.
    fn cases(&self) -> [(&rcgen::Certificate, String, Option<&'static str>); 3] {
        [
            (&self.signed, self.authority.clone(), None),
            (&self.signed, self.signed.pem(), Some("not to the server's own")),
            (&self.own, self.own.pem(), Some("CA:FALSE")),
        ]
    }
}

#[tokio::test]
async fn the_bundle_is_trusted_and_its_misuse_explained() {
    let certificates = Certificates::make();
    for (shown, trusted, word) in certificates.cases() {
        let log = Log::capture();
        let elsewhere = Server::start().await;
        let connection = Connection {
            endpoint_url: Some(format!("https://localhost:{}", tls(shown, &certificates.key))),
            ca_bundle: Some(trusted.into_bytes()),
            ..connection(&elsewhere)
        };
        let mut uploader = uploader_with(connection, options(), policy());
        submit(&mut uploader, segment(1_700_000_000.5, "an mp4")).await;
        until("the failure is reported", async || !log.lines("upload failed").is_empty()).await;
        let said = log.lines("upload failed").remove(0);
        assert_eq!(said.contains("certificate"), word.is_some(), "{said}");
        assert!(said.contains(word.unwrap_or_default()), "{said}");
        assert_eq!(uploader.finish(std::future::ready(())).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_variables_for_certificates_are_read_and_their_misuse_explained() {
    let (redis, certificates) = (RedisServer::start(&[]), Certificates::make());
    let file = redis.folder.path().join("trusted.pem");
    for variable in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
        for (shown, trusted, word) in certificates.cases() {
            std::fs::write(&file, trusted).unwrap();
            let endpoint = format!("https://localhost:{}", tls(shown, &certificates.key));
            let mut command = program(&redis, &["--endpoint-url", &endpoint, "--no-sign-request"]);
            command.env(variable, &file);
            let mut pusher = Program::start("pusher", command);
            let said = pusher.says("bucket check failed").await;
            assert_eq!(said.contains("certificate"), word.is_some(), "{variable}: {said}");
            assert!(said.contains(word.unwrap_or_default()), "{variable}: {said}");
            pusher.stop().await;
        }
    }
}

#[tokio::test]
async fn an_untrusted_certificate_is_reported() {
    let certificates = Certificates::make();
    let endpoint = format!("https://localhost:{}", tls(&certificates.signed, &certificates.key));
    is_said(&endpoint, "SSL_CERT_FILE").await;
}
