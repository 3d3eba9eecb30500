//! What a person chose before: by setting, one of the last passwords is not chosen again.
//!
//! Each is checked as a sign-in is, on the hashing threads, so the setting is small. The hashes are kept sealed as they were, and read by one
//! function for the person alone. Deliberately absent: the passwords of a registration that nobody proved.

use db::Tx;
use rpc::Caller;
use runtime::SecretString;

use super::credential::store as credentials;
use super::ops::{Ops, RESERVE, chosen};
use crate::error::Error;
use crate::password::{Person, Weakness};

impl Ops {
    /// The hash of a password in place of the caller's, if it meets the rules and is none of the last ones.
    ///
    /// # Errors
    /// `PASSWORD_TOO_WEAK`, `HASHING_OVERLOADED`.
    pub(super) async fn replacement(&self, caller: &Caller, new: SecretString, person: Person) -> Result<String, Error> {
        let hash = chosen(&self.hashing, caller, new.clone(), person).await?;
        if self.history == 0 {
            return Ok(hash);
        }
        let id = caller.user_id()?;
        let last = self.db.read(caller, async |tx: &mut Tx| credentials::last_hashes(tx, &self.sealed, id, self.history).await).await?;
        for former in last {
            let remaining = caller.deadline().remaining().saturating_sub(RESERVE);
            if self.hashing.verify(new.clone(), Some(former), remaining).await? {
                return Err(Weakness::reused().into());
            }
        }
        Ok(hash)
    }

    /// Keeps the password in force of the caller, whose account is held, before another takes its place.
    pub(super) async fn remember(&self, tx: &mut Tx) -> Result<(), Error> {
        if self.history == 0 {
            return Ok(());
        }
        credentials::keep_hash(tx, self.db.ids().next(), self.history - 1).await
    }
}
