//! What is inspected: a file, or what a server has at a URL.

use std::path::PathBuf;

use ::url::Url;
use anyhow::{Result, bail};

/// A file or a URL.
#[derive(Debug)]
pub(super) enum Source {
    /// A file of this machine.
    File(PathBuf),
    /// What a server has.
    Url(Address),
}

/// A URL of `http` or `https`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address(pub(super) Url);

impl Source {
    /// A text with `://` is a URL, any other one is a path.
    ///
    /// # Errors
    /// The URL is invalid, or its scheme is not supported.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let Some((scheme, _)) = text.split_once("://") else { return Ok(Self::File(text.into())) };
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => match Url::parse(text) {
                Ok(url) => Ok(Self::Url(Address(url))),
                Err(error) => bail!("invalid URL: {error}"),
            },
            "file" => match Url::parse(text).ok().and_then(|url| url.to_file_path().ok()) {
                Some(path) => Ok(Self::File(path)),
                None => bail!("invalid file URL; write file:///path, or the path alone"),
            },
            "s3" => bail!(
                "msight inspect has no credentials for s3://; use a presigned URL: \
                 msight inspect \"$(aws s3 presign s3://BUCKET/KEY)\""
            ),
            scheme => bail!("cannot read {scheme}:// URLs; use a file, http:// or https://"),
        }
    }
}

impl Address {
    /// The URL without its credentials: neither user and password, nor the query, which may be a signature.
    pub(super) fn shown(&self) -> String {
        let mut url = self.0.clone();
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        url.into()
    }

    /// The sidecar beside a video. `None` if a signature, which is for one object, is part of the URL.
    pub(super) fn sidecar(&self) -> Option<Self> {
        let stem = [".mp4", ".ts", ".mkv"].iter().find_map(|ending| self.0.path().strip_suffix(ending))?;
        let mut url = self.0.clone();
        url.set_path(&format!("{stem}.json"));
        self.0.query().is_none().then_some(Self(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        let Source::Url(address) = Source::parse(text).unwrap() else { panic!("{text} is a file") };
        address
    }

    #[test]
    fn urls_are_shown_without_secrets() {
        let signed = address("https://me:hunter2@host:8443/videos/a.mp4?X-Amz-Signature=hunter2#hunter2");
        assert_eq!(signed.shown(), "https://host:8443/videos/a.mp4");
        assert_eq!(signed.sidecar(), None);
        let plain = address("HTTP://host/videos/a.mp4");
        assert_eq!(plain.sidecar(), Some(address("http://host/videos/a.json")));
    }

    #[test]
    fn paths_and_other_schemes() {
        for path in ["a.mp4", "/a/b.mp4", "C:a", "file:///a/b.mp4"] {
            assert!(matches!(Source::parse(path), Ok(Source::File(_))), "{path}");
        }
        for (url, word) in [("s3://bucket/key", "presign"), ("rtsp://h/", "http"), ("http://", "invalid")] {
            let error = Source::parse(url).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
