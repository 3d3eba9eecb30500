//! The pepper: a key that is mixed into passwords before they are hashed, so that a dump of the database alone can't be tried against a word list.
//!
//! The keys come from the service's key file, one for each id; the setting says which id is mixed in now. Raising it puts another key in place:
//! hashes made under former ids stay good, and each is made anew when its owner signs in.
//!
//! Deliberately absent: keys that outlive the key file. Whoever loses that loses every sealed hash with it.
//! Source: OWASP Password Storage, "Peppering"; RFC 2104.

use aws_lc_rs::hmac;
use db::Sealer;
use runtime::SecretString;
use secrecy::{ExposeSecret, SecretBox};

/// Mixes a key into passwords.
#[derive(Clone)]
pub struct Pepper {
    id: u32,
    sealer: Option<Sealer>,
}

impl Pepper {
    /// The key `id` of the key file of `sealer`; 0 mixes nothing into new hashes.
    pub fn new(id: u32, sealer: &Sealer) -> Self {
        Pepper { id, sealer: Some(sealer.clone()) }
    }

    /// None, and none was ever used.
    pub fn none() -> Self {
        Pepper { id: 0, sealer: None }
    }

    /// Which one is mixed in now; 0 is none.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// What is hashed in place of `password` under the key `id`.
    pub(super) fn mixed(&self, id: u32, password: &SecretString) -> SecretBox<[u8]> {
        let password = password.expose_secret().as_bytes();
        let bytes = match &self.sealer {
            Some(sealer) if id != 0 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &sealer.derive(&format!("identity password pepper {id}")));
                hmac::sign(&key, password).as_ref().to_vec()
            }
            _ => password.to_vec(),
        };
        SecretBox::new(bytes.into_boxed_slice())
    }
}
