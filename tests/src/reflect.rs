//! Descriptors as a server tells them (grpc.reflection.v1): what a client knows that has no proto files.

use std::collections::BTreeSet;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};
use prost_types::FileDescriptorProto;
use tonic::{Status, transport::Channel};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};

/// The descriptors behind `symbols`, with all that they import.
///
/// # Errors
/// The server does not know a symbol, or can't be reached.
pub async fn pool(channel: Channel, symbols: &[&str]) -> Result<DescriptorPool, Status> {
    let mut client = ServerReflectionClient::new(channel).max_decoding_message_size(8 << 20);
    let (mut files, mut known) = (Vec::new(), BTreeSet::new());
    let mut wanted: Vec<MessageRequest> = symbols.iter().map(|symbol| MessageRequest::FileContainingSymbol((*symbol).to_owned())).collect();
    while let Some(request) = wanted.pop() {
        for file in ask(&mut client, request).await? {
            if known.insert(file.name().to_owned()) {
                wanted.extend(file.dependency.iter().filter(|name| !known.contains(*name)).cloned().map(MessageRequest::FileByFilename));
                files.push(file);
            }
        }
    }
    let mut pool = DescriptorPool::new();
    pool.add_file_descriptor_protos(files).map_err(|error| Status::internal(error.to_string()))?;
    Ok(pool)
}

/// The full names of the server's services.
///
/// # Errors
/// The server can't be reached.
pub async fn services(channel: Channel) -> Result<Vec<String>, Status> {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(MessageRequest::ListServices(String::new())) };
    let asked = ServerReflectionClient::new(channel).server_reflection_info(futures::stream::iter([request])).await;
    match asked?.into_inner().message().await?.and_then(|answer| answer.message_response) {
        Some(MessageResponse::ListServicesResponse(found)) => Ok(found.service.into_iter().map(|service| service.name).collect()),
        _ => Err(Status::internal("server reflection did not answer the question")),
    }
}

/// `message` over descriptors that also know the types of what is packed in it (`google.protobuf.Any`).
///
/// # Errors
/// The server does not know a type, or can't be reached.
pub async fn with_packed_types(channel: Channel, message: DynamicMessage) -> Result<DynamicMessage, Status> {
    let mut types = Vec::new();
    packed_types(&message, &mut types);
    if types.is_empty() {
        return Ok(message);
    }
    let name = message.descriptor().full_name().to_owned();
    types.push(name.clone());
    let pool = pool(channel, &types.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let kind = pool.get_message_by_name(&name).ok_or_else(|| Status::internal(name))?;
    DynamicMessage::decode(kind, message.encode_to_vec().as_slice()).map_err(|error| Status::internal(error.to_string()))
}

fn packed_types(message: &DynamicMessage, found: &mut Vec<String>) {
    let url = message.get_field_by_name("type_url").filter(|_| message.descriptor().full_name() == "google.protobuf.Any");
    if let Some(url) = url {
        found.extend(url.as_str().and_then(|url| url.rsplit('/').next()).map(ToOwned::to_owned));
    }
    for (_, value) in message.fields() {
        match value {
            Value::Message(inner) => packed_types(inner, found),
            Value::List(items) => items.iter().filter_map(Value::as_message).for_each(|inner| packed_types(inner, found)),
            _ => {}
        }
    }
}

async fn ask(client: &mut ServerReflectionClient<Channel>, request: MessageRequest) -> Result<Vec<FileDescriptorProto>, Status> {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let mut answers = client.server_reflection_info(futures::stream::iter([request])).await?.into_inner();
    match answers.message().await?.and_then(|answer| answer.message_response) {
        Some(MessageResponse::FileDescriptorResponse(found)) => {
            let files = found.file_descriptor_proto.iter().map(|file| FileDescriptorProto::decode(file.as_slice()));
            files.collect::<Result<_, _>>().map_err(|error| Status::internal(error.to_string()))
        }
        Some(MessageResponse::ErrorResponse(error)) => Err(Status::not_found(error.error_message)),
        _ => Err(Status::internal("server reflection did not answer the question")),
    }
}
