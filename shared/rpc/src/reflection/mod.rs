//! Server reflection, v1 and v1alpha, from the contract's descriptors, by tonic-reflection.
//!
//! It tells of the services that a server serves, not of all the suite's; and the edge tells of the methods that it shows alone.

mod exposed;

use std::borrow::Cow;

use contract::{DESCRIPTORS, Exposure};
use prost::DecodeError;
use tonic::service::Routes;
use tonic_reflection::server::Builder;

/// What every server serves beside its own.
const STANDARD: [&str; 1] = ["grpc.health.v1.Health"];

/// The descriptors of a server whose methods all are served.
pub(crate) fn whole() -> Cow<'static, [u8]> {
    Cow::Borrowed(DESCRIPTORS)
}

/// The descriptors of the edge: of the suite's methods those of `EXPOSURE_EDGE`.
///
/// # Errors
/// The contract's descriptors can't be read.
pub(crate) fn edge() -> Result<Cow<'static, [u8]>, DecodeError> {
    let is_kept = |path: &str| contract::method(path).map_or_else(|| !path.starts_with("/muster."), |p| p.exposure == Exposure::Edge);
    exposed::only(DESCRIPTORS, is_kept).map(Cow::Owned)
}

/// `routes` with both versions of the reflection service for `services` and health, as `descriptors` have them.
pub(crate) fn add_to(routes: Routes, services: &[&'static str], descriptors: &[u8]) -> Routes {
    let builder = |own: &'static str| {
        let builder = Builder::configure().register_encoded_file_descriptor_set(descriptors).include_reflection_service(true);
        services.iter().chain(&STANDARD).chain([&own]).fold(builder, |builder, name| builder.with_service_name(*name))
    };
    // Descriptors that the build compiled can be read; a server without reflection would still serve.
    let routes = match builder("grpc.reflection.v1.ServerReflection").build_v1() {
        Ok(v1) => routes.add_service(v1),
        Err(error) => unavailable(routes, &error),
    };
    match builder("grpc.reflection.v1alpha.ServerReflection").build_v1alpha() {
        Ok(v1alpha) => routes.add_service(v1alpha),
        Err(error) => unavailable(routes, &error),
    }
}

fn unavailable(routes: Routes, error: &dyn std::error::Error) -> Routes {
    tracing::error!(%error, "server reflection is not available");
    routes
}
