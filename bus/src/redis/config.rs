//! Address and credentials of Redis, from MSight's environment variables or a URL.

use std::fmt;
use std::path::PathBuf;

use redis::{ConnectionAddr, IntoConnectionInfo};

use super::python_list;
use crate::error::Error;

/// The prefix of MSight's Redis variables.
const PREFIX: &str = "MSIGHT_REDIS_MESSAGE_BROKER_";

/// Address and credentials of Redis. The `Debug` form hides user name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisConfig {
    pub(super) endpoint: Endpoint,
    pub(super) db: i64,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
}

/// The server, cluster or socket to connect to.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    Server {
        address: Address,
        tls: Option<TlsFiles>,
    },
    /// Each of these nodes knows the addresses of the others.
    Cluster {
        nodes: Vec<Address>,
        tls: Option<TlsFiles>,
    },
    Socket(PathBuf),
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

/// PEM files. Without a CA file the system's certificates are trusted.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct TlsFiles {
    pub(super) ca: Option<PathBuf>,
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

impl RedisConfig {
    /// Reads MSight's environment variables, which begin with `MSIGHT_REDIS_MESSAGE_BROKER_`. An empty one counts as
    /// unset.
    ///
    /// | variable | default | |
    /// |---|---|---|
    /// | `UNIX_SOCKET_PATH` | | takes precedence over host, port, TLS and cluster |
    /// | `HOST`, `PORT`, `DB` | `localhost`, `6379`, `0` | a cluster has no `DB` |
    /// | `USERNAME`, `PASSWORD` | | |
    /// | `USE_TLS` | `false` | certificate and host name are always verified |
    /// | `TLS_CA_CERT_FILE` | the system's | PEM |
    /// | `TLS_CERT_FILE`, `TLS_KEY_FILE` | | the client's certificate, both or neither |
    /// | `USE_CLUSTER` | `false` | |
    /// | `CLUSTER_NODES` | `HOST:PORT` | `['h1:6379', 'h2:6379']` |
    ///
    /// # Errors
    /// [`Error::Invalid`] with the variable, its value (never a password) and the expected form.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(environment)
    }

    /// As [`from_env`](Self::from_env), with other variables: `get` returns the value of a variable by its full name.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let variables = Variables { get };
        let tls = variables.flag("USE_TLS")?.then(|| variables.tls_files()).transpose();
        let endpoint = if let Some(path) = variables.text("UNIX_SOCKET_PATH") {
            Endpoint::Socket(path.into())
        } else if variables.flag("USE_CLUSTER")? {
            let nodes = match variables.text("CLUSTER_NODES") {
                Some(list) => variables.nodes(&list)?,
                None => vec![variables.address()?],
            };
            Endpoint::Cluster { nodes, tls: tls? }
        } else {
            Endpoint::Server { address: variables.address()?, tls: tls? }
        };
        Ok(Self {
            // A cluster has only database 0, and MSight ignores the variable there.
            db: if matches!(endpoint, Endpoint::Cluster { .. }) { 0 } else { variables.db()? },
            endpoint,
            username: variables.text("USERNAME"),
            password: variables.text("PASSWORD"),
        })
    }

    /// Parses `redis://[user[:password]@]host[:port][/db]`, `rediss://…` for TLS, or
    /// `unix:///path[?db=0&user=…&pass=…]`. Special characters in user name and password are percent-encoded. The files
    /// for `rediss://` come from the `TLS_…_FILE` variables of [`from_env`](Self::from_env).
    ///
    /// # Errors
    /// [`Error::Invalid`], without the URL's credentials.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        Self::from_url_and_variables(url, environment)
    }

    fn from_url_and_variables(url: &str, get: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let expected = "redis://[user:password@]host[:port][/db], rediss:// for TLS, unix:///path/to/socket, or \
                        memory://";
        if let Some(scheme) = unsupported_scheme(url) {
            return Err(Error::Invalid(format!(
                "invalid Redis URL: unsupported scheme {scheme:?}; use {expected}"
            )));
        }
        // The URL may contain a password, so the error does not quote it. The parser's own messages are no more
        // helpful.
        let info = url
            .into_connection_info()
            .map_err(|_| Error::Invalid(format!("invalid Redis URL; use {expected}")))?;
        let endpoint = match info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                Endpoint::Server { address: Address { host: host.clone(), port: *port }, tls: None }
            }
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                return Err(Error::Invalid(
                    "the Redis URL asks for #insecure TLS, which is not supported: \
                     give the CA in MSIGHT_REDIS_MESSAGE_BROKER_TLS_CA_CERT_FILE"
                        .to_owned(),
                ));
            }
            ConnectionAddr::TcpTls { host, port, .. } => Endpoint::Server {
                address: Address { host: host.clone(), port: *port },
                tls: Some(Variables { get }.tls_files()?),
            },
            ConnectionAddr::Unix(path) => Endpoint::Socket(path.clone()),
            _ => return Err(Error::Invalid(format!("invalid Redis URL: {expected}"))),
        };
        let redis = info.redis_settings();
        Ok(Self {
            endpoint,
            db: redis.db(),
            username: redis.username().map(str::to_owned),
            password: redis.password().map(str::to_owned),
        })
    }

    /// The address as a URL, without credentials.
    pub(super) fn place(&self) -> String {
        let scheme = |tls: &Option<TlsFiles>| if tls.is_some() { "rediss" } else { "redis" };
        match &self.endpoint {
            Endpoint::Server { address, tls } => format!("{}://{address}/{}", scheme(tls), self.db),
            Endpoint::Cluster { nodes, tls } => {
                let nodes: Vec<_> = nodes.iter().map(Address::to_string).collect();
                format!("{}://{} (cluster)", scheme(tls), nodes.join(","))
            }
            Endpoint::Socket(path) if self.db == 0 => format!("unix://{}", path.display()),
            Endpoint::Socket(path) => format!("unix://{}?db={}", path.display(), self.db),
        }
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "***");
        f.debug_struct("RedisConfig")
            .field("place", &self.place())
            .field("username", &hidden(&self.username))
            .field("password", &hidden(&self.password))
            .finish()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The environment, or the variables of a test.
struct Variables<F> {
    get: F,
}

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    fn text(&self, name: &str) -> Option<String> {
        (self.get)(&format!("{PREFIX}{name}")).filter(|value| !value.is_empty())
    }

    fn flag(&self, name: &str) -> Result<bool, Error> {
        let Some(value) = self.text(name) else { return Ok(false) };
        match value.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Ok(true),
            "false" | "0" | "no" | "off" | "none" => Ok(false),
            // MSight treats any other value as false. That would turn a mistyped TLS switch into an unencrypted
            // connection.
            _ => Err(invalid(name, &value, "true, 1 or yes, or else false, 0 or no")),
        }
    }

    fn address(&self) -> Result<Address, Error> {
        let host = self.text("HOST").unwrap_or_else(|| "localhost".to_owned());
        let port = match self.text("PORT") {
            Some(value) => parse_port(value.trim())
                .ok_or_else(|| invalid("PORT", &value, "a number between 1 and 65535"))?,
            None => 6379,
        };
        Ok(Address { host, port })
    }

    fn db(&self) -> Result<i64, Error> {
        let Some(value) = self.text("DB") else { return Ok(0) };
        let db = value.trim().parse().ok().filter(|db| *db >= 0);
        db.ok_or_else(|| invalid("DB", &value, "the number of a Redis database, 0 or more"))
    }

    fn nodes(&self, list: &str) -> Result<Vec<Address>, Error> {
        let error = || invalid("CLUSTER_NODES", list, "a list such as ['h1:6379', 'h2:6379']");
        let nodes = python_list::strings(list).ok_or_else(error)?;
        let nodes: Option<Vec<_>> = nodes.iter().map(|node| parse_address(node)).collect();
        nodes.filter(|nodes| !nodes.is_empty()).ok_or_else(error)
    }

    fn tls_files(&self) -> Result<TlsFiles, Error> {
        let client = match (self.text("TLS_CERT_FILE"), self.text("TLS_KEY_FILE")) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            (Some(file), None) => {
                return Err(invalid(
                    "TLS_CERT_FILE",
                    &file,
                    &format!("its key in {PREFIX}TLS_KEY_FILE as well"),
                ));
            }
            (None, Some(file)) => {
                return Err(invalid(
                    "TLS_KEY_FILE",
                    &file,
                    &format!("its certificate in {PREFIX}TLS_CERT_FILE as well"),
                ));
            }
        };
        Ok(TlsFiles { ca: self.text("TLS_CA_CERT_FILE").map(PathBuf::from), client })
    }
}

/// The scheme of a URL if the client does not support it, and if it is too short to be part of a password.
fn unsupported_scheme(url: &str) -> Option<&str> {
    const KNOWN: [&str; 7] = ["redis", "rediss", "valkey", "valkeys", "redis+unix", "valkey+unix", "unix"];
    let (scheme, _) = url.split_once("://")?;
    let is_scheme = scheme.len() <= 8 && scheme.chars().all(|c| c.is_ascii_alphanumeric());
    (is_scheme && !KNOWN.contains(&scheme)).then_some(scheme)
}

fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

fn invalid(name: &str, value: &str, expected: &str) -> Error {
    Error::Invalid(format!("{PREFIX}{name} is {value:?}: expected {expected}"))
}

fn parse_port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

/// Parses `host:port`, split at the last colon as in MSight. An IPv6 address may be in brackets.
fn parse_address(text: &str) -> Option<Address> {
    let (host, port) = text.trim().rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = parse_port(port)?;
    (!host.is_empty()).then(|| Address { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Result<RedisConfig, Error> {
        RedisConfig::from_variables(|name| {
            let name = name.strip_prefix(PREFIX)?;
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn place(variables: &[(&str, &str)]) -> String {
        config(variables).unwrap().place()
    }

    #[test]
    fn defaults_equal_those_of_msight() {
        assert_eq!(place(&[]), "redis://localhost:6379/0");
        assert_eq!(place(&[("HOST", ""), ("UNIX_SOCKET_PATH", "")]), "redis://localhost:6379/0");
    }

    #[test]
    fn every_variable_has_its_effect() {
        assert_eq!(place(&[("HOST", "h"), ("PORT", " 7000 "), ("DB", "3")]), "redis://h:7000/3");
        assert_eq!(place(&[("USE_TLS", "Yes")]), "rediss://localhost:6379/0");
        assert_eq!(
            place(&[("UNIX_SOCKET_PATH", "/r.sock"), ("USE_CLUSTER", "1"), ("DB", "2")]),
            "unix:///r.sock?db=2"
        );
        assert_eq!(place(&[("USE_CLUSTER", "true"), ("DB", "7")]), "redis://localhost:6379 (cluster)");
        let nodes = [("USE_CLUSTER", "TRUE"), ("CLUSTER_NODES", r#"['h1:6379', "::1:1", '[::2]:2',]"#)];
        assert_eq!(place(&nodes), "redis://h1:6379,[::1]:1,[::2]:2 (cluster)");
        let both = config(&[("USERNAME", "u"), ("PASSWORD", "p")]).unwrap();
        assert_eq!((both.username.as_deref(), both.password.as_deref()), (Some("u"), Some("p")));
    }

    #[test]
    fn an_invalid_value_is_reported_with_the_expected_form() {
        let nodes = |list| [("USE_CLUSTER", "1"), ("CLUSTER_NODES", list)];
        for variables in [
            &[("PORT", "0")][..],
            &[("PORT", "65536")],
            &[("PORT", "redis")],
            &[("DB", "-1")],
            &[("DB", "x")],
            &[("USE_TLS", "on")],
            &[("USE_CLUSTER", "maybe")],
            &nodes("h1:6379"),
            &nodes("[]"),
            &nodes("['h1']"),
            &nodes("[1]"),
            &nodes("['h1:6379'"),
            &[("USE_TLS", "1"), ("TLS_CERT_FILE", "c.pem")],
            &[("USE_TLS", "1"), ("TLS_KEY_FILE", "k.pem")],
        ] {
            let message = config(variables).unwrap_err().to_string();
            let (name, value) = variables.last().unwrap();
            assert!(message.contains(&format!("{PREFIX}{name} is {value:?}")), "{message}");
            assert!(message.contains("expected"), "{message}");
        }
    }

    #[test]
    fn urls_are_parsed_and_their_secrets_hidden() {
        let parse = |url| RedisConfig::from_url_and_variables(url, |_| None);
        let config = parse("redis://us%3Aer:p%40ss@h:7000/2").unwrap();
        assert_eq!(config.place(), "redis://h:7000/2");
        assert_eq!(config.username.as_deref(), Some("us:er"));
        assert_eq!(config.password.as_deref(), Some("p@ss"));
        let debug = format!("{config:?}");
        assert!(!debug.contains("p@ss") && !debug.contains("us:er"), "{debug}");

        assert_eq!(parse("rediss://h").unwrap().place(), "rediss://h:6379/0");
        assert_eq!(parse("unix:///r.sock?db=1&pass=geheim").unwrap().place(), "unix:///r.sock?db=1");
        for url in [
            "http://geheim@h",
            "geheim",
            "redis://:geheim@h/x",
            "rediss://:geheim@h#insecure",
            "redis://:geheim@h:x",
        ] {
            let message = parse(url).unwrap_err().to_string();
            assert!(!message.contains("geheim"), "{message}");
        }
        assert!(
            parse("http://h").unwrap_err().to_string().contains("unsupported scheme \"http\"; use redis://")
        );
    }
}
