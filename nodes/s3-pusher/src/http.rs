//! HTTP for the AWS SDK: which certificates are trusted, and how much of an answer is read.

use anyhow::{Context as _, bail};
use aws_sdk_s3::config::http::HttpRequest;
use aws_sdk_s3::config::{
    ConfigBag, HttpClient, RuntimeComponents, RuntimeComponentsBuilder, SharedHttpClient,
};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_smithy_http_client::{Builder, tls};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::ffi::OsStr;
use std::io::Read as _;

/// The bytes that are read of an answer's body. The pusher asks for no objects, and what S3 answers to its requests is a
/// kilobyte or two; the rest of a longer body is not read.
pub const MAX_ANSWER: usize = 64 * 1024;

/// The largest file of certificates; that of a Linux distribution has 200 to 300 kB.
const MAX_BUNDLE: u64 = 16 << 20;

/// The variable of the AWS tools for a file of certificates. They replace those of the system.
pub(crate) const CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// The variable of OpenSSL for such a file, which the TLS stack reads.
pub(crate) const CERT_FILE: &str = "SSL_CERT_FILE";

/// The certificates in the file at `path`, in PEM; `None` without a path. `variable` names it.
///
/// # Errors
/// The file cannot be read, or has no certificates that TLS can use.
pub(crate) fn certificates(variable: &str, path: Option<&OsStr>) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(path) = path.filter(|path| !path.is_empty()) else { return Ok(None) };
    let name = path.display();
    let mut pem = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_BUNDLE).read_to_end(&mut pem))
        .with_context(|| format!("cannot read {variable} {name}"))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        if certificate.is_ok_and(|certificate| roots.add(certificate).is_ok()) {
            continue;
        }
        bail!("{variable} {name} has an invalid certificate; export it again in PEM form");
    }
    if roots.is_empty() {
        bail!("{variable} {name} has no certificate in PEM form (-----BEGIN CERTIFICATE-----)");
    }
    Ok(Some(pem))
}

/// One TLS stack for S3, STS and the metadata services: rustls with ring. It trusts the certificates of `ca_bundle`, else
/// the system's, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
pub(crate) fn client(ca_bundle: Option<&[u8]>) -> SharedHttpClient {
    let builder = Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring));
    let context = ca_bundle.and_then(|pem| {
        let trusted = tls::TrustStore::empty().with_pem_certificate(pem);
        tls::TlsContext::builder().with_trust_store(trusted).build().ok()
    });
    let client = match context {
        Some(context) => builder.tls_context(context).build_https(),
        None => builder.build_https(),
    };
    SharedHttpClient::new(Bounded(client))
}

/// Reads [`MAX_ANSWER`] bytes of each answer at most.
#[derive(Debug)]
struct Bounded<T>(T);

impl HttpClient for Bounded<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Bounded(self.0.http_connector(settings, components)))
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        HttpClient::validate_base_client_config(&self.0, components, config)
    }
}

impl HttpConnector for Bounded<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await?;
            let body = std::mem::replace(answer.body_mut(), SdkBody::empty());
            let (read, broken) = beginning(body).await;
            match broken {
                // The status of a refusal counts, whatever became of its text.
                Some(error) if answer.status().is_success() => return Err(error),
                _ => *answer.body_mut() = SdkBody::from(read),
            }
            Ok(answer)
        })
    }
}

/// The first [`MAX_ANSWER`] bytes of a body, and why there are no more if the connection broke. Dropping the rest of a
/// longer body closes the connection.
async fn beginning(body: SdkBody) -> (Vec<u8>, Option<ConnectorError>) {
    let (mut body, mut read) = (ByteStream::new(body), Vec::new());
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) => read.extend_from_slice(&chunk[..chunk.len().min(MAX_ANSWER - read.len())]),
            Err(error) => return (read, Some(ConnectorError::io(error.into()))),
        }
        if read.len() == MAX_ANSWER {
            tracing::debug!(bytes = MAX_ANSWER, "the rest of a long answer is not read");
            break;
        }
    }
    (read, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_checked_before_it_is_used() {
        assert_eq!(certificates(CA_BUNDLE, None).unwrap(), None);
        assert_eq!(certificates(CA_BUNDLE, Some(OsStr::new(""))).unwrap(), None);
        let folder = tempfile::tempdir().unwrap();
        let file = |text: &str| {
            let path = folder.path().join("bundle.pem");
            std::fs::write(&path, text).unwrap();
            certificates(CERT_FILE, Some(path.as_os_str()))
        };
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        assert!(file(&made.cert.pem()).unwrap().is_some());
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (text, word) in
            [("", "no certificate"), ("hello", "no certificate"), (garbage, "invalid certificate")]
        {
            let error = format!("{:#}", file(text).unwrap_err());
            for part in [word, "SSL_CERT_FILE", "bundle.pem"] {
                assert!(error.contains(part), "{error}");
            }
        }
        let error = certificates(CA_BUNDLE, Some(OsStr::new("/nonexistent/ca.pem"))).unwrap_err();
        assert!(error.to_string().contains("AWS_CA_BUNDLE"), "{error}");
    }
}
