//! The connection to the bucket's server: region, endpoint, TLS and credentials.

use crate::http;
use anyhow::anyhow;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    RequestChecksumCalculation, SharedCredentialsProvider, SharedHttpClient, StalledStreamProtectionConfig,
};
use std::time::Duration;

/// The variable of the AWS chain for the endpoint of S3.
const S3_ENDPOINT: &str = "AWS_ENDPOINT_URL_S3";

/// When checksums are sent beside the signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Checksum {
    /// With every object (CRC-32), as AWS recommends
    WhenSupported,
    /// Where the API requires one, for older S3-compatible servers
    WhenRequired,
}

/// How to reach the bucket.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// Region; `None` takes that of the AWS chain (environment, profile, instance metadata), else us-east-1.
    pub region: Option<String>,
    /// URL of an S3-compatible server; `None` takes `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`, else AWS.
    pub endpoint_url: Option<String>,
    /// Where the bucket's name is in URLs.
    pub addressing: Addressing,
    /// The dual-stack endpoints of AWS.
    pub dualstack: bool,
    /// What requests are signed with.
    pub credentials: Credentials,
    /// Checksums; `None` chooses by the endpoint.
    pub checksum: Option<Checksum>,
    /// Certificates in PEM that are trusted instead of the system's.
    pub ca_bundle: Option<Vec<u8>>,
}

/// Where the bucket's name is in URLs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Addressing {
    /// In the host name on AWS, in the path of another endpoint.
    #[default]
    ByEndpoint,
    /// In the path: `http://host:9000/bucket/key`.
    Path,
    /// In the host name: `http://bucket.host:9000/key`.
    VirtualHosted,
}

/// A client, and where its requests go.
#[derive(Debug, Clone)]
pub struct Connected {
    /// The client.
    pub client: Client,
    /// For logs: scheme, host and port of the endpoint, or AWS and the region.
    pub place: String,
    /// Whether the region is the default one, because no setting names one.
    pub is_default_region: bool,
}

/// The source of credentials.
#[derive(Debug, Clone, Default)]
pub enum Credentials {
    /// The AWS chain: environment, profile files, web identity, container and instance roles.
    #[default]
    Chain,
    /// A provider of the program around the pusher.
    Given(SharedCredentialsProvider),
    /// None: requests are not signed.
    Unsigned,
}

impl Connection {
    /// Checks the environment, without a network.
    ///
    /// # Errors
    /// An endpoint in it is not an `http://` or `https://` URL, or has credentials.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.endpoint_url.is_none() {
            for (name, url) in endpoints_of_environment() {
                endpoint(&url).map_err(|problem| anyhow!("{name}: {problem}"))?;
            }
        }
        Ok(())
    }

    /// Whether flags and environment name no other server. A profile of the AWS chain still can.
    pub(crate) fn is_aws(&self) -> bool {
        self.endpoint_url.is_none() && endpoints_of_environment().next().is_none()
    }

    /// Reads the certificates that `AWS_CA_BUNDLE` names. Without it, those of `SSL_CERT_FILE` are checked: the TLS stack
    /// skips what it cannot read.
    ///
    /// # Errors
    /// The file cannot be read, or has no usable certificates.
    pub(crate) fn read_ca_bundle(&mut self) -> anyhow::Result<()> {
        let read = |variable| http::certificates(variable, std::env::var_os(variable).as_deref());
        self.ca_bundle = read(http::CA_BUNDLE)?;
        if self.ca_bundle.is_none()
            && let Err(error) = read(http::CERT_FILE)
        {
            tracing::warn!("{error:#}; the certificates of servers may be refused");
        }
        Ok(())
    }

    /// A client with freshly resolved credentials and region, or with the `region` that the server has stated. This takes
    /// seconds where instance metadata is configured but does not answer.
    pub async fn connect(&self, region: Option<String>) -> Connected {
        let http = http::client(self.ca_bundle.as_deref());
        let mut shared = self.load(http.clone(), region.or_else(|| self.region.clone())).await;
        let is_default_region = shared.region().is_none();
        if is_default_region {
            shared = self.load(http, Some("us-east-1".to_owned())).await;
        }
        let custom = self.is_custom(&shared);
        let is_path_style = match self.addressing {
            Addressing::ByEndpoint => custom,
            Addressing::Path => true,
            Addressing::VirtualHosted => false,
        };
        let mut config = aws_sdk_s3::config::Builder::from(&shared).force_path_style(is_path_style);
        match self.checksum {
            Some(checksum) => config = config.request_checksum_calculation(checksum.into()),
            // Older servers reject unknown checksums. The signature covers the body's SHA-256 anyway.
            None if custom && std::env::var_os("AWS_REQUEST_CHECKSUM_CALCULATION").is_none() => {
                config = config.request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
            }
            None => {}
        }
        let place = self.place(&shared);
        tracing::debug!(region = shared.region().map(Region::as_ref), place, "S3 client made");
        Connected { client: Client::from_conf(config.build()), place, is_default_region }
    }

    fn place(&self, shared: &SdkConfig) -> String {
        let of_s3 = std::env::var(S3_ENDPOINT).ok().filter(|url| !url.is_empty());
        match self.endpoint_url.as_deref().or(of_s3.as_deref()).or(shared.endpoint_url()) {
            Some(url) => origin(url),
            None => format!("AWS {}", shared.region().map_or("", Region::as_ref)),
        }
    }

    async fn load(&self, http: SharedHttpClient, region: Option<String>) -> SdkConfig {
        let mut loader = aws_config::from_env()
            .http_client(http)
            // The uploader retries, because it knows more than the SDK.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(Duration::from_secs(10)).build())
            // Bodies are in memory, so the SDK does not see a stall; our deadlines do.
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
        shared.endpoint_url().is_some() || std::env::var_os(S3_ENDPOINT).is_some_and(|url| !url.is_empty())
    }
}

/// The variables of the AWS chain that name an endpoint, and their URLs.
fn endpoints_of_environment() -> impl Iterator<Item = (&'static str, String)> {
    let value = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
    [S3_ENDPOINT, "AWS_ENDPOINT_URL"].into_iter().filter_map(move |name| Some((name, value(name)?)))
}

/// Parses an endpoint's URL.
///
/// # Errors
/// It is not an `http://` or `https://` URL, or has credentials. The text does not repeat the URL.
pub fn endpoint(url: &str) -> Result<String, String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    if authority.contains('@') {
        return Err(
            "the URL must not have credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned()
        );
    }
    let port = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map(|(_, port)| port);
    let printable = url.bytes().all(|byte| byte.is_ascii_graphic());
    if authority.is_empty()
        || authority.starts_with(':')
        || !printable
        || port.is_some_and(|port| port.parse::<u16>().is_err())
    {
        return Err("invalid endpoint; write it as http://host[:port] or https://host[:port]".to_owned());
    }
    Ok(url.to_owned())
}

/// Scheme, host and port of a URL, without its secrets.
fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    format!("{scheme}://{}", authority.rsplit('@').next().unwrap_or_default())
}

/// Reads the certificates that this system trusts. The TLS stack does so once in a process, with the first client: if it
/// failed then, for want of file descriptors, no server would be trusted until the process ends.
pub(crate) fn read_certificates() {
    let config = aws_sdk_s3::config::Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .http_client(http::client(None));
    drop(Client::from_conf(config.build()));
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
        for good in
            ["http://127.0.0.1:9000", "https://s3.example.org/base", "http://[::1]:9000", "http://[::1]"]
        {
            assert_eq!(endpoint(good).as_deref(), Ok(good));
        }
        for bad in [
            "127.0.0.1:9000",
            "ftp://h",
            "http://",
            "http://:9000",
            "http://h:port",
            "http://h:90000",
            "http://a b/",
            "http://user:secret@h:9000/",
            "secret",
        ] {
            let error = endpoint(bad).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn only_scheme_host_and_port_are_shown() {
        assert_eq!(origin("https://user:secret@h:9000/base?x=secret"), "https://h:9000");
        assert_eq!(origin("http://127.0.0.1:9000"), "http://127.0.0.1:9000");
    }
}
