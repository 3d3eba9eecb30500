//! gRPC-Web, over HTTP/1.1 and HTTP/2: what a browser can speak of gRPC.
//!
//! A request loses its dress before the server stack sees it and is a gRPC call like any other from there on; its answer gets the dress back:
//! trailers become a last frame of the body, and in text mode everything is base64, piece by piece as it comes.
//!
//! Why not tonic-web: it wants a service behind it that decodes, keeps a whole request of text mode in memory without a bound, and answers CORS with
//! any origin or none. Source of the format: grpc/grpc, doc/PROTOCOL-WEB.md.

mod cors;
mod encode;
mod text;

use http::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN, TE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use rpc::Message;
use rpc::server::{Answering, Dress, Entry, Front};
use tonic::body::Body;

use crate::client_address::FORWARDED_FOR;
use crate::forward::Forward;
use crate::well_known::WellKnown;
use cors::Origins;
use encode::Encoded;
use text::Decoded;

/// What of a browser's headers is about the call. The others are about the page, and stay here.
const KEPT: [HeaderName; 8] = [
    AUTHORIZATION,
    USER_AGENT,
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("grpc-encoding"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static(FORWARDED_FOR),
];

/// How the frames of a call are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As they are.
    Binary,
    /// In base64.
    Text,
}

/// The front of the edge: documents for anybody, CORS, and gRPC-Web; and the way on of what is a call.
#[derive(Debug)]
pub(crate) struct Web {
    origins: Origins,
    documents: WellKnown,
    forward: Forward,
}

impl Web {
    /// Pages of these origins alone may call, by `forward`; any may read `documents`.
    pub(crate) fn new(origins: &[String], documents: WellKnown, forward: Forward) -> Self {
        Self { origins: Origins::new(origins), documents, forward }
    }
}

impl Front for Web {
    fn enter(&self, request: Request<Incoming>) -> Entry {
        if let Some(document) = self.documents.find(request.uri().path()) {
            let (head, _) = request.into_parts();
            return Entry::Answering(Box::pin(document.answer(head.method, head.headers)));
        }
        let headers = request.headers();
        let origin = headers.get(ORIGIN).cloned();
        if request.method() == Method::OPTIONS {
            return Entry::Answered(self.origins.preflight(headers));
        }
        if request.method() == Method::POST && origin.as_ref().is_some_and(|origin| !self.origins.allow(origin)) {
            return Entry::Answered(empty(StatusCode::FORBIDDEN));
        }
        let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        if !content_type.starts_with(b"application/grpc-web") {
            return Entry::AsIs(request);
        }
        let Some(mode) = Mode::of(content_type).filter(|_| request.method() == Method::POST) else {
            return Entry::Answered(empty(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        };
        Entry::Call(undress(request, mode), dress(mode, origin))
    }

    fn pass_on(&self, call: Request<Message>) -> Answering<'_> {
        Box::pin(self.forward.answer(call))
    }
}

impl Mode {
    /// The mode of a content type; none for a format of messages that nobody here reads.
    fn of(content_type: &[u8]) -> Option<Self> {
        let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        match essence {
            b"application/grpc-web" | b"application/grpc-web+proto" => Some(Self::Binary),
            b"application/grpc-web-text" | b"application/grpc-web-text+proto" => Some(Self::Text),
            _ => None,
        }
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Binary => "application/grpc-web+proto",
            Self::Text => "application/grpc-web-text+proto",
        })
    }
}

fn undress(request: Request<Incoming>, mode: Mode) -> Request<Body> {
    let (mut parts, body) = request.into_parts();
    let mut headers = HeaderMap::with_capacity(KEPT.len() + 2);
    for name in KEPT {
        for value in parts.headers.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    parts.headers = headers;
    parts.version = Version::HTTP_2;
    let body = match mode {
        Mode::Binary => Body::new(body),
        Mode::Text => Body::new(Decoded::new(body)),
    };
    Request::from_parts(parts, body)
}

fn dress(mode: Mode, origin: Option<HeaderValue>) -> Dress {
    Box::new(move |answer: Response<Body>| {
        let mut answer = answer.map(|body| Body::new(Encoded::new(body, mode)));
        answer.headers_mut().insert(CONTENT_TYPE, mode.content_type());
        if let Some(origin) = origin {
            cors::expose(answer.headers_mut(), origin);
        }
        answer
    })
}

pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}
