//! Connects to a camera: by TCP, or for `rtsps://` by TLS over it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tracing::warn;
use url::Host;

use super::connection::Connection;
use crate::settings::{Settings, Tls};

/// The ports of RTSP, and of RTSP over TLS.
const RTSP_PORT: u16 = 554;
const RTSPS_PORT: u16 = 322;

/// Maximum size of a file of certificates, bytes.
const MAX_CA_BYTES: u64 = 1 << 20;

/// An open connection, and its two ends.
pub(super) struct Dialed {
    pub(super) connection: Connection,
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
}

/// Connects to the camera of these settings.
///
/// # Errors
/// The camera cannot be reached, or its certificate is not trusted.
pub(super) async fn dial(settings: &Settings) -> io::Result<Dialed> {
    let url = settings.url.bare();
    let port = url.port().unwrap_or(if settings.url.is_tls() { RTSPS_PORT } else { RTSP_PORT });
    let tcp = match url.host() {
        Some(Host::Domain(name)) => TcpStream::connect((name, port)).await?,
        Some(Host::Ipv4(address)) => TcpStream::connect((address, port)).await?,
        Some(Host::Ipv6(address)) => TcpStream::connect((address, port)).await?,
        None => return Err(io::ErrorKind::InvalidInput.into()),
    };
    tcp.set_nodelay(true)?;
    let (local, peer) = (tcp.local_addr()?, tcp.peer_addr()?);
    if !settings.url.is_tls() {
        return Ok(Dialed { connection: Connection::new(tcp), local, peer });
    }
    if settings.tls.accepts_any {
        warn!(
            "--insecure-tls: the certificate of {} is not checked, so anyone between can read the password and replace the \
             video",
            settings.url
        );
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let name = ServerName::try_from(host).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::new(config(&settings.tls)?));
    let tls = connector.connect(name, tcp).await.map_err(|error| explain(&error))?;
    Ok(Dialed { connection: Connection::new(tls), local, peer })
}

/// Checks the file of `--tls-ca` before a camera is asked.
///
/// # Errors
/// The file cannot be read, or has no certificate.
pub(crate) fn check_ca(file: &Path) -> io::Result<()> {
    listed(file, &Arc::new(ring::default_provider())).map(drop)
}

/// The handshake failed: why, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("TLS failed: {why}{what_to_do}")]
struct TlsError {
    why: String,
    what_to_do: &'static str,
}

/// Whether the camera was reached, and TLS failed.
pub(crate) fn is_tls_error(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<TlsError>())
}

fn explain(error: &io::Error) -> io::Error {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidForName, NotValidForNameContext, Other};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let why = match inner {
        Some(rustls::Error::InvalidCertificate(Other(_))) => {
            "the camera's certificate is not trusted".to_owned()
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            "the camera does not speak TLS at this port; use rtsp://, or the camera's port for TLS".to_owned()
        }
        _ => error.to_string(),
    };
    let what_to_do = match inner {
        Some(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
            "; use the certificate's host name in the URL, give this very one by --tls-ca FILE, or trust any by --insecure-tls"
        }
        Some(rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. })) => {
            "; renew the camera's certificate or set its clock and ours, or trust any certificate by --insecure-tls"
        }
        Some(rustls::Error::InvalidCertificate(_)) => {
            "; give it, or the certificate that signed it, by --tls-ca FILE, or trust any by --insecure-tls"
        }
        _ => "",
    };
    io::Error::other(TlsError { why, what_to_do })
}

fn config(tls: &Tls) -> io::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let trust = match &tls.ca_file {
        _ if tls.accepts_any => Trust::Any,
        Some(file) => listed(file, &provider)?,
        None => {
            let mut trusted = RootCertStore::empty();
            trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(builder.with_root_certificates(trusted).with_no_client_auth());
        }
    };
    let verifier = Arc::new(Verifier { trust, provider });
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn listed(file: &Path, provider: &Arc<CryptoProvider>) -> io::Result<Trust> {
    let certificates = certificates(file)?;
    let mut authorities = RootCertStore::empty();
    for certificate in &certificates {
        authorities.add(certificate.clone()).map_err(|error| of_file(file, &error))?;
    }
    if authorities.is_empty() {
        return Err(of_file(file, &"it has no certificate in PEM form"));
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(authorities.into(), provider.clone());
    let authorities = verifier.build().map_err(|error| of_file(file, &error))?;
    Ok(Trust::Listed { certificates, authorities })
}

fn certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let length = std::fs::metadata(file).map_err(|error| of_file(file, &error))?.len();
    if length > MAX_CA_BYTES {
        return Err(of_file(file, &format!("it has more than {} kB", MAX_CA_BYTES >> 10)));
    }
    let pem = std::fs::read(file).map_err(|error| of_file(file, &error))?;
    CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|error| of_file(file, &error))
}

fn of_file(file: &Path, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("argument --tls-ca: {}: {error}", file.display()))
}

/// Which certificates of a camera are trusted.
#[derive(Debug)]
enum Trust {
    Any,
    /// Those of a file, and those that they have signed for the camera's host. Many cameras sign their own certificate as an
    /// authority, or without their address, and such a certificate can be trusted only by itself.
    Listed {
        certificates: Vec<CertificateDer<'static>>,
        authorities: Arc<WebPkiServerVerifier>,
    },
}

/// Checks the camera's certificate. The camera always has to prove that it has the key.
#[derive(Debug)]
struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.trust {
            Trust::Listed { certificates, authorities } if !certificates.contains(certificate) => {
                authorities.verify_server_cert(certificate, intermediates, host, ocsp, now)
            }
            Trust::Any | Trust::Listed { .. } => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
