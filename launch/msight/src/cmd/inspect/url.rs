//! A file on an HTTP server, read by requests for ranges (RFC 9110, section 14), so that only its index is fetched.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::time::Duration;

use ::url::Url;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_RANGE, HeaderMap, LOCATION, RANGE};
use hyper::{Request, Response, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::source::Address;

/// Bytes of the first request, and of one after a jump. It doubles while reading goes on, up to the largest one.
const SMALLEST: u64 = 64 << 10;
const LARGEST: u64 = 4 << 20;
/// Most bytes and most requests of a file.
const MAX_FETCHED: u64 = 256 << 20;
const MAX_REQUESTS: u32 = 5000;
/// Most redirections of a request.
const MAX_REDIRECTS: usize = 5;
/// The longest time for the head of an answer, and between two parts of its body.
const PATIENCE: Duration = Duration::from_secs(30);

type Client = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// A file on a server. It is read by a thread that may block, within a tokio runtime.
pub(super) struct Remote {
    client: Client,
    url: Url,
    length: u64,
    position: u64,
    /// What was fetched last, and where it is in the file.
    block: (u64, Vec<u8>),
    ahead: u64,
    fetched: u64,
    requests: u32,
    /// The whole file, from a server that does not answer with ranges.
    whole: Option<File>,
}

impl Remote {
    /// Fetches the beginning of a file.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub(super) fn open(address: &Address) -> io::Result<Self> {
        let client = client()?;
        let (answer, url) = get(&client, &address.0, Some((0, SMALLEST - 1)))?;
        let mut remote = Self {
            client,
            url,
            length: 0,
            position: 0,
            block: (0, vec![]),
            ahead: SMALLEST,
            fetched: 0,
            requests: 1,
            whole: None,
        };
        match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                remote.length = total(answer.headers())
                    .ok_or_else(|| io::Error::other("the server does not state the length of the file"))?;
                remote.block = (0, body(answer, SMALLEST)?);
            }
            // Nothing to take a range of.
            StatusCode::RANGE_NOT_SATISFIABLE => {}
            _ => {
                let mut file = tempfile::tempfile()?;
                remote.length = download(answer, &mut file)?;
                remote.whole = Some(file);
            }
        }
        Ok(remote)
    }

    /// Fetches what is at the position.
    fn fetch(&mut self) -> io::Result<()> {
        let is_next = self.position == self.block.0 + self.block.1.len() as u64;
        self.ahead = if is_next { (self.ahead * 2).min(LARGEST) } else { SMALLEST };
        let bytes = self.ahead.min(self.length - self.position);
        self.fetched += bytes;
        self.requests += 1;
        if self.fetched > MAX_FETCHED || self.requests > MAX_REQUESTS {
            return Err(too_large());
        }
        let (answer, _) = get(&self.client, &self.url, Some((self.position, self.position + bytes - 1)))?;
        if answer.status() != StatusCode::PARTIAL_CONTENT || total(answer.headers()) != Some(self.length) {
            return Err(io::Error::other("the file changed while it was read; try again"));
        }
        let block = body(answer, bytes)?;
        if block.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.block = (self.position, block);
        Ok(())
    }
}

impl Read for Remote {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(file) = &mut self.whole {
            return file.read(buffer);
        }
        if self.position >= self.length || buffer.is_empty() {
            return Ok(0);
        }
        let known = |remote: &Self| {
            let at = usize::try_from(remote.position.checked_sub(remote.block.0)?).ok()?;
            (at < remote.block.1.len()).then_some(at)
        };
        if known(self).is_none() {
            self.fetch()?;
        }
        let from = &self.block.1[known(self).unwrap_or(0)..];
        let read = from.len().min(buffer.len());
        buffer[..read].copy_from_slice(&from[..read]);
        self.position += read as u64;
        Ok(read)
    }
}

impl Seek for Remote {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if let Some(file) = &mut self.whole {
            return file.seek(to);
        }
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// A small file. `None` if the server does not have it, or does not give it out.
///
/// # Errors
/// The server cannot be reached, or the file has more than `limit` bytes.
pub(super) fn fetch(address: &Address, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let (answer, _) = match get(&client()?, &address.0, None) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            return Ok(None);
        }
        answer => answer?,
    };
    body(answer, limit).map(Some)
}

fn client() -> io::Result<Client> {
    let tls = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
        .https_or_http()
        .enable_http1()
        .build();
    Ok(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(tls))
}

/// The answer to a request, and the URL that gave it after redirections.
fn get(client: &Client, url: &Url, range: Option<(u64, u64)>) -> io::Result<(Response<Incoming>, Url)> {
    let mut url = url.clone();
    for _ in 0..MAX_REDIRECTS {
        let mut request = Request::get(url[..::url::Position::AfterQuery].to_owned());
        if let Some((first, last)) = range {
            request = request.header(RANGE, format!("bytes={first}-{last}"));
        }
        if !url.username().is_empty() {
            request = request.header(AUTHORIZATION, basic(&url));
            let _ = (url.set_username(""), url.set_password(None));
        }
        let request = request.body(Empty::new()).map_err(io::Error::other)?;
        let answer = Handle::current()
            .block_on(async { timeout(PATIENCE, client.request(request)).await })
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
            .map_err(|error| io::Error::other(with_hint(causes(&error))))?;
        let status = answer.status();
        if status.is_redirection() {
            let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let next =
                to.and_then(|to| url.join(to).ok()).filter(|next| matches!(next.scheme(), "http" | "https"));
            url = next.ok_or_else(|| io::Error::other("the server redirects to an invalid URL"))?;
            continue;
        }
        return match status {
            status if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE => Ok((answer, url)),
            StatusCode::NOT_FOUND => Err(refused(io::ErrorKind::NotFound, status, "check the URL")),
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Err(refused(
                io::ErrorKind::PermissionDenied,
                status,
                "check the credentials, or whether a presigned URL has expired",
            )),
            _ => Err(refused(io::ErrorKind::Other, status, "try again later")),
        };
    }
    Err(io::Error::other("the server redirects again and again"))
}

fn refused(kind: io::ErrorKind, status: StatusCode, step: &str) -> io::Error {
    io::Error::new(kind, format!("the server answers {status}; {step}"))
}

/// The value of the header for user and password (RFC 7617).
fn basic(url: &Url) -> String {
    use base64::Engine as _;
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pair = format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()));
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

/// The length of the whole file, as an answer with a part of it states.
fn total(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_RANGE)?.to_str().ok()?.rsplit_once('/')?.1.parse().ok()
}

/// The body of an answer, of `limit` bytes at most.
fn body(answer: Response<Incoming>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    each_part(answer, limit, |part| {
        bytes.extend_from_slice(part);
        Ok(())
    })?;
    Ok(bytes)
}

fn download(answer: Response<Incoming>, file: &mut File) -> io::Result<u64> {
    let length = each_part(answer, MAX_FETCHED, |part| file.write_all(part))?;
    file.seek(SeekFrom::Start(0))?;
    Ok(length)
}

fn each_part(
    answer: Response<Incoming>,
    limit: u64,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let (mut body, mut length) = (answer.into_body(), 0);
    let handle = Handle::current();
    while let Some(frame) = handle
        .block_on(async { timeout(PATIENCE, body.frame()).await })
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    {
        let Ok(part) = frame.map_err(io::Error::other)?.into_data() else { continue };
        length += part.len() as u64;
        if length > limit {
            return Err(too_large());
        }
        take(&part)?;
    }
    Ok(length)
}

fn too_large() -> io::Error {
    io::Error::other(format!(
        "reading it takes more than {} MiB or {MAX_REQUESTS} requests; download the file first",
        MAX_FETCHED >> 20
    ))
}

/// An error of connecting, with what to do about it.
fn with_hint(error: String) -> String {
    if error.contains("invalid peer certificate") {
        format!(
            "{error}; to trust the server, name a file with the certificate of its authority in SSL_CERT_FILE"
        )
    } else {
        error
    }
}

/// An error with its causes: that of the client alone says only that connecting failed.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
