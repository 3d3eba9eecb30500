//! What is fuzzed: one function a target, which takes any bytes and panics when a rule is broken.
//!
//! The fuzzer calls them from `fuzz_targets`, and `tests/it/fuzz.rs` includes this file. Bytes are read in more than one way: as they are, which
//! finds what falls over, and as a part of what is then signed or sealed as the suite does it, which gets past the first gate.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use db::{Cursor, Kind, Order, PageRequest, Sealer};
use futures::executor::block_on;
use identity::factor::{recovery, totp};
use identity::hashing::{self, Hashing, Pepper};
use identity::key::{Algorithm, pair::KeyPair};
use identity::token::refresh::{RefreshToken, RefreshTokens};
use rpc::authn::{AccessToken, KeySet, PeerKeys, Revocations, Verifier};
use runtime::{Clock, OrganizationId};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

/// A verifier, and what signs the tokens that it takes.
struct Issuer {
    verifier: Verifier,
    revocations: Revocations,
    pair: KeyPair,
    header: String,
    claims: String,
    token: String,
}

impl Issuer {
    fn new() -> Self {
        runtime::init_crypto();
        let pair = KeyPair::generate(Algorithm::EdDsa).expect("randomness");
        let (clock, _) = Clock::fixed(OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time"));
        let (keys, revocations) = (KeySet::new(), Revocations::new(clock.clone()));
        keys.install(&format!("{{\"keys\":[{}]}}", pair.public_key())).expect("a key set");
        revocations.install(&[]);
        let peers = PeerKeys::generate(&["tasks"], &clock).expect("keys").remove("tasks").expect("its own");
        let verifier = Verifier::new(keys, revocations.clone(), peers, clock);
        let id = Uuid::from_u128(1);
        let header = format!("{{\"typ\":\"at+jwt\",\"alg\":\"EdDSA\",\"kid\":\"{}\"}}", pair.key_id());
        let claims = format!(
            "{{\"iss\":\"muster\",\"aud\":\"muster\",\"sub\":\"{id}\",\"sid\":\"{id}\",\"org\":\"{id}\",\"iat\":1800000000,\"exp\":1800000900}}"
        );
        let mut issuer = Issuer { verifier, revocations, pair, header, claims, token: String::new() };
        issuer.token = issuer.signed(issuer.header.as_bytes(), issuer.claims.as_bytes());
        issuer
    }

    fn signed(&self, header: &[u8], claims: &[u8]) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.pair.sign(signed.as_bytes()).expect("randomness");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn takes(&self, token: &[u8]) -> Option<std::sync::Arc<AccessToken>> {
        // A set that nobody kept current for a minute takes no token, and a fuzzer runs longer.
        self.revocations.heard();
        block_on(self.verifier.access_token(token)).ok()
    }
}

/// Access tokens: what the key did not sign is refused; what it did is taken when it is from the suite for the suite and its time is not past,
/// under no header but that of an access token.
pub fn access_token(data: &[u8]) {
    static ISSUER: LazyLock<Issuer> = LazyLock::new(Issuer::new);
    let issuer = &*ISSUER;
    assert!(issuer.takes(issuer.token.as_bytes()).is_some(), "the good token is good");
    assert!(data == issuer.token.as_bytes() || issuer.takes(data).is_none(), "a token that nobody signed");
    if let Some((at, by)) = place(data, issuer.token.len()) {
        let mut flipped = issuer.token.clone().into_bytes();
        flipped[at] ^= by;
        assert!(issuer.takes(&flipped).is_none(), "a token that was changed at {at}");
    }
    if let Some(taken) = issuer.takes(issuer.signed(issuer.header.as_bytes(), data).as_bytes()) {
        // A text that nobody reads need not be UTF-8.
        if let Ok(claims) = serde_json::from_slice::<Value>(data) {
            let audience = claims["aud"].as_array().cloned().unwrap_or_else(|| vec![claims["aud"].clone()]);
            assert!(claims["iss"] == "muster" && audience.contains(&"muster".into()), "{claims}");
        }
        assert!(taken.expire_time.unix_timestamp() > 1_800_000_000 - 30, "{taken:?}");
    }
    // The key is another one in every process; an input can't have its id.
    let named = std::str::from_utf8(data).map_or(data.to_vec(), |text| text.replace("KID", &issuer.pair.key_id()).into_bytes());
    if issuer.takes(issuer.signed(&named, issuer.claims.as_bytes()).as_bytes()).is_some() {
        let header: Value = serde_json::from_slice(&named).expect("a header is JSON");
        assert!(header["alg"] == "EdDSA" && header["kid"] == issuer.pair.key_id().as_str(), "{header}");
    }
}

/// Refresh tokens: what is read was written so, byte for byte, and what was written is read, but for any character that is another.
pub fn refresh_token(data: &[u8]) {
    static TOKENS: LazyLock<RefreshTokens> = LazyLock::new(|| RefreshTokens::new(Sealer::from_key(&[7; 32])));
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(token) = TOKENS.decode(text)
    {
        assert_eq!(TOKENS.encode(token), text);
    }
    let mut fields = [0; 40];
    data.iter().zip(&mut fields).for_each(|(byte, field)| *field = *byte);
    let id = |at: usize| Uuid::from_slice(&fields[at..at + 16]).expect("16 bytes");
    let generation = fields[32..].iter().fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
    let token = RefreshToken { user_id: id(0).into(), session_id: id(16).into(), generation };
    let text = TOKENS.encode(token);
    assert_eq!(TOKENS.decode(&text), Ok(token));
    if let Some((at, by)) = place(data, text.len()) {
        let mut flipped = text.into_bytes();
        flipped[at] ^= by;
        assert!(std::str::from_utf8(&flipped).is_ok_and(|text| TOKENS.decode(text).is_err()) || by > 127, "changed at {at}");
    }
}

/// Stored hashes: what is taken asks for no more than is allowed, by a look at the text that is not the parser's; and what asks for little can be
/// held against a password without falling over.
pub fn hash_string(data: &[u8]) {
    static HASHING: LazyLock<Hashing> = LazyLock::new(|| {
        let cost = hashing::Cost { memory_kib: 64, passes: 1, lanes: 1 };
        Hashing::start(cost, 1, 8, Pepper::none()).expect("a thread")
    });
    let Ok(text) = std::str::from_utf8(data) else { return };
    if !hashing::is_taken(text) {
        return;
    }
    let asked = asked(text);
    assert!(asked <= 4 << 20, "{text} asks for {asked}");
    if asked <= 4 << 10 {
        let found = block_on(HASHING.verify("password".into(), Some(text.to_owned()), std::time::Duration::from_secs(60)));
        assert!(found.is_ok(), "{text}: {:?}", found.err());
    }
}

/// What a hash asks for, in KiB of memory times passes or about that: for bcrypt 2^cost steps, for scrypt units of 128 bytes, for PBKDF2
/// iterations.
fn asked(text: &str) -> u64 {
    let number = |name: &str| {
        let value = text.split(['$', ',']).find_map(|field| field.strip_prefix(name));
        value.and_then(|value| value.parse::<u64>().ok()).unwrap_or(1)
    };
    let log = |exponent: u64| 1_u64.checked_shl(u32::try_from(exponent).unwrap_or(u32::MAX)).unwrap_or(u64::MAX);
    match text.split('$').nth(1).unwrap_or_default() {
        "2a" | "2b" | "2y" => log(text.split('$').nth(2).and_then(|cost| cost.parse().ok()).unwrap_or(u64::MAX)).saturating_mul(130),
        "scrypt" => log(number("ln=")).saturating_mul(number("r=")).saturating_mul(number("p=")) * 4 / 5,
        kind if kind.starts_with("argon2") => number("m=").saturating_mul(number("t=")),
        // The number is named, or stands alone.
        _ => text.split('$').nth(2).and_then(|rounds| rounds.parse().ok()).unwrap_or_else(|| number("i=")),
    }
}

/// Codes of authenticator apps and what else is typed or stored of a second factor: a code is that of a step nearby or none, a secret reads back
/// as it was written, and a recovery code has one form.
pub fn totp_code(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let secret = totp::Secret::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").expect("that of RFC 6238");
    let seconds = data.iter().fold(0_i64, |number, byte| (number << 8 | i64::from(*byte)) & 0xffff_ffff);
    for seconds in [59, 1_111_111_109, seconds] {
        let now = OffsetDateTime::from_unix_timestamp(seconds).expect("a time of this century or the next");
        if let Some(step) = secret.step_of(text, now) {
            assert!((step - totp::step_at(now)).abs() <= 1 && secret.code(step) == text, "{text} at {seconds}");
        }
    }
    if let Ok(secret) = totp::Secret::from_base32(text) {
        assert_eq!(*secret.to_base32(), text);
    }
    let form = recovery::normalized(text);
    assert_eq!(recovery::normalized(&form), form);
}

/// Page tokens: what a list gave leads on in that list and in no other, and what it did not give leads nowhere.
pub fn page_token(data: &[u8]) {
    static SEALER: LazyLock<Sealer> = LazyLock::new(|| {
        runtime::init_crypto();
        Sealer::from_key(&[7; 32])
    });
    let orders = [
        Order::asc("create_time", Kind::Time, "item_id"),
        Order::desc("title", Kind::Text, "item_id"),
        Order::asc("number", Kind::Int, "item_id"),
    ];
    let caller = rpc::Caller::background("tasks", OrganizationId::SYSTEM, None);
    let read = |token: &str, order, list| PageRequest::read(&SEALER, &caller, 1, token, order, &[list]);
    if let Ok(text) = std::str::from_utf8(data) {
        for order in orders.into_iter().filter(|_| !text.is_empty()) {
            assert!(read(text, order, "list").is_err(), "nobody gave {text}");
        }
    }
    let text: String = String::from_utf8_lossy(data).chars().take(128).collect();
    let number = data.iter().fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
    let time = OffsetDateTime::from_unix_timestamp(number % 100_000_000_000).expect("a time of these millennia");
    let id = Uuid::from_u128(data.len() as u128);
    let cursors = [Cursor::time(time, id), Cursor::text(&text, id), Cursor::int(number, id)];
    for (order, cursor) in orders.into_iter().zip(cursors) {
        let page = read("", order, "list").expect("the first page").finish(vec![(); 2], |()| cursor);
        let token = page.next_page_token;
        assert_eq!(read(&token, order, "list").expect("the next page").after_id(), Some(id));
        assert!(read(&token, order, "another list").is_err() && read(&token, Order::asc("other", Kind::Int, "item_id"), "list").is_err());
        if let Some((at, by)) = place(data, token.len()) {
            let mut flipped = token.into_bytes();
            flipped[at] ^= by;
            assert!(std::str::from_utf8(&flipped).map_or(true, |token| read(token, order, "list").is_err()), "changed at {at}");
        }
    }
}

/// Where in a text of `length` characters one is changed, and by which bits; always to another one.
fn place(data: &[u8], length: usize) -> Option<(usize, u8)> {
    let [high, low, by, ..] = data else { return None };
    (*by != 0).then_some((usize::from(u16::from_be_bytes([*high, *low])) % length, *by))
}
