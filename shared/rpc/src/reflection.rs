//! Server reflection, v1 and v1alpha, from the contract's descriptors, by tonic-reflection.
//!
//! It tells of the services that a server serves, not of all the suite's.

use contract::DESCRIPTORS;
use tonic::service::Routes;
use tonic_reflection::server::Builder;

/// What every server serves beside its own.
const STANDARD: [&str; 1] = ["grpc.health.v1.Health"];

/// `routes` with both versions of the reflection service for `services` and health.
pub(crate) fn add_to(routes: Routes, services: &[&'static str]) -> Routes {
    let builder = |own: &'static str| {
        let builder = Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS).include_reflection_service(true);
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
