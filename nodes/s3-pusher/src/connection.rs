//! The way to the bucket: region, endpoint, TLS and credentials.

use crate::Checksum;
use anyhow::{bail, ensure};
use aws_config::{AppName, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    RequestChecksumCalculation, SharedCredentialsProvider, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::{Builder, tls};
use std::time::Duration;

/// How to reach the bucket.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// Region; `None` asks the AWS chain (environment, profile, instance metadata), then takes us-east-1.
    pub region: Option<String>,
    /// An S3-compatible server in place of AWS, also by `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL`.
    pub endpoint_url: Option<String>,
    /// The bucket in the path even on AWS; custom endpoints always get it there.
    pub path_style: bool,
    /// AWS' endpoints that also answer over IPv6.
    pub dualstack: bool,
    /// Who signs the requests.
    pub credentials: Credentials,
    /// Checksums; `None` takes what the endpoint most likely understands.
    pub checksum: Option<Checksum>,
}

/// Where the credentials come from.
#[derive(Debug, Clone, Default)]
pub enum Credentials {
    /// The AWS chain: environment, profile files, web identity, container and instance roles.
    #[default]
    Chain,
    /// The program that embeds the pusher.
    Given(SharedCredentialsProvider),
    /// Nowhere: requests are not signed.
    Unsigned,
}

impl Connection {
    /// Checks what can be checked without a network.
    ///
    /// # Errors
    /// When the endpoint is no `http://` or `https://` URL, has credentials in it, or meets `dualstack`.
    pub fn check(&self) -> anyhow::Result<()> {
        let may_use_tls = self.endpoint_url.as_ref().is_none_or(|url| url.starts_with("https:"));
        if may_use_tls && std::env::var_os("AWS_CA_BUNDLE").is_some() {
            tracing::warn!("AWS_CA_BUNDLE is not read here; give private certificates by SSL_CERT_FILE");
        }
        let Some(url) = &self.endpoint_url else { return Ok(()) };
        ensure!(
            !self.dualstack,
            "--use-dualstack-endpoint is for AWS' own endpoints, not with --endpoint-url"
        );
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
        // The URL itself stays out of the messages: it may hold a password.
        ensure!(!authority.is_empty(), "--endpoint-url must be http://host[:port] or https://host[:port]");
        if authority.contains('@') {
            bail!(
                "--endpoint-url takes no credentials: give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            );
        }
        Ok(())
    }

    /// A client with freshly resolved region and credentials. This can take seconds where instance metadata is
    /// asked for and nobody answers.
    pub async fn client(&self) -> Client {
        let http = http_client();
        let mut shared = self.load(http.clone(), self.region.clone()).await;
        if shared.region().is_none() {
            tracing::info!("no region in --aws-region, environment, profile or instance metadata: us-east-1");
            shared = self.load(http, Some("us-east-1".to_owned())).await;
        }
        let custom = self.is_custom(&shared);
        let mut config =
            aws_sdk_s3::config::Builder::from(&shared).force_path_style(self.path_style || custom);
        match self.checksum {
            Some(checksum) => config = config.request_checksum_calculation(checksum.into()),
            // Older servers refuse checksums they do not know. The signature covers the body's SHA-256 anyway.
            None if custom && std::env::var_os("AWS_REQUEST_CHECKSUM_CALCULATION").is_none() => {
                config = config.request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
            }
            None => {}
        }
        tracing::debug!(
            region = shared.region().map(Region::as_ref),
            custom_endpoint = custom,
            "S3 client made"
        );
        Client::from_conf(config.build())
    }

    async fn load(&self, http: SharedHttpClient, region: Option<String>) -> SdkConfig {
        let mut loader = aws_config::from_env()
            .http_client(http)
            // Every failure is answered by the uploader, which knows more than the SDK does.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(Duration::from_secs(10)).build())
            // Bodies are in memory and handed over whole, so the SDK cannot see a stall; deadlines do.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(region) = region {
            loader = loader.region(Region::new(region));
        }
        if let Ok(name) = AppName::new("msight-s3-pusher") {
            loader = loader.app_name(name);
        }
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if self.dualstack {
            loader = loader.use_dual_stack(true);
        }
        loader = match &self.credentials {
            Credentials::Chain => loader,
            Credentials::Given(provider) => loader.credentials_provider(provider.clone()),
            Credentials::Unsigned => loader.no_credentials(),
        };
        loader.load().await
    }

    fn is_custom(&self, shared: &SdkConfig) -> bool {
        shared.endpoint_url().is_some()
            || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some_and(|url| !url.is_empty())
    }
}

/// One TLS stack for S3, STS and the metadata services: rustls with ring, trusting the system's certificates,
/// or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
fn http_client() -> SharedHttpClient {
    Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https()
}

impl From<Checksum> for RequestChecksumCalculation {
    fn from(checksum: Checksum) -> Self {
        match checksum {
            Checksum::WhenSupported => Self::WhenSupported,
            Checksum::WhenRequired => Self::WhenRequired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_checked_without_being_repeated() {
        let check =
            |url: &str| Connection { endpoint_url: Some(url.to_owned()), ..Connection::default() }.check();
        assert!(check("http://127.0.0.1:9000").is_ok());
        assert!(check("https://s3.example.org/base").is_ok());
        for bad in ["127.0.0.1:9000", "ftp://h", "http://", "http://user:secret@h:9000/", "secret"] {
            let error = format!("{:#}", check(bad).unwrap_err());
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
