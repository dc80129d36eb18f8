//! A Redis that speaks TLS, and the certificates for it.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::redis::RedisServer;

/// A folder with two authorities, `ca.pem` and `other.pem`, and certificates of the first:
/// `server` for 127.0.0.1, `named` for another host, `client`.
pub fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, pem: String| std::fs::write(folder.path().join(name), pem).unwrap();
    let authority = || {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "a test's authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let ca = authority();
    write("ca.pem", ca.pem());
    write("other.pem", authority().pem());
    for (name, host) in [("server", "127.0.0.1"), ("named", "redis.example"), ("client", "client")] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        write(&format!("{name}.pem"), params.signed_by(&key, &ca).unwrap().pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
    folder
}

/// A server that shows this certificate, and demands one of the same authority from its clients.
pub fn server(certificate: &str) -> RedisServer {
    let (certificate, key) =
        (format!("{{folder}}/{certificate}.pem"), format!("{{folder}}/{certificate}.key"));
    let arguments = ["--port", "0", "--tls-port", "{port}", "--tls-auth-clients", "yes"];
    let files =
        ["--tls-ca-cert-file", "{folder}/ca.pem", "--tls-cert-file", &certificate, "--tls-key-file", &key];
    RedisServer::start_in(certificates(), &[&arguments[..], &files].concat())
}
