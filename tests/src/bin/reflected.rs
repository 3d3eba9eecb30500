//! As much of grpcurl as the README's story and the welcome of `muster up` need, for machines without it: the same flags, the same output.
//!
//! It knows no proto file: everything it encodes and decodes it learned through server reflection.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use muster_tests::{dynamic, reflect};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use tonic::{
    Status,
    metadata::{AsciiMetadataKey, MetadataMap},
    transport::Endpoint,
};

#[derive(Default)]
struct Arguments {
    data: String,
    headers: Vec<String>,
    max_time: Option<f64>,
    address: String,
    symbol: String,
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    let mut given = std::env::args().skip(1);
    let mut positional = Vec::new();
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "-plaintext" => {}
            "-d" => arguments.data = value()?,
            "-H" => arguments.headers.push(value()?),
            "-max-time" => arguments.max_time = Some(value()?.parse().map_err(|_| "-max-time wants seconds")?),
            flag if flag.starts_with('-') => return Err(format!("{flag} is not known here")),
            _ => positional.push(argument),
        }
    }
    [arguments.address, arguments.symbol] = positional.try_into().map_err(|_| "wanted: an address and package.Service/Method, or list")?;
    Ok(arguments)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(wrong) => return say(&mut io::stderr(), &wrong, 2),
    };
    let called = call(&arguments);
    let outcome = match arguments.max_time {
        Some(seconds) => tokio::time::timeout(Duration::from_secs_f64(seconds), called)
            .await
            .unwrap_or_else(|_| Err((Status::deadline_exceeded("context deadline exceeded"), DescriptorPool::new()))),
        None => called.await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err((status, pool)) => say(&mut io::stderr(), &failure(&status, &pool), 64 + u8::try_from(i32::from(status.code())).unwrap_or(0)),
    }
}

fn say(to: &mut impl Write, text: &str, code: u8) -> ExitCode {
    // Whoever closed the output does not want it.
    let _ = writeln!(to, "{text}");
    ExitCode::from(code)
}

async fn call(arguments: &Arguments) -> Result<(), (Status, DescriptorPool)> {
    let unknown = |status| (status, DescriptorPool::new());
    let invalid = |error: &dyn std::fmt::Display| unknown(Status::invalid_argument(error.to_string()));
    let endpoint = Endpoint::from_shared(format!("http://{}", arguments.address)).map_err(|error| invalid(&error))?;
    let channel = endpoint.connect().await.map_err(|error| unknown(Status::unavailable(error.to_string())))?;
    if arguments.symbol == "list" {
        let services = reflect::services(channel).await.map_err(unknown)?;
        say(&mut io::stdout(), &services.join("\n"), 0);
        return Ok(());
    }
    let service = arguments.symbol.split('/').next().unwrap_or_default();
    let details = ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo", "google.rpc.RequestInfo"];
    let pool = reflect::pool(channel.clone(), &[service]).await.map_err(unknown)?;
    let with_details = reflect::pool(channel.clone(), &details).await.unwrap_or_default();
    let method = dynamic::method(&pool, &arguments.symbol);
    let json = if arguments.data.is_empty() { "{}" } else { &arguments.data };
    let message = dynamic::from_json(method.input(), json).map_err(|error| invalid(&error))?;
    let mut metadata = MetadataMap::new();
    for header in &arguments.headers {
        let (name, value) = header.split_once(':').ok_or_else(|| invalid(&"a header is name: value"))?;
        let name: AsciiMetadataKey = name.trim().parse().map_err(|_| invalid(&"a header's name"))?;
        metadata.insert(name, value.trim().parse().map_err(|_| invalid(&"a header's value"))?);
    }
    let refused = |status| (status, with_details.clone());
    let mut answers = dynamic::call(channel.clone(), endpoint.uri(), &method, metadata, message.encode_to_vec()).await.map_err(refused)?;
    while let Some(answer) = answers.message().await.map_err(refused)? {
        let answer = reflect::with_packed_types(channel.clone(), answer).await.map_err(refused)?;
        let text = serde_json::to_string_pretty(&dynamic::to_json(&answer)).map_err(|error| invalid(&error))?;
        say(&mut io::stdout(), &text, 0);
    }
    Ok(())
}

/// A status as grpcurl prints it.
fn failure(status: &Status, pool: &DescriptorPool) -> String {
    let mut text = format!("ERROR:\n  Code: {:?}\n  Message: {}", status.code(), status.message());
    let details = tonic_types::pb::Status::decode(status.details()).map(|status| status.details).unwrap_or_default();
    if !details.is_empty() {
        text.push_str("\n  Details:");
    }
    for (index, detail) in details.iter().enumerate() {
        let name = detail.type_url.rsplit('/').next().unwrap_or_default();
        let decoded = pool.get_message_by_name(name).and_then(|kind| DynamicMessage::decode(kind, detail.value.as_slice()).ok());
        let mut shown = serde_json::json!({"@type": detail.type_url});
        if let (Some(shown), Some(serde_json::Value::Object(fields))) =
            (shown.as_object_mut(), decoded.map(|message| dynamic::to_json(&message)))
        {
            shown.extend(fields);
        }
        let lines = serde_json::to_string_pretty(&shown).unwrap_or_default().replace('\n', "\n    \t");
        text.push_str(&format!("\n  {})\t{lines}", index + 1));
    }
    text
}
