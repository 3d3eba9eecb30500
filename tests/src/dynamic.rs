//! Calls of any RPC by its name, with JSON in and JSON out: what grpcurl does, over descriptors alone.
//!
//! Deliberately absent: the generated clients. A guard that walks the contract must be able to call what nobody wrote a client for.

use std::sync::LazyLock;

use prost_reflect::bytes::BufMut;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use serde::Serialize;
use serde_json::Value;
use tonic::{
    Request, Status, Streaming,
    body::Body,
    client::{Grpc, GrpcService},
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::{StdError, http::Uri},
    metadata::MetadataMap,
};

/// The contract's descriptors.
pub fn pool() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> =
        LazyLock::new(|| DescriptorPool::decode(contract::DESCRIPTORS).expect("descriptors that the build compiled"));
    &POOL
}

/// The RPC at `path`: `/muster.tasks.v1.WorkItemService/GetWorkItem`, with or without the first slash.
///
/// # Panics
/// When the pool has none.
pub fn method(pool: &DescriptorPool, path: &str) -> MethodDescriptor {
    let (service, name) = path.trim_start_matches('/').split_once('/').unwrap_or_else(|| panic!("{path} is no path of an RPC"));
    let service = pool.get_service_by_name(service).unwrap_or_else(|| panic!("there is no service {service}"));
    let found = service.methods().find(|method| method.name() == name);
    found.unwrap_or_else(|| panic!("{} has no RPC {name}", service.full_name()))
}

/// `json` as the message `kind`. Names of fields may be those of the proto or of JSON; a field mask may be written as protobuf's JSON has it
/// (`"title,dueTime"`) or as grpcurl wants it (`{"paths": ["title", "due_time"]}`).
///
/// # Errors
/// A field that `kind` has not, a value that is none of its field's.
pub fn from_json(kind: MessageDescriptor, json: &str) -> Result<DynamicMessage, serde_json::Error> {
    let mut json: Value = serde_json::from_str(json)?;
    for field in kind.fields().filter(|field| field.kind().as_message().is_some_and(|kind| kind.full_name() == "google.protobuf.FieldMask"))
    {
        for name in [field.name(), field.json_name()] {
            if let Some(paths) = json[name]["paths"].as_array() {
                json[name] = paths.iter().filter_map(Value::as_str).map(camel).collect::<Vec<_>>().join(",").into();
            }
        }
    }
    DynamicMessage::deserialize(kind, json)
}

/// `due_time` as `dueTime`.
fn camel(snake: &str) -> String {
    let mut words = snake.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| text + &word[..1].to_uppercase() + &word[1..])
}

/// `message` as the JSON that protobuf prescribes.
///
/// # Panics
/// When it holds an `Any` of a type that its pool has not.
pub fn to_json(message: &DynamicMessage) -> Value {
    message.serialize(serde_json::value::Serializer).unwrap_or_else(|error| panic!("{}: {error}", message.descriptor_name()))
}

trait Named {
    fn descriptor_name(&self) -> String;
}

impl Named for DynamicMessage {
    fn descriptor_name(&self) -> String {
        prost_reflect::ReflectMessage::descriptor(self).full_name().to_owned()
    }
}

/// Calls `method` at `origin` (`http://127.0.0.1:7101`) over `channel` with an encoded `message`. It answers once or with a stream.
///
/// # Errors
/// What the server answers, or the way to it.
pub async fn call<S>(
    channel: S,
    origin: &Uri,
    method: &MethodDescriptor,
    metadata: MetadataMap,
    message: Vec<u8>,
) -> Result<Streaming<DynamicMessage>, Status>
where
    S: GrpcService<Body>,
    S::Error: Into<StdError>,
    S::ResponseBody: http_body::Body + Send + 'static,
    <S::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    let mut client = Grpc::with_origin(channel, origin.clone()).max_decoding_message_size(8 << 20);
    client.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name()).parse().expect("the path of an RPC");
    let mut request = Request::new(message);
    *request.metadata_mut() = metadata;
    Ok(client.server_streaming(request, path, Reflected(method.output())).await?.into_inner())
}

/// Sends the bytes it is given, decodes the one message it is for.
#[derive(Debug, Clone)]
struct Reflected(MessageDescriptor);

impl Codec for Reflected {
    type Encode = Vec<u8>;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        self.clone()
    }

    fn decoder(&mut self) -> Self {
        self.clone()
    }
}

impl Encoder for Reflected {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Reflected {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        DynamicMessage::decode(self.0.clone(), buffer).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
