//! Stored hashes, read: argon2id of our own making, and what other systems made, whose people move here without choosing another password.
//!
//! Taken are the forms that other systems write: argon2i, argon2d and argon2id as PHC strings; `$2a$`, `$2b$`, `$2y$` (bcrypt);
//! `$scrypt$ln=15,r=8,p=1$salt$hash`; `$pbkdf2-sha256$i=600000$salt$hash`, or with the bare number that passlib writes, and the same with
//! `-sha512`. Each says how much work it asks for, and none may ask for more than [`WORK_MAX`] or [`MEMORY_KIB_MAX`]: a hash that was handed
//! in could be made to stop every other sign-in.
//!
//! Deliberately absent: fast hashes (MD5, SHA-1, unsalted ones), which no import makes safe, and the making of any of these (`argon`).

use argon2::{Algorithm, Params, Version};
use aws_lc_rs::{constant_time, pbkdf2};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use zeroize::Zeroize;

use super::argon::{Arena, Cost, Unreadable};

/// The most work that a stored hash may ask for, in KiB of argon2 memory times passes: about a hundred times what OWASP asks for, one or two
/// seconds of a core. A bcrypt hash of cost 14 is within it, one of 15 is not.
const WORK_MAX: u64 = 4 << 20;
/// The most memory that one may ask for.
const MEMORY_KIB_MAX: u64 = 256 * 1024;
/// Source: RFC 9106, 3.1, for the salt; nobody stores shorter or longer hashes.
const SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=64;
const HASH_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
const LANES_MAX: u32 = 16;
/// The longest text of a stored hash, in bytes.
const TEXT_BYTES_MAX: usize = 512;

/// Work of other algorithms in the unit of argon2, by time on one core: one step of bcrypt's 2^cost, a thousand units N*r*p of scrypt, a
/// thousand iterations of PBKDF2. Measured once on the machine of the README's figures; admission needs no more than the order.
const BCRYPT_STEP: u64 = 130;
const SCRYPT_THOUSAND: u64 = 800;
const PBKDF2_SHA256_THOUSAND: u64 = 1_300;
const PBKDF2_SHA512_THOUSAND: u64 = 2_500;

/// Stands before a hash of a password that a pepper was mixed into first: `$pepper$<key id>` and then the hash.
const PEPPERED: &str = "$pepper$";

/// Other systems write neither padding nor, always, the last bits of a group as zero.
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, NO_PAD.with_decode_allow_trailing_bits(true));

/// A stored hash.
pub(super) struct Stored {
    /// The key that was mixed into the password first; 0 is none.
    pub(super) pepper_id: u32,
    scheme: Scheme,
}

enum Scheme {
    Argon { algorithm: Algorithm, version: Version, cost: Cost, salt: Vec<u8>, hash: Vec<u8> },
    Bcrypt { cost: u32, text: String },
    Scrypt { params: scrypt::Params, salt: Vec<u8>, hash: Vec<u8> },
    Pbkdf2 { algorithm: pbkdf2::Algorithm, iterations: std::num::NonZeroU32, salt: Vec<u8>, hash: Vec<u8> },
}

impl Stored {
    /// Reads `text`.
    ///
    /// # Errors
    /// A form that is not taken, or more work than any stored hash may ask for.
    pub(super) fn parse(text: &str) -> Result<Self, Unreadable> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Unreadable);
        }
        let (pepper_id, text) = match text.strip_prefix(PEPPERED) {
            Some(rest) => {
                let at = rest.find('$').ok_or(Unreadable)?;
                (rest[..at].parse().ok().filter(|id| *id > 0).ok_or(Unreadable)?, &rest[at..])
            }
            None => (0, text),
        };
        let fields: Vec<&str> = text.strip_prefix('$').ok_or(Unreadable)?.split('$').collect();
        let scheme = match fields.as_slice() {
            ["argon2i", rest @ ..] => argon(Algorithm::Argon2i, rest)?,
            ["argon2d", rest @ ..] => argon(Algorithm::Argon2d, rest)?,
            ["argon2id", rest @ ..] => argon(Algorithm::Argon2id, rest)?,
            ["2a" | "2b" | "2y", cost, rest] if cost.len() == 2 && rest.len() == 53 => bcrypt(text, cost)?,
            ["scrypt", params, salt, hash] => scrypt(params, salt, hash)?,
            ["pbkdf2-sha256", params, salt, hash] => pbkdf2(pbkdf2::PBKDF2_HMAC_SHA256, params, salt, hash)?,
            ["pbkdf2-sha512", params, salt, hash] => pbkdf2(pbkdf2::PBKDF2_HMAC_SHA512, params, salt, hash)?,
            _ => return Err(Unreadable),
        };
        let stored = Stored { pepper_id, scheme };
        if stored.work() <= WORK_MAX && stored.memory_kib() <= MEMORY_KIB_MAX { Ok(stored) } else { Err(Unreadable) }
    }

    /// What a look at it costs, in KiB of argon2 memory times passes.
    pub(super) fn work(&self) -> u64 {
        match &self.scheme {
            Scheme::Argon { cost, .. } => cost.work(),
            Scheme::Bcrypt { cost, .. } => 1_u64.checked_shl(*cost).unwrap_or(u64::MAX).saturating_mul(BCRYPT_STEP),
            Scheme::Scrypt { params, .. } => {
                let units = params.n().saturating_mul(params.r().into()).saturating_mul(params.p().into());
                units.saturating_mul(SCRYPT_THOUSAND) / 1_000
            }
            Scheme::Pbkdf2 { algorithm, iterations, hash, .. } => {
                let (thousand, block) =
                    if *algorithm == pbkdf2::PBKDF2_HMAC_SHA256 { (PBKDF2_SHA256_THOUSAND, 32) } else { (PBKDF2_SHA512_THOUSAND, 64) };
                u64::from(iterations.get()).saturating_mul(thousand).saturating_mul(hash.len().div_ceil(block) as u64) / 1_000
            }
        }
    }

    /// The memory that a look at it takes, in KiB.
    pub(super) fn memory_kib(&self) -> u64 {
        match &self.scheme {
            Scheme::Argon { cost, .. } => cost.memory_kib.into(),
            Scheme::Scrypt { params, .. } => params.n().saturating_mul(params.r().into()) / 8,
            Scheme::Bcrypt { .. } | Scheme::Pbkdf2 { .. } => 4,
        }
    }

    /// What it was made at, if this service could have made it: argon2id of the present version.
    pub(super) fn own_cost(&self) -> Option<Cost> {
        match &self.scheme {
            Scheme::Argon { algorithm: Algorithm::Argon2id, version: Version::V0x13, cost, hash, .. } if hash.len() == 32 => Some(*cost),
            _ => None,
        }
    }

    /// Whether `password`, into which the pepper was mixed, is the one that it was made of. Compared in constant time.
    pub(super) fn fits(&self, arena: &mut Arena, password: &[u8]) -> Result<bool, Unreadable> {
        let (mut found, hash) = match &self.scheme {
            Scheme::Argon { algorithm, version, cost, salt, hash } => {
                let mut found = vec![0; hash.len()];
                arena.fill(*algorithm, *version, *cost, password, salt, &mut found)?;
                (found, hash)
            }
            // As every bcrypt does: up to the first NUL, 72 bytes at most. What it can't hash fits nothing.
            Scheme::Bcrypt { text, .. } => return Ok(bcrypt::verify(password, text).unwrap_or(false)),
            Scheme::Scrypt { params, salt, hash } => {
                let mut found = vec![0; hash.len()];
                scrypt::scrypt(password, salt, params, &mut found).map_err(|_| Unreadable)?;
                (found, hash)
            }
            Scheme::Pbkdf2 { algorithm, iterations, salt, hash } => {
                return Ok(pbkdf2::verify(*algorithm, *iterations, salt, password, hash).is_ok());
            }
        };
        let fits = constant_time::verify_slices_are_equal(&found, hash).is_ok();
        found.zeroize();
        Ok(fits)
    }
}

/// `hash` as it is stored when the pepper `id` was mixed into its password.
pub(super) fn peppered(id: u32, hash: String) -> String {
    if id == 0 { hash } else { format!("{PEPPERED}{id}{hash}") }
}

fn argon(algorithm: Algorithm, fields: &[&str]) -> Result<Scheme, Unreadable> {
    // Without a version it is the first one. Source: the PHC string format's specification.
    let (version, rest) = match fields {
        ["v=19", rest @ ..] => (Version::V0x13, rest),
        ["v=16", rest @ ..] | rest => (Version::V0x10, rest),
    };
    let [params, salt, hash] = rest else { return Err(Unreadable) };
    let cost = Cost { memory_kib: number(params, "m")?, passes: number(params, "t")?, lanes: number(params, "p")? };
    let (salt, hash) = (bytes(salt, SALT_BYTES)?, bytes(hash, HASH_BYTES)?);
    let takes = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(hash.len())).is_ok();
    if takes && cost.lanes <= LANES_MAX { Ok(Scheme::Argon { algorithm, version, cost, salt, hash }) } else { Err(Unreadable) }
}

fn bcrypt(text: &str, cost: &str) -> Result<Scheme, Unreadable> {
    let parts: bcrypt::HashParts = text.parse().map_err(|_| Unreadable)?;
    let cost = cost.parse().map_err(|_| Unreadable)?;
    if parts.get_cost() == cost && (4..=31).contains(&cost) { Ok(Scheme::Bcrypt { cost, text: text.to_owned() }) } else { Err(Unreadable) }
}

fn scrypt(params: &str, salt: &str, hash: &str) -> Result<Scheme, Unreadable> {
    let (log_n, r, p): (u8, u32, u32) = (number(params, "ln")?, number(params, "r")?, number(params, "p")?);
    // The product alone would let a lone parameter overflow before it is looked at.
    if !(1..=24).contains(&log_n) || r > 64 || p > 64 {
        return Err(Unreadable);
    }
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| Unreadable)?;
    Ok(Scheme::Scrypt { params, salt: bytes(salt, SALT_BYTES)?, hash: bytes(hash, HASH_BYTES)? })
}

fn pbkdf2(algorithm: pbkdf2::Algorithm, params: &str, salt: &str, hash: &str) -> Result<Scheme, Unreadable> {
    let iterations = params.parse().or_else(|_| number(params, "i"))?;
    Ok(Scheme::Pbkdf2 { algorithm, iterations, salt: bytes(salt, SALT_BYTES)?, hash: bytes(hash, HASH_BYTES)? })
}

/// The parameter `name` of `m=19456,t=2,p=1`, in digits alone.
fn number<T: std::str::FromStr>(params: &str, name: &str) -> Result<T, Unreadable> {
    let value = params.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).ok_or(Unreadable)?;
    if value.bytes().all(|byte| byte.is_ascii_digit()) { value.parse().map_err(|_| Unreadable) } else { Err(Unreadable) }
}

/// Base64 with or without padding; passlib writes a dot for the plus.
fn bytes(text: &str, lengths: std::ops::RangeInclusive<usize>) -> Result<Vec<u8>, Unreadable> {
    let bytes = BASE64.decode(text.trim_end_matches('=').replace('.', "+")).map_err(|_| Unreadable)?;
    if lengths.contains(&bytes.len()) { Ok(bytes) } else { Err(Unreadable) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made by other systems. Sources: RFC 7914, section 12 (scrypt, N = 16384, r = 8, p = 1); the bcrypt test vectors of jBCrypt; `src/test.c`
    /// of the reference implementation of argon2 (argon2i, the third without its version), and that implementation (argon2d, argon2id in the
    /// first version); Python's hashlib (PBKDF2).
    const FOREIGN: [(&str, &str); 13] = [
        ("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        ("U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        ("U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        (
            "pleaseletmein",
            "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw",
        ),
        ("correct horse", "$pbkdf2-sha256$29000$c2FsdCBvZiBzaXh0ZWVuIQ$436xiYFXxy7dnkBWbB2T8v.z6sMb5xDHNuYfm5IIzaI"),
        ("correct horse", "$pbkdf2-sha256$i=29000,l=32$c2FsdCBvZiBzaXh0ZWVuIQ$436xiYFXxy7dnkBWbB2T8v+z6sMb5xDHNuYfm5IIzaI"),
        (
            "correct horse",
            "$pbkdf2-sha512$i=1000$c2FsdCBvZiBzaXh0ZWVuIQ$FtiCboYqPuiDXn4MdI5PUI9wiyF/DL43Ogqw9XyWf0NlqLioT6mUr0jNHv7+Ac4xkZ86SUrqRdTLdrJiGTknBQ",
        ),
        ("password", "$argon2i$v=19$m=256,t=2,p=2$c29tZXNhbHQ$T/XOJ2mh1/TIpJHfCdQan76Q5esCFVoT5MAeIM1Oq2E"),
        ("password", "$argon2i$v=16$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY"),
        ("password", "$argon2i$m=256,t=2,p=1$c29tZXNhbHQ$/U3YPXYsSb3q9XxHvc0MLxur+GP960kN9j7emXX8zwY"),
        ("password", "$argon2d$v=19$m=256,t=2,p=1$c29tZXNhbHQ$JcTui6RIBUtJ78gE5Hi52CO+H5vS6Z9R1uxAB6OhUB8"),
        ("password", "$argon2d$v=16$m=256,t=2,p=1$c29tZXNhbHQ$vUBIaP8AxS51Q8gzLmp3KlckiS1+Mo1c8lO7yOcms3E"),
        ("password", "$argon2id$v=16$m=256,t=2,p=1$c29tZXNhbHQ$2gcOV25Q8vOKPIl8vdxsf7QCjocJcf+erntOGHkpXm4"),
    ];

    /// Of the form that is made here. Source: `src/test.c` of the reference implementation.
    const AS_OURS: (&str, &str) = ("password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc");

    fn fits(password: &str, stored: &str) -> Result<bool, Unreadable> {
        Stored::parse(stored)?.fits(&mut Arena::default(), password.as_bytes())
    }

    #[test]
    fn a_hash_of_another_system_fits_its_password_and_no_other() {
        for (password, stored) in FOREIGN {
            assert_eq!(fits(password, stored), Ok(true), "{stored}");
            assert_eq!(fits("another", stored), Ok(false), "{stored}");
            assert!(Stored::parse(stored).unwrap().own_cost().is_none(), "{stored} is rehashed");
        }
        let (password, stored) = AS_OURS;
        assert_eq!((fits(password, stored), fits("another", stored)), (Ok(true), Ok(false)));
        assert_eq!(Stored::parse(stored).unwrap().own_cost(), Some(Cost { memory_kib: 256, passes: 2, lanes: 2 }));
    }

    #[test]
    fn every_variant_of_argon_is_told_from_the_others() {
        let own = Arena::default().hash(Cost { memory_kib: 8, passes: 1, lanes: 1 }, b"password").unwrap();
        assert!(Stored::parse(&own).unwrap().own_cost().is_some());
        for (variant, version) in [("argon2i", "v=19"), ("argon2d", "v=19"), ("argon2id", "v=16")] {
            let other = own.replace("argon2id", variant).replace("v=19", version);
            assert_eq!(fits("password", &other), Ok(false), "{other}");
            assert!(Stored::parse(&other).unwrap().own_cost().is_none());
        }
    }

    #[test]
    fn bcrypt_looks_at_72_bytes_as_it_always_did() {
        let (_, stored) = FOREIGN[0];
        assert_eq!(fits(&"U*U".repeat(200), stored), Ok(false), "and a long or a NUL password is no error");
        assert!(fits("U*U\0", stored).is_ok());
    }

    #[test]
    fn a_hash_that_asks_for_too_much_is_refused_before_anything_is_computed() {
        let (salt, hash) = ("c2FsdHNhbHRzYWx0", "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g");
        let bombs = [
            format!("$argon2id$v=19$m=4194304,t=1,p=1${salt}${hash}"),
            format!("$argon2id$v=19$m=65536,t=999999,p=1${salt}${hash}"),
            format!("$argon2id$v=19$m=65536,t=1,p=4096${salt}${hash}"),
            format!("$argon2id$v=19$m=4294967296,t=1,p=1${salt}${hash}"),
            "$2b$15$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(),
            "$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(),
            "$2b$99$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(),
            format!("$scrypt$ln=24,r=8,p=1${salt}${hash}"),
            format!("$scrypt$ln=63,r=8,p=1${salt}${hash}"),
            format!("$scrypt$ln=14,r=4294967295,p=4294967295${salt}${hash}"),
            format!("$scrypt$ln=15,r=8,p=64${salt}${hash}"),
            format!("$pbkdf2-sha256$i=4294967295${salt}${hash}"),
            format!("$pbkdf2-sha512$9999999${salt}${hash}"),
            format!("$argon2id$v=19$m=8,t=1,p=1${salt}${}", "a".repeat(400)),
            format!("$argon2id$v=19$m=8,t=1,p=1${}${hash}", "a".repeat(10_000)),
        ];
        for bomb in bombs {
            assert_eq!(Stored::parse(&bomb).err(), Some(Unreadable), "{bomb:.80}");
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let (salt, hash) = ("c2FsdHNhbHRzYWx0", "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g");
        let none = [
            String::new(),
            "$".to_owned(),
            "plain".to_owned(),
            "5f4dcc3b5aa765d61d8327deb882cf99".to_owned(),
            format!("$argon2id$v=19$m=8,t=1,p=1${salt}"),
            format!("$argon2id$v=19$m=-8,t=1,p=1${salt}${hash}"),
            format!("$argon2id$v=19$m=+8,t=1,p=1${salt}${hash}"),
            format!("$argon2id$v=19$t=1,p=1${salt}${hash}"),
            format!("$argon2id$v=19$m=8,t=0,p=1${salt}${hash}"),
            format!("$argon2id$v=19$m=8,t=1,p=1$short${hash}"),
            format!("$pbkdf2-sha256$i=0${salt}${hash}"),
            format!("$pbkdf2-sha1$i=1000${salt}${hash}"),
            "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(),
            "$2b$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(),
            "$pepper$0$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned(),
            "$pepper$".to_owned(),
        ];
        for text in none {
            assert_eq!(Stored::parse(&text).err(), Some(Unreadable), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fall_over(text in "\\$(pepper|argon2id|2b|scrypt|pbkdf2-sha256)\\$[a-zA-Z0-9$=,./é+-]{0,120}") {
            let _ = Stored::parse(&text);
        }
    }
}
