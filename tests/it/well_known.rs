//! Who verifies access tokens elsewhere finds the keys at the gateway, where the metadata says they are.

use muster_tests::{Suite, text};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the gateway answers to a GET of `path`, which must go well, and for how long it may be kept.
async fn get(suite: &Suite, path: &str) -> (Value, String) {
    let mut stream = TcpStream::connect(suite.address("gateway")).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: muster\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let kept = head.lines().find_map(|line| line.strip_prefix("cache-control: ")).unwrap();
    (body.parse().unwrap(), kept.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_set_is_where_the_metadata_says_and_is_identity_s_own() {
    let suite = Suite::start().await;
    let (metadata, _) = get(&suite, "/.well-known/openid-configuration").await;
    let path = metadata["jwks_uri"].as_str().unwrap().split_once("://").unwrap().1.split_once('/').unwrap().1;
    let (found, kept) = get(&suite, &format!("/{path}")).await;
    let told = suite.nobody().call("identity.KeyService/GetJsonWebKeySet", json!({})).await.unwrap();
    assert_eq!(found, text(&told, "jsonWebKeySet").parse::<Value>().unwrap());
    assert!(!found["keys"].as_array().unwrap().is_empty() && kept.starts_with("public, max-age="), "{kept}: {found}");
    suite.finish().await;
}
