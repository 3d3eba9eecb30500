//! The contract's descriptors, less the methods that a server does not serve.
//!
//! Why on the wire format: prost drops the custom options when it decodes a descriptor, and they are the policies that a reader looks for. So what
//! stays is copied byte for byte, and only the list of methods is made shorter.

use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field};

/// `FileDescriptorSet.file`.
const FILE: u32 = 1;
/// `FileDescriptorProto.package`.
const PACKAGE: u32 = 2;
/// `FileDescriptorProto.service`.
const SERVICE: u32 = 6;
/// `FileDescriptorProto.source_code_info`: comments, found by numbers that no longer hold once a method is gone.
const SOURCE_CODE_INFO: u32 = 9;
/// `ServiceDescriptorProto.name` and `MethodDescriptorProto.name`.
const NAME: u32 = 1;
/// `ServiceDescriptorProto.method`.
const METHOD: u32 = 2;

/// One field: its number, its content if it has a length, and all of its bytes.
struct Field<'a> {
    number: u32,
    content: &'a [u8],
    whole: &'a [u8],
}

/// `set`, an encoded `FileDescriptorSet`, with those methods alone that `is_kept` says yes to, given as `/package.Service/Method`. A service that
/// keeps none is gone.
///
/// # Errors
/// `set` is none.
pub(super) fn only(set: &[u8], is_kept: impl Fn(&str) -> bool) -> Result<Vec<u8>, DecodeError> {
    let mut kept = Vec::with_capacity(set.len());
    for field in fields(set)? {
        match field.number {
            FILE => append(&mut kept, FILE, &file(field.content, &is_kept)?),
            _ => kept.extend_from_slice(field.whole),
        }
    }
    Ok(kept)
}

fn file(file: &[u8], is_kept: &impl Fn(&str) -> bool) -> Result<Vec<u8>, DecodeError> {
    let mut kept = Vec::with_capacity(file.len());
    let package = name(file, PACKAGE)?;
    for field in fields(file)? {
        match field.number {
            SERVICE => {
                if let Some(service) = service(field.content, &package, is_kept)? {
                    append(&mut kept, SERVICE, &service);
                }
            }
            SOURCE_CODE_INFO => {}
            _ => kept.extend_from_slice(field.whole),
        }
    }
    Ok(kept)
}

fn service(service: &[u8], package: &str, is_kept: &impl Fn(&str) -> bool) -> Result<Option<Vec<u8>>, DecodeError> {
    let (mut kept, mut methods) = (Vec::with_capacity(service.len()), 0);
    let own = name(service, NAME)?;
    for field in fields(service)? {
        if field.number == METHOD {
            if !is_kept(&format!("/{package}.{own}/{}", name(field.content, NAME)?)) {
                continue;
            }
            methods += 1;
        }
        kept.extend_from_slice(field.whole);
    }
    Ok((methods > 0).then_some(kept))
}

/// The text of field `number`; empty without it.
fn name(message: &[u8], number: u32) -> Result<String, DecodeError> {
    let found = fields(message)?.into_iter().find(|field| field.number == number);
    Ok(found.map(|field| String::from_utf8_lossy(field.content).into_owned()).unwrap_or_default())
}

fn fields(message: &[u8]) -> Result<Vec<Field<'_>>, DecodeError> {
    let (mut rest, mut fields) = (message, Vec::new());
    while !rest.is_empty() {
        let begin = rest;
        let (number, wire_type) = decode_key(&mut rest)?;
        let mut after_key = rest;
        skip_field(wire_type, number, &mut rest, DecodeContext::default())?;
        let whole = &begin[..begin.len() - rest.len()];
        let content = if wire_type == WireType::LengthDelimited {
            decode_varint(&mut after_key)?;
            &after_key[..after_key.len() - rest.len()]
        } else {
            &[]
        };
        fields.push(Field { number, content, whole });
    }
    Ok(fields)
}

fn append(message: &mut Vec<u8>, number: u32, content: &[u8]) {
    encode_key(number, WireType::LengthDelimited, message);
    encode_varint(content.len() as u64, message);
    message.extend_from_slice(content);
}
