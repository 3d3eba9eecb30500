//! What those who verify tokens read over plain HTTP.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::edge::{Edge, SOON};
use crate::upstream::{self, Mortal};

const KEY_SET: &str = "/.well-known/jwks.json";
const METADATA: &str = "/.well-known/openid-configuration";
/// How long somebody waits who hangs up.
const HASTY: Duration = Duration::from_millis(50);

/// Status, headers and body of an answer.
type Answer = (StatusCode, HeaderMap, Bytes);

async fn ask(edge: &Edge, http2: bool, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = Request::builder().method(method).uri(format!("http://{}{path}", edge.address));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http::<Full<Bytes>>();
    let asked = async {
        let answer = client.request(request.body(Full::default()).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        (head.status, head.headers, body.collect().await.unwrap().to_bytes())
    };
    timeout(SOON, asked).await.expect("it is answered")
}

async fn get(edge: &Edge, headers: &[(&str, &str)]) -> Answer {
    ask(edge, false, Method::GET, KEY_SET, headers).await
}

/// Waits until a GET is answered with `status`.
async fn until(edge: &Edge, status: StatusCode) -> Answer {
    let asked = async {
        loop {
            let answer = get(edge, &[]).await;
            if answer.0 == status {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, asked).await.expect("it becomes so")
}

/// An edge whose identity publishes `key_set` for `seconds`.
async fn edge(key_set: &str, seconds: i32) -> (Edge, upstream::Seen) {
    let (address, seen, _) = upstream::start().await;
    *seen.published.lock().unwrap() = Some((key_set.to_owned(), seconds));
    (Edge::before(address, &[]).await, seen)
}

#[tokio::test]
async fn the_key_set_is_read_by_anybody_over_either_http_and_may_be_kept_as_long_as_identity_says() {
    let (edge, _) = edge(r#"{"keys":[]}"#, 60).await;
    for http2 in [false, true] {
        let (status, headers, body) = ask(&edge, http2, Method::GET, KEY_SET, &[("origin", "https://anybody.example")]).await;
        assert_eq!((status, &body[..]), (StatusCode::OK, &br#"{"keys":[]}"#[..]));
        assert_eq!(
            (&headers["content-type"], &headers["access-control-allow-origin"]),
            (&"application/json".parse().unwrap(), &"*".parse().unwrap())
        );
        let age = headers["cache-control"].to_str().unwrap().strip_prefix("public, max-age=").unwrap().strip_suffix(", must-revalidate");
        assert!((1..=60).contains(&age.unwrap().parse::<u32>().unwrap()), "{age:?}");
        let (status, only, body) = ask(&edge, http2, Method::HEAD, KEY_SET, &[]).await;
        assert_eq!(
            (status, body.len(), &only["etag"], &only["content-length"]),
            (StatusCode::OK, 0, &headers["etag"], &"11".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn who_has_it_is_told_so_and_who_has_another_gets_the_one_of_today() {
    let (edge, seen) = edge("one", 60).await;
    let tag = get(&edge, &[]).await.1["etag"].to_str().unwrap().to_owned();
    let (status, headers, body) = get(&edge, &[("if-none-match", &format!("\"x\", W/{tag}"))]).await;
    assert_eq!((status, &headers["etag"], body.len()), (StatusCode::NOT_MODIFIED, &tag.parse().unwrap(), 0));
    assert!(headers.contains_key("cache-control") && headers.contains_key("access-control-allow-origin"));
    *seen.published.lock().unwrap() = Some(("two".to_owned(), 60));
    let changed = async {
        loop {
            let (status, _, body) = get(&edge, &[("if-none-match", &tag)]).await;
            if status == StatusCode::OK {
                return body;
            }
        }
    };
    assert_eq!(timeout(SOON, changed).await.expect("it is found"), "two");
}

#[tokio::test]
async fn who_hangs_up_does_not_have_identity_asked_again_for_the_others() {
    let (edge, seen) = edge("set", 60).await;
    let held = seen.held.clone().lock_owned().await;
    for _ in 0..5 {
        // Drops the client, and its connection with it.
        assert!(timeout(HASTY, get(&edge, &[])).await.is_err(), "identity did not answer yet");
    }
    let waiting = get(&edge, &[]);
    let answering = async {
        while *seen.calls.lock().unwrap() == 0 {
            tokio::time::sleep(HASTY).await;
        }
        drop(held);
    };
    assert_eq!(futures::future::join(waiting, answering).await.0.2, "set");
    assert_eq!(*seen.calls.lock().unwrap(), 1);
}

#[tokio::test]
async fn the_issuer_s_metadata_is_identity_s_answer_too() {
    let (edge, seen) = edge("metadata", 60).await;
    let (status, headers, body) = ask(&edge, false, Method::GET, METADATA, &[]).await;
    assert_eq!((status, &headers["content-type"], &body[..]), (StatusCode::OK, &"application/json".parse().unwrap(), &b"metadata"[..]));
    assert_eq!((ask(&edge, false, Method::GET, "/.well-known/else", &[]).await.0, *seen.calls.lock().unwrap()), (StatusCode::NOT_FOUND, 1));
}

#[tokio::test]
async fn other_methods_are_told_which_ones_there_are_and_a_browser_that_asks_first_too() {
    let (edge, seen) = edge("set", 60).await;
    let page = [("origin", "https://anybody.example"), ("access-control-request-method", "GET")];
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let (status, headers, _) = ask(&edge, false, method, KEY_SET, &page).await;
        assert_eq!((status, &headers["allow"]), (StatusCode::METHOD_NOT_ALLOWED, &"GET, HEAD, OPTIONS".parse().unwrap()));
    }
    let (status, headers, _) = ask(&edge, true, Method::OPTIONS, METADATA, &page).await;
    assert_eq!((status, &headers["access-control-allow-origin"]), (StatusCode::NO_CONTENT, &"*".parse().unwrap()));
    assert_eq!(headers["access-control-allow-headers"], "if-none-match");
    assert_eq!(*seen.calls.lock().unwrap(), 0, "identity hears of none");
}

#[tokio::test]
async fn while_identity_is_away_the_last_set_holds_for_its_age_and_then_there_is_none_until_it_is_back() {
    let identity = Mortal::start(0);
    let port = identity.address.port();
    *identity.seen.published.lock().unwrap() = Some(("set".to_owned(), 3));
    let edge = Edge::before(identity.address, &[]).await;
    let (_, headers, _) = until(&edge, StatusCode::OK).await;
    identity.kill();
    assert_eq!(get(&edge, &[]).await.1["etag"], headers["etag"]);
    let (_, headers, _) = until(&edge, StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!((&headers["retry-after"], &headers["cache-control"]), (&"1".parse().unwrap(), &"no-store".parse().unwrap()));
    let again = Mortal::start(port);
    *again.seen.published.lock().unwrap() = Some(("set".to_owned(), 3));
    assert_eq!(until(&edge, StatusCode::OK).await.2, "set");
    again.kill();
}
