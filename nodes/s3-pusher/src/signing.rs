//! The SHA-256 of a body, for its signature.
//!
//! A signature covers the body's SHA-256, which the SDK would compute once more. The server checks the body against it.

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeSerializationInterceptorContextMut;

/// Signs a request with the known SHA-256 of its body, in lower-case hexadecimal digits.
#[derive(Debug)]
pub(crate) struct KnownSha256(pub(crate) String);

impl Intercept for KnownSha256 {
    fn name(&self) -> &'static str {
        "KnownSha256"
    }

    // Early, so that the SDK's own choice for a body with trailers takes precedence.
    fn modify_before_serialization(
        &self,
        _: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        cfg.interceptor_state().store_put(PayloadSigningOverride::Precomputed(self.0.clone()));
        Ok(())
    }
}
