//! What those who verify access tokens read over plain HTTP: the key set and the issuer's metadata, as identity publishes them.
//!
//! Both are public, so any page may read them. Each is asked for when somebody wants it and kept for a second: who meets a new key finds it here as
//! soon as in identity, and a crowd is one call. While identity is away, what was read last is answered until it may be kept no longer, here or
//! by whoever reads it: a set that still has a key which was revoked is worse than none.
//!
//! Deliberately absent: what the documents say. Their text is identity's, and passes unread.
//!
//! Source: RFC 9110, 9.3 and 13.1.2 (methods, tags), RFC 9111, 5.2.2 (what caches may), RFC 7517, OpenID Connect Discovery 1.0, Fetch (CORS).

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use contract::identity::v1::key_service_client::KeyServiceClient;
use contract::identity::v1::{GetJsonWebKeySetRequest, GetOpenIdConfigurationRequest};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use rpc::Error;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Request, Status};

use crate::forward::lost;
use crate::upstream::Upstreams;
use crate::web::empty;

/// Who publishes the documents.
const OWNER: &str = "identity";
/// How long an answer is given without asking, and how long nobody is asked who was away.
const FRESH: Duration = Duration::from_secs(1);
/// How long identity may take.
const ASKED: Duration = Duration::from_secs(2);
/// What may be done with a document.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
/// When to try again, in seconds.
const AWAY: HeaderValue = HeaderValue::from_static("1");
const ANYBODY: HeaderValue = HeaderValue::from_static("*");

/// The documents, by path. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct WellKnown(Arc<[(&'static str, Arc<Document>)]>);

/// One of them.
#[derive(Debug)]
pub(crate) struct Document {
    kind: Kind,
    upstreams: Upstreams,
    /// Held by whoever asks, so that the others wait for the same answer.
    last: Arc<Mutex<Last>>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    KeySet,
    Configuration,
}

/// What is known of a document.
#[derive(Debug, Default)]
struct Last {
    /// When identity was asked, whatever it answered.
    asked: Option<Instant>,
    copy: Option<Copy>,
}

/// A document as it was read.
#[derive(Clone, Debug)]
struct Copy {
    json: Bytes,
    tag: HeaderValue,
    /// How long it may be kept since it was asked for.
    max_age: Duration,
    asked: Instant,
}

impl WellKnown {
    /// As the one of `upstreams` says that publishes them.
    pub(crate) fn new(upstreams: &Upstreams) -> Self {
        let document = |kind| Arc::new(Document { kind, upstreams: upstreams.clone(), last: Arc::default() });
        Self(Arc::new([
            ("/.well-known/jwks.json", document(Kind::KeySet)),
            ("/.well-known/openid-configuration", document(Kind::Configuration)),
        ]))
    }

    /// The document at `path`.
    pub(crate) fn find(&self, path: &str) -> Option<Arc<Document>> {
        self.0.iter().find(|(own, _)| *own == path).map(|(_, document)| document.clone())
    }
}

impl Document {
    /// The answer to a request by `method` with `headers`, from wherever it comes.
    pub(crate) async fn answer(self: Arc<Self>, method: Method, headers: HeaderMap) -> Response<Body> {
        let mut answer = match method {
            Method::GET | Method::HEAD => match self.copy().await {
                Some(copy) if copy.is_known(&headers) => copy.answer(StatusCode::NOT_MODIFIED),
                Some(copy) if method == Method::HEAD => copy.head(),
                Some(copy) => copy.whole(),
                None => away(),
            },
            Method::OPTIONS => may(StatusCode::NO_CONTENT),
            _ => may(StatusCode::METHOD_NOT_ALLOWED),
        };
        let own = answer.headers_mut();
        own.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANYBODY);
        own.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("etag, retry-after"));
        answer
    }

    /// The document as it is now. Asking goes on when who asked first hangs up: or each of them would have identity asked again, and keep the others
    /// waiting.
    async fn copy(self: &Arc<Self>) -> Option<Copy> {
        let (document, mut last) = (self.clone(), self.last.clone().lock_owned().await);
        #[expect(clippy::disallowed_methods, reason = "ends by itself: identity has two seconds")]
        let refreshed = tokio::spawn(async move { last.refresh(document.ask()).await });
        refreshed.await.ok().flatten()
    }

    /// Asks identity: the document, and how many seconds it may be kept.
    async fn ask(&self) -> Result<(String, i32), Error> {
        let upstream = self.upstreams.get(OWNER).ok_or_else(|| Error::Internal(format!("no service is called {OWNER}")))?;
        let (channel, _place) = upstream.place().ok_or_else(Error::overloaded)?;
        let mut keys = KeyServiceClient::new(channel);
        let told = match self.kind {
            Kind::KeySet => {
                let told = keys.get_json_web_key_set(timed(GetJsonWebKeySetRequest {})).await;
                told.map(|told| told.into_inner()).map(|told| (told.json_web_key_set, told.max_age_seconds))
            }
            Kind::Configuration => {
                let told = keys.get_open_id_configuration(timed(GetOpenIdConfigurationRequest {})).await;
                told.map(|told| told.into_inner()).map(|told| (told.openid_configuration, told.max_age_seconds))
            }
        };
        told.map_err(|status| lost(upstream.name, status))
    }
}

impl Last {
    /// The document as it is now, asked for with `ask` if nobody did just before; none when it is not to be had, nor a copy that may still be kept.
    async fn refresh(&mut self, ask: impl Future<Output = Result<(String, i32), Error>>) -> Option<Copy> {
        if self.asked.is_none_or(|asked| asked.elapsed() >= FRESH) {
            let asked = Instant::now();
            match ask.await.and_then(|(json, max_age_seconds)| Copy::new(json, max_age_seconds, asked)) {
                Ok(copy) => self.copy = Some(copy),
                // The error is told as any other, to the log; who asked hears that there is no answer.
                Err(error) => drop(Status::from(error)),
            }
            // From now on: those who waited meanwhile shall not ask again.
            self.asked = Some(Instant::now());
        }
        self.copy.clone().filter(|copy| copy.asked.elapsed() < copy.max_age)
    }
}

impl Copy {
    fn new(json: String, max_age_seconds: i32, asked: Instant) -> Result<Self, Error> {
        let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest(&SHA256, json.as_bytes())));
        let tag = HeaderValue::try_from(tag).map_err(|error| Error::Internal(error.to_string()))?;
        let max_age = Duration::from_secs(u64::try_from(max_age_seconds).unwrap_or(0));
        Ok(Self { json: json.into(), tag, max_age, asked })
    }

    /// Whether it is one of those that the client has. Tags are compared weakly.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut known = known.flat_map(|tags| tags.split(',')).map(str::trim);
        known.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.tag)
    }

    /// What is said of it, whether it comes with it or not.
    fn answer(&self, status: StatusCode) -> Response<Body> {
        let mut answer = empty(status);
        // It may be kept as long from when identity was asked, not from when this was.
        let left = self.max_age.saturating_sub(self.asked.elapsed()).as_secs();
        let cached = HeaderValue::try_from(format!("public, max-age={left}, must-revalidate"));
        answer.headers_mut().insert(CACHE_CONTROL, cached.unwrap_or(HeaderValue::from_static("no-store")));
        answer.headers_mut().insert(ETAG, self.tag.clone());
        answer
    }

    fn head(&self) -> Response<Body> {
        let mut answer = self.answer(StatusCode::OK);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer.headers_mut().insert(CONTENT_LENGTH, self.json.len().into());
        answer
    }

    fn whole(&self) -> Response<Body> {
        self.head().map(|_| Body::new(Full::new(self.json.clone())))
    }
}

/// A request for which identity has its time.
fn timed<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(ASKED);
    request
}

/// There is no document to be had.
fn away() -> Response<Body> {
    let mut answer = empty(StatusCode::SERVICE_UNAVAILABLE);
    answer.headers_mut().insert(RETRY_AFTER, AWAY);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// What may be done, for who tries something else, and for a browser that asks first.
fn may(status: StatusCode) -> Response<Body> {
    let mut answer = empty(status);
    let own = answer.headers_mut();
    own.insert(ALLOW, METHODS);
    own.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    own.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("if-none-match"));
    own.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
    answer
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    /// Whether there is a document, when identity says `told`, and whether it was asked.
    async fn refresh(last: &mut Last, told: Option<&str>) -> (Option<Bytes>, bool) {
        let mut asked = false;
        let ask = async {
            asked = true;
            told.map(|json| (json.to_owned(), 60)).ok_or(Error::NotReady)
        };
        let json = last.refresh(ask).await.map(|copy| copy.json);
        (json, asked)
    }

    fn json(text: &'static str) -> Option<Bytes> {
        Some(Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_one_call_and_what_changed_is_found_a_second_later() {
        let mut last = Last::default();
        assert_eq!(refresh(&mut last, Some("a")).await, (json("a"), true));
        assert_eq!(refresh(&mut last, Some("b")).await, (json("a"), false));
        sleep(FRESH).await;
        assert_eq!(refresh(&mut last, Some("b")).await, (json("b"), true));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_away_is_asked_once_a_second_and_what_it_said_holds_for_its_age_and_no_longer() {
        let mut last = Last::default();
        assert_eq!(refresh(&mut last, None).await, (None, true));
        assert_eq!(refresh(&mut last, Some("a")).await, (None, false));
        sleep(FRESH).await;
        assert_eq!(refresh(&mut last, Some("a")).await, (json("a"), true));
        sleep(Duration::from_secs(59)).await;
        assert_eq!(refresh(&mut last, None).await, (json("a"), true));
        sleep(FRESH).await;
        assert_eq!(refresh(&mut last, None).await, (None, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_may_be_kept_for_what_is_left_of_its_age_and_is_known_by_its_tag() {
        let copy = Copy::new("{}".to_owned(), 60, Instant::now()).unwrap();
        sleep(Duration::from_secs(20)).await;
        assert_eq!(copy.whole().headers()[CACHE_CONTROL], "public, max-age=40, must-revalidate");
        let tag = copy.tag.to_str().unwrap();
        let known = |told: &str| copy.is_known(&HeaderMap::from_iter([(IF_NONE_MATCH, told.parse().unwrap())]));
        assert!(["*", tag, &format!("W/{tag}"), &format!("\"x\", {tag}")].into_iter().all(known));
        assert!(!["\"x\"", "", tag.trim_matches('"')].into_iter().any(known));
    }
}
