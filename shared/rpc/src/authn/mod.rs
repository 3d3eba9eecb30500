//! Who calls: a subject by an access token, a service by a peer token.
//!
//! An access token is a JWT of identity's (`at+jwt`, Ed25519 or RSA), forwarded unchanged through the suite. It is verified once per process and
//! then known by its SHA-256; on every call its time and the revocation set are looked at first, which names sessions, users, organizations and keys. Keys and revocations that identity has not
//! confirmed for a minute let no token pass: a service that is cut off from it fails closed, identity among them, which follows itself. For
//! sensitive methods (`MethodPolicy::is_sensitive`) that is so after two seconds. A peer token is a JWT of 60 seconds that a
//! service signs for one peer.
//!
//! Deliberately absent: roles, permissions, and any call to identity in a request path but the one that fetches a key just rotated in.

mod cache;
mod jwt;
mod keys;
mod lease;
mod peer;
mod peer_files;
mod revocations;
mod token;
mod verifier;

pub use keys::{KeySet, KeySetError, replicate_keys};
pub use peer::{PEER_TOKEN_SECONDS, PeerKeys};
pub use peer_files::{PeerKeyError, generate_keys};
pub use revocations::{Revocations, SENSITIVE_STALENESS_MAX, replicate_revocations};
pub use token::AccessToken;
pub use verifier::Verifier;

/// The metadata key of the peer token.
pub(crate) const MUSTER_PEER: &str = "muster-peer";
/// The service whose word on address and agent of a client is taken.
pub(crate) const GATEWAY: &str = "gateway";
