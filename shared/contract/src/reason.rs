//! The stable names that errors carry.

/// A reason of one of the packages' reason enums.
///
/// The pair of [`DOMAIN`](WireReason::DOMAIN) and [`wire`](WireReason::wire) is what a client may act on (`google.rpc.ErrorInfo`).
/// Source: AIP-193.
pub trait WireReason: Copy {
    /// Whose reason it is: `identity.muster`; `muster` for reasons any service may answer.
    const DOMAIN: &'static str;

    /// The name on the wire: `LAST_OWNER`.
    fn wire(self) -> &'static str;
}

include!(concat!(env!("OUT_DIR"), "/reasons.rs"));
