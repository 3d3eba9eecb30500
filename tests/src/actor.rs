//! Who calls: with which credentials, at which services.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use prost::Message;
use prost_reflect::DynamicMessage;
use rpc::authn::PeerKeys;
use serde_json::{Value, json};
use tonic::{Streaming, body::Body, codegen::http::Uri, metadata::MetadataMap};

use crate::{Fault, dynamic};

/// No test waits longer for one answer.
const AT_MOST: Duration = Duration::from_secs(30);

/// Where one service answers.
#[derive(Debug, Clone)]
pub struct Place {
    /// gRPC.
    pub address: SocketAddr,
    /// Health, metrics and event administration.
    pub admin_address: SocketAddr,
    client: Client<HttpConnector, Body>,
}

/// Where every service answers, by name.
pub type Places = BTreeMap<&'static str, Place>;

impl Place {
    /// A service at these addresses; it is connected to when it is first called.
    ///
    /// Why not tonic's own channel: it gives up by itself when a deadline is over, and the guards want to hear what the server says then.
    pub fn new(address: SocketAddr, admin_address: SocketAddr) -> Place {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Place { address, admin_address, client: Client::builder(TokioExecutor::new()).http2_only(true).build(connector) }
    }
}

/// Somebody who calls. A clone calls with the same credentials.
#[derive(Debug, Clone)]
pub struct Actor {
    places: Places,
    /// The access token; empty for a call without one.
    pub token: String,
    /// The refresh token of the sign-in; empty without one.
    pub refresh_token: String,
    /// The user; empty for nobody.
    pub user_id: String,
    /// The session; empty for nobody.
    pub session_id: String,
    /// Set for a service of the suite: its calls carry its peer token.
    keys: Option<PeerKeys>,
    headers: Vec<(&'static str, String)>,
}

impl Actor {
    /// Somebody without credentials.
    pub fn nobody(places: Places) -> Actor {
        let nothing = String::new;
        Actor {
            places,
            token: nothing(),
            refresh_token: nothing(),
            user_id: nothing(),
            session_id: nothing(),
            keys: None,
            headers: Vec::new(),
        }
    }

    /// The service whose keys these are.
    pub fn service(places: Places, keys: PeerKeys) -> Actor {
        Actor { keys: Some(keys), ..Actor::nobody(places) }
    }

    /// The same without a token.
    #[must_use]
    pub fn without_token(&self) -> Actor {
        self.with_token("")
    }

    /// The same with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Actor {
        Actor { token: token.to_owned(), ..self.clone() }
    }

    /// The same with one more header on each call.
    #[must_use]
    pub fn with_header(&self, name: &'static str, value: &str) -> Actor {
        let mut actor = self.clone();
        actor.headers.push((name, value.to_owned()));
        actor
    }

    /// A new session of `email`.
    ///
    /// # Errors
    /// The sign-in is refused.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<Actor, Fault> {
        let answer = self.call("identity.SessionService/CreateSession", json!({"email": email, "password": password})).await?;
        Ok(Actor {
            token: text(&answer, "tokens.accessToken"),
            refresh_token: text(&answer, "tokens.refreshToken"),
            user_id: text(&answer, "session.userId"),
            session_id: text(&answer, "session.sessionId"),
            ..self.clone()
        })
    }

    /// The same session in `organization_id`.
    ///
    /// # Errors
    /// The switch is refused.
    pub async fn enter(&self, organization_id: &str) -> Result<Actor, Fault> {
        let answer = self.call("identity.SessionService/SwitchContext", json!({"organizationId": organization_id})).await?;
        Ok(self.with_token(&text(&answer, "accessToken")))
    }

    /// Calls an RPC by its short name, `tasks.WorkItemService/GetWorkItem`; the first message of a stream. Methods that every service has
    /// (`common`) are called at identity.
    ///
    /// # Errors
    /// What the call was refused with.
    pub async fn call(&self, rpc: &str, request: Value) -> Result<Value, Fault> {
        let owner = rpc.split('.').next().unwrap_or_default();
        self.call_at(if owner == "common" { "identity" } else { owner }, rpc, request).await
    }

    /// Calls an RPC at the service `place`.
    ///
    /// # Errors
    /// What the call was refused with.
    ///
    /// # Panics
    /// When no answer comes within 30 s, or an answer without a message.
    pub async fn call_at(&self, place: &str, rpc: &str, request: Value) -> Result<Value, Fault> {
        let answer = async {
            let mut stream = self.stream_at(place, rpc, request).await?;
            let message = stream.message().await?.unwrap_or_else(|| panic!("{rpc} answered nothing"));
            Ok(dynamic::to_json(&message))
        };
        tokio::time::timeout(AT_MOST, answer).await.unwrap_or_else(|_| panic!("{rpc} did not answer within {} s", AT_MOST.as_secs()))
    }

    /// Opens the stream that an RPC answers with.
    ///
    /// # Errors
    /// What the call was refused with, when it is refused before the first message.
    ///
    /// # Panics
    /// When `request` is not the RPC's.
    pub async fn stream_at(&self, place: &str, rpc: &str, request: Value) -> Result<Streaming<DynamicMessage>, Fault> {
        let method = dynamic::method(dynamic::pool(), &long(rpc));
        let message = dynamic::from_json(method.input(), &request.to_string()).unwrap_or_else(|error| panic!("{rpc}: {error}: {request}"));
        self.send_at(place, rpc, message).await
    }

    /// Sends `message`, whatever its type, to an RPC of the service `place`.
    ///
    /// # Errors
    /// What the call was refused with, when it is refused before the first message.
    ///
    /// # Panics
    /// When there is no such service or RPC.
    pub async fn send_at(&self, place: &str, rpc: &str, message: DynamicMessage) -> Result<Streaming<DynamicMessage>, Fault> {
        self.send_bytes_at(place, rpc, message.encode_to_vec()).await
    }

    /// Sends `message`, whether it can be decoded or not, to an RPC of the service `place`.
    ///
    /// # Errors
    /// What the call was refused with, when it is refused before the first message.
    ///
    /// # Panics
    /// When there is no such service or RPC.
    pub async fn send_bytes_at(&self, place: &str, rpc: &str, message: Vec<u8>) -> Result<Streaming<DynamicMessage>, Fault> {
        let method = dynamic::method(dynamic::pool(), &long(rpc));
        let mut metadata = MetadataMap::new();
        if !self.token.is_empty() {
            metadata.insert("authorization", format!("Bearer {}", self.token).parse().expect("a token"));
        }
        for (name, value) in &self.headers {
            metadata.insert(*name, value.parse().expect("a header"));
        }
        let found = self.places.get(place).unwrap_or_else(|| panic!("{place} does not run"));
        let address = if rpc.starts_with("common.") { found.admin_address } else { found.address };
        let origin: Uri = format!("http://{address}").parse().expect("an address");
        let answer = match &self.keys {
            Some(keys) => {
                let channel = rpc::client::channel(place, &origin.to_string(), keys).expect("an address");
                dynamic::call(channel, &origin, &method, metadata, message).await
            }
            None => dynamic::call(found.client.clone(), &origin, &method, metadata, message).await,
        };
        Ok(answer?)
    }
}

/// The full name of an RPC with the short name `rpc`.
fn long(rpc: &str) -> String {
    let (package, rest) = rpc.split_once('.').unwrap_or_else(|| panic!("{rpc} is no short name of an RPC"));
    format!("muster.{package}.v1.{rest}")
}

/// The short name of an RPC: `tasks.WorkItemService/GetWorkItem`.
pub fn short(policy: &contract::MethodPolicy) -> String {
    format!("{}/{}", policy.service.trim_start_matches("muster.").replacen(".v1.", ".", 1), policy.name)
}

/// The text at a dotted path of `value`; empty when there is none.
pub fn text(value: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(value, |value, name| match name.parse::<usize>() {
        Ok(index) => value.get(index),
        Err(_) => value.get(name),
    });
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}
