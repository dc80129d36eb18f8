//! The source with cameras of `rtsps://`, whose certificates are trusted or not.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use msight_test_support::tls::certificates;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::program;
use crate::stub::Stub;
use crate::stub::footage::Footage;
use crate::stub::rtp::Sender;

const METRICS: [&str; 2] = ["--metrics", "127.0.0.1:0"];

fn camera() -> Stub {
    let footage = Footage::h264("320x180", 100, 25, "");
    Stub::plays(footage, 25.0, || Sender::new(25.0))
}

/// Terminates TLS in front of a camera, with the certificate of this name in the folder. Returns the camera's URL.
async fn terminate(folder: &Path, name: &str, camera: SocketAddr) -> String {
    let certificate = CertificateDer::from_pem_file(folder.join(format!("{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await?;
                let mut camera = TcpStream::connect(camera).await?;
                copy_bidirectional(&mut client, &mut camera).await
            });
        }
    });
    format!("rtsps://viewer:geheim@{address}/main")
}

/// Writes a certificate that has signed itself. Tools for that often make it an authority, too.
fn sign_itself(folder: &Path, name: &str, host: &str, is_authority: bool) {
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    if is_authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let key = KeyPair::generate().unwrap();
    std::fs::write(folder.join(format!("{name}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_camera_plays() {
    let (folder, camera) = (certificates(), camera());
    let folder = folder.path();
    sign_itself(folder, "own", "127.0.0.1", false);
    sign_itself(folder, "authority", "127.0.0.1", true);
    sign_itself(folder, "unnamed", "camera", true);
    for (certificate, trusted) in
        [("server", "ca"), ("own", "own"), ("authority", "authority"), ("unnamed", "unnamed")]
    {
        let url = terminate(folder, certificate, camera.address).await;
        let ca = folder.join(format!("{trusted}.pem"));
        let flags = [&["--tls-ca", ca.to_str().unwrap()], &METRICS[..]].concat();
        let mut program = program::start(&url, &flags);
        program.reaches("msight_rtsp_frames_total", 10).await;
        assert!(!program.log().contains("geheim"), "{}", program.log());
        program.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_is_not_trusted_gets_no_password() {
    let (folder, camera) = (certificates(), camera());
    let folder = folder.path();
    sign_itself(folder, "own", "127.0.0.1", true);
    // Another authority; that of the system; another host; another certificate of its own.
    for (certificate, trusted) in
        [("server", Some("other")), ("server", None), ("named", Some("ca")), ("own", Some("server"))]
    {
        let url = terminate(folder, certificate, camera.address).await;
        let ca = trusted.map(|name| folder.join(format!("{name}.pem")).to_str().unwrap().to_owned());
        let flags: Vec<&str> = ca.iter().flat_map(|ca| ["--tls-ca", ca]).collect();
        let mut program = program::start(&url, &flags);
        let said = program.says("trying again").await;
        assert!(said.contains("--tls-ca") && said.contains("--insecure-tls"), "{certificate}: {said}");
        assert!(said.len() < 1000 && !program.log().contains("geheim"), "{}", program.log());
    }
    assert!(camera.connected().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn any_certificate_is_trusted_on_request_and_the_log_warns() {
    let (folder, camera) = (certificates(), camera());
    let url = terminate(folder.path(), "named", camera.address).await;
    let mut program = program::start(&url, &[&["--insecure-tls"], &METRICS[..]].concat());
    let warning = program.says("--insecure-tls").await;
    assert!(warning.contains("WARN") && warning.contains("not checked"), "{warning}");
    program.reaches("msight_rtsp_frames_total", 10).await;
    assert!(!program.log().contains("geheim"), "{}", program.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_without_tls_is_reported() {
    let camera = camera();
    let mut program = program::start(&format!("rtsps://viewer:geheim@{}/main", camera.address), &[]);
    let said = program.says("trying again").await;
    assert!(said.contains("TLS failed"), "{said}");
    assert!(!program.log().contains("geheim"), "{}", program.log());
}

#[tokio::test]
async fn udp_is_refused_because_it_is_not_encrypted() {
    let url = "rtsps://127.0.0.1:1/main";
    let mut program = program::start(url, &["--rtsp-transport", "udp"]);
    assert_eq!(program.ended().await, Some(2), "{}", program.log());
    assert!(program.log().contains("argument --rtsp-transport"), "{}", program.log());
}
