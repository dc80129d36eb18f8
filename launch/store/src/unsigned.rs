//! A store without keys: it accepts signed requests as well, whatever they are signed with.

use hyper::header::AUTHORIZATION;
use hyper::{Request, Uri};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

/// The header in which a signed request tells how its body is signed.
const BODY_SIGNATURE: &str = "x-amz-content-sha256";

/// Removes the signature of a request, which nothing here could check. A body that is signed in chunks stays signed, because
/// its chunks can only be read with the key.
pub(super) fn remove_signature<B>(request: &mut Request<B>) {
    let is_in_chunks = request
        .headers()
        .get(BODY_SIGNATURE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("STREAMING-"));
    if !is_in_chunks {
        request.headers_mut().remove(AUTHORIZATION);
    }
    // A presigned URL.
    let Some(path_and_query) = request.uri().path_and_query() else { return };
    let Some(query) = path_and_query.query().filter(|query| query.contains("X-Amz-Signature=")) else {
        return;
    };
    let rest: Vec<_> = query.split('&').filter(|pair| !pair.starts_with("X-Amz-")).collect();
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = format!("{}?{}", path_and_query.path(), rest.join("&")).parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

/// Knows no keys.
pub(super) struct NoKeys;

#[async_trait::async_trait]
impl S3Auth for NoKeys {
    async fn get_secret_key(&self, _: &str) -> S3Result<SecretKey> {
        Err(s3_error!(NotSignedUp, "this store has no keys; send unsigned requests (--no-sign-request)"))
    }
}
