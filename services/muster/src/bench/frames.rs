//! The empty RPC as bare frames, which is all that gRPC and gRPC-Web differ in.

use anyhow::Context;
use contract::audit::v1::GetEventRequest;
use http::Request;
use http_body_util::{BodyExt, Full};
use prost::Message;
use tonic::{body::Body, transport::Channel};
use tower::{Service, ServiceExt};

/// How a call is dressed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lane {
    /// As services speak.
    Grpc,
    /// As browsers do, in binary.
    GrpcWeb,
}

impl Lane {
    fn content_type(self) -> &'static str {
        match self {
            Lane::Grpc => "application/grpc",
            Lane::GrpcWeb => "application/grpc-web+proto",
        }
    }
}

/// Calls the empty handler once.
///
/// # Errors
/// It is refused, or not answered.
pub(super) async fn call(mut channel: Channel, lane: Lane, authorization: &str) -> anyhow::Result<()> {
    let message = GetEventRequest { audit_event_id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned() };
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.encoded_len())?.to_be_bytes());
    message.encode(&mut frame)?;
    let request = Request::post("http://muster/muster.audit.v1.AuditService/GetEvent")
        .header("content-type", lane.content_type())
        .header("te", "trailers")
        .header("authorization", authorization)
        .body(Body::new(Full::new(frame.into())))?;
    let answer = channel.ready().await?.call(request).await?.into_body().collect().await?;
    let trailers = answer.trailers().cloned();
    let ended = match lane {
        Lane::Grpc => trailers.context("an answer ends with trailers")?.get("grpc-status").is_some_and(|status| status == "0"),
        Lane::GrpcWeb => answer.to_bytes().windows(14).any(|text| text == b"grpc-status: 0"),
    };
    anyhow::ensure!(ended, "the call was refused");
    Ok(())
}
