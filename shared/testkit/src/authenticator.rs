//! An authenticator app: what a person's phone does, made from the standards alone, so that a service's own code is held against it.
//!
//! Sources: RFC 6238, RFC 4226, 5.3 and 5.4; RFC 4648, 6.

use aws_lc_rs::hmac;
use time::OffsetDateTime;

/// An app that read an `otpauth://totp/…` URI.
#[derive(Clone, Debug)]
pub struct Authenticator {
    secret: Vec<u8>,
}

impl Authenticator {
    /// Reads the URI that an enrolment gave.
    ///
    /// # Panics
    /// When it is none of an app of 6 digits every 30 seconds by HMAC-SHA-1, which is all that every app can do.
    pub fn of(uri: &str) -> Authenticator {
        let (_, query) = uri.strip_prefix("otpauth://totp/").and_then(|rest| rest.split_once('?')).expect("a key URI");
        let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        assert_eq!((value("algorithm"), value("digits"), value("period")), (Some("SHA1"), Some("6"), Some("30")), "{uri}");
        Authenticator { secret: base32(value("secret").expect("a secret")) }
    }

    /// What it shows at `time`.
    pub fn code_at(&self, time: OffsetDateTime) -> String {
        let counter = (time.unix_timestamp() / 30).to_be_bytes();
        let digest = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.secret), &counter);
        let at = usize::from(digest.as_ref()[19] & 15);
        let number = digest.as_ref()[at..at + 4].iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }
}

/// Bits five by five; what is left over at the end is padding.
fn base32(text: &str) -> Vec<u8> {
    let digit = |character: u8| b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == character).expect("base32") as u32;
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for character in text.bytes() {
        (held, bits) = (held << 5 | digit(character), bits + 5);
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_the_codes_of_the_standard() {
        let uri = "otpauth://totp/x:y?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=x&algorithm=SHA1&digits=6&period=30";
        let shown = |seconds| Authenticator::of(uri).code_at(OffsetDateTime::from_unix_timestamp(seconds).unwrap());
        // RFC 6238, appendix B: the last six of eight digits.
        assert_eq!([59, 1_111_111_109, 2_000_000_000].map(shown), ["287082", "081804", "279037"]);
    }
}
