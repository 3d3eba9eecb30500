//! The use case of importing accounts from another system, with the hashes that it kept of their passwords.
//!
//! Deliberately absent: passwords in the clear, which nobody should hold long enough to send, and hashes without salt.

use db::Tx;
use rpc::Caller;
use runtime::{SecretString, UserId};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::links::Asked;
use super::ops::Ops;
use super::username::{self, Username};
use super::{User, UserState, store};
use crate::error::Error;
use crate::events;
use crate::hashing;

/// Somebody who had an account elsewhere.
pub struct ImportedUser {
    /// The address.
    pub email: String,
    /// Whether it was proved there.
    pub email_proved: bool,
    /// A name to sign in with; empty for none.
    pub username: String,
    /// How the person is called.
    pub display_name: String,
    /// As the other system kept it.
    pub password_hash: SecretString,
}

/// What became of one. As in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Imported {
    /// There is an account.
    Created(UserId),
    /// The address has an account already.
    EmailTaken,
    /// Another account has the username.
    UsernameTaken,
    /// The username can be none here.
    UsernameInvalid,
    /// The hash is of no form that is taken, or asks for too much.
    PasswordHashInvalid,
}

impl Ops {
    /// Makes an account of each who can have one, ACTIVE where the address was proved; says of each what became of it. One transaction.
    ///
    /// # Errors
    /// `CONFLICT`, `DEPENDENCY_UNAVAILABLE`, `REQUEST_ID_REUSED`.
    /// # Emits
    /// `UserRegistered` for each account, same transaction.
    pub async fn import(&self, caller: &Caller, people: Vec<ImportedUser>) -> Result<Vec<Imported>, Error> {
        self.db
            .write(caller, async |tx: &mut Tx| {
                let mut results = Vec::with_capacity(people.len());
                for person in people {
                    results.push(self.import_one(tx, person).await?);
                }
                Ok(results)
            })
            .await
    }

    async fn import_one(&self, tx: &mut Tx, person: ImportedUser) -> Result<Imported, Error> {
        let Ok(username) = username::optional(&person.username) else { return Ok(Imported::UsernameInvalid) };
        if !hashing::is_taken(person.password_hash.expose_secret()) {
            return Ok(Imported::PasswordHashInvalid);
        }
        let index = self.sealed.email_index(&person.email);
        let named = username.as_ref().map(|name| self.sealed.username_index(name.as_str()));
        if let Some(taken) = taken(tx, &index, named.as_deref()).await? {
            return Ok(taken);
        }
        let id: UserId = self.db.ids().next_id();
        let user = imported(id, &person, username, tx.now());
        if !store::insert(tx, &self.sealed, &user, person.password_hash.expose_secret()).await? {
            // Somebody was faster; the row says who by now.
            return Ok(taken(tx, &index, named.as_deref()).await?.unwrap_or(Imported::EmailTaken));
        }
        let asker = self.sealed.asker_index(&index, &tx.caller().user_id()?.to_string());
        // What strangers filled the mailbox with keeps nobody from the one mail of their account: nobody else would ask for it.
        let mail_wanted =
            !person.email_proved && store::ask_for_mail(tx, &index, Asked::VerifyEmail, &asker, self.links.cooldown).await?.asker;
        tx.emit(events::user_registered(&user, mail_wanted));
        Ok(Imported::Created(id))
    }
}

fn imported(id: UserId, person: &ImportedUser, username: Option<Username>, now: time::OffsetDateTime) -> User {
    let state = if person.email_proved { UserState::Active } else { UserState::Pending };
    User { state, username, ..User::registered(id, person.email.clone(), person.display_name.clone(), now) }
}

/// What stands in the way, if something does.
async fn taken(tx: &mut Tx, email_index: &str, username_index: Option<&str>) -> Result<Option<Imported>, Error> {
    let (email, username) = store::is_taken(tx, email_index, username_index).await?;
    Ok(email.then_some(Imported::EmailTaken).or(username.then_some(Imported::UsernameTaken)))
}
