//! Time-based one-time passwords: HMAC-SHA-1 over the step of 30 seconds, cut to 6 digits, which is what every authenticator app makes whatever
//! else it may be told. Sources: RFC 6238; RFC 4226, 5.3; the URI: Google Authenticator, "Key Uri Format".
//!
//! Deliberately absent: that a code works once. The factor's row remembers the step (`store::spend`).

use aws_lc_rs::{constant_time, hmac, rand};
use data_encoding::BASE32_NOPAD;
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// The length of a step.
pub const STEP_SECONDS: i64 = 30;
/// Clocks of phones are off, and people type slowly: codes of one step before and one after are taken too. Source: RFC 6238, 5.2.
const SKEW_STEPS: i64 = 1;
/// As long as the hash. Source: RFC 4226, 4, R6.
const SECRET_BYTES: usize = 20;

/// What an authenticator app and we share.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; SECRET_BYTES]>);

/// The system has no randomness, or a stored secret can't be read.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the secret of a factor can't be made or read")]
pub struct BadSecret;

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, BadSecret> {
        let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
        rand::fill(bytes.as_mut()).map_err(|_| BadSecret)?;
        Ok(Secret(bytes))
    }

    /// From its base32 text.
    ///
    /// # Errors
    /// Another length, or no base32.
    pub fn from_base32(text: &str) -> Result<Self, BadSecret> {
        let bytes = Zeroizing::new(BASE32_NOPAD.decode(text.as_bytes()).map_err(|_| BadSecret)?);
        Ok(Secret(Zeroizing::new(bytes.as_slice().try_into().map_err(|_| BadSecret)?)))
    }

    /// As apps take it (RFC 4648, 6, without padding).
    pub fn to_base32(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE32_NOPAD.encode(self.0.as_ref()))
    }

    /// The code of a step: 6 digits.
    pub fn code(&self, step: i64) -> String {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.0.as_ref()), &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag[tag.len() - 1] & 0x0f);
        let number = u32::from_be_bytes([tag[offset] & 0x7f, tag[offset + 1], tag[offset + 2], tag[offset + 3]]);
        format!("{:06}", number % 1_000_000)
    }

    /// The newest step near `now` whose code this is. All of them are compared, and each in constant time.
    pub fn step_of(&self, code: &str, now: OffsetDateTime) -> Option<i64> {
        let current = step_at(now);
        let steps = current - SKEW_STEPS..=current + SKEW_STEPS;
        steps.fold(None, |found, step| {
            let is_it = constant_time::verify_slices_are_equal(self.code(step).as_bytes(), code.as_bytes()).is_ok();
            if is_it { Some(step) } else { found }
        })
    }

    /// What an app is told: `otpauth://totp/<issuer>:<account>?secret=…`.
    pub fn uri(&self, issuer: &str, account: &str) -> Zeroizing<String> {
        let (issuer, account, secret) = (escaped(issuer), escaped(account), self.to_base32());
        let rest = format!("issuer={issuer}&algorithm=SHA1&digits=6&period={STEP_SECONDS}");
        Zeroizing::new(format!("otpauth://totp/{issuer}:{account}?secret={}&{rest}", *secret))
    }
}

/// The step that `time` is in.
pub fn step_at(time: OffsetDateTime) -> i64 {
    time.unix_timestamp().div_euclid(STEP_SECONDS)
}

/// For a part of a URI: all but the unreserved characters of RFC 3986, 2.3, as `%XX`.
fn escaped(text: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let part = |byte: u8| if is_plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(part).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// That of RFC 6238, appendix B.
    fn secret() -> Secret {
        Secret::from_base32(&BASE32_NOPAD.encode(b"12345678901234567890")).unwrap()
    }

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    #[test]
    fn the_codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, SHA1: the last six of its eight digits.
        let told =
            [(59, "287082"), (1_111_111_109, "081804"), (1_111_111_111, "050471"), (1_234_567_890, "005924"), (2_000_000_000, "279037")];
        for (seconds, code) in told {
            assert_eq!(secret().code(step_at(at(seconds))), code, "at {seconds}");
            assert_eq!(secret().step_of(code, at(seconds)), Some(seconds / 30));
        }
    }

    #[test]
    fn a_code_is_good_one_step_early_and_one_step_late() {
        let code = secret().code(1_000);
        for (seconds, good) in [(29_969, false), (29_970, true), (30_000, true), (30_029, true), (30_059, true), (30_060, false)] {
            assert_eq!(secret().step_of(&code, at(seconds)).is_some(), good, "at {seconds}");
        }
    }

    #[test]
    fn an_app_is_told_all_it_needs() {
        let uri = secret().uri("Muster & Co", "ana@example.com");
        let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let told = format!(
            "otpauth://totp/Muster%20%26%20Co:ana%40example.com?secret={secret}&issuer=Muster%20%26%20Co&algorithm=SHA1&digits=6&period=30"
        );
        assert_eq!(*uri, told);
    }

    #[test]
    fn a_secret_of_another_length_is_none() {
        for text in ["", "GEZDGNBV", "not base32", &BASE32_NOPAD.encode(&[7; 21])] {
            assert!(Secret::from_base32(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_a_code_of_a_step_nearby_or_none(text in ".{0,12}", seconds in 0..4_000_000_000_i64) {
            if let Some(step) = secret().step_of(&text, at(seconds)) {
                prop_assert!((step - seconds / 30).abs() <= 1);
                prop_assert_eq!(secret().code(step), text);
            }
        }
    }
}
