//! Use cases of accounts: registration, the proof of an address, reading. What is mailed is beside, in `links` and `password_reset`.

use std::time::Duration;

use db::{Db, Page, Tx};
use rpc::Caller;
use runtime::{SecretString, UserId};
use time::OffsetDateTime;

use super::credential::store as credentials;
use super::filter::{COLUMNS, ORDER, blinded};
use super::links::{Asked, Links};
use super::username::Username;
use super::{Seen, User, store};
use crate::error::Error;
use crate::events;
use crate::hashing::Hashing;
use crate::password::{Person, Strength};
use crate::sealed::Sealed;
use crate::throttle::{Pass, Scope, Throttle};
use crate::token::link::LinkToken;

/// What a call keeps of its time for the database after its password was hashed.
pub(crate) const RESERVE: Duration = Duration::from_millis(200);

/// Accounts.
#[derive(Clone)]
pub struct Ops {
    /// The service's tables.
    pub db: Db,
    /// Sealing of columns.
    pub sealed: Sealed,
    /// Password hashing.
    pub hashing: Hashing,
    /// What accounts are mailed.
    pub links: Links,
    /// Attempts at passwords and links, and mails that are asked for.
    pub throttle: Throttle,
    /// So many of a person's last passwords can't be chosen again.
    pub history: i64,
}

/// An account to register.
pub struct NewUser {
    /// The address.
    pub email: String,
    /// The password, byte for byte.
    pub password: SecretString,
    /// How the person is called.
    pub display_name: String,
    /// A name to sign in with beside the address, if one is wanted.
    pub username: Option<Username>,
}

/// Which page of which accounts.
pub struct ListUsers {
    /// As asked for.
    pub page_size: i32,
    /// From the page before.
    pub page_token: String,
    /// AIP-160.
    pub filter: String,
}

impl Ops {
    /// Registers an account, PENDING. An address that nobody proved yet may be registered again: each registration stands for itself, with
    /// its own password. For one that somebody proved nothing changes; the work, the commit and the answer are the same. One mail in the
    /// cool-down, with those that are asked for afterwards from the same network: a registration is no way to fill a mailbox.
    ///
    /// Charged as a mail before anything is looked up: who asks for many names, or fills many mailboxes, waits longer and longer.
    ///
    /// That a username is somebody's is told, whosever the address is: the name would say it at the first try anyway. It is held for nobody
    /// until the address is proved, so that a second registration can't ask by the name whether the first one was made.
    ///
    /// Answers the id of the registration; of nothing for an address that somebody proved.
    ///
    /// # Errors
    /// `PASSWORD_TOO_WEAK`, `ATTEMPTS_THROTTLED`, `USERNAME_TAKEN`, `HASHING_OVERLOADED`.
    /// # Emits
    /// `UserRegistered`, or `RegistrationRepeated`; same transaction.
    pub async fn register(&self, caller: &Caller, new: NewUser) -> Result<UserId, Error> {
        let pass = self.throttle.admit(caller, self.throttle.mail(caller)).await?;
        if let Some(name) = &new.username
            && store::username_taken(&self.db, caller, &self.sealed.username_index(name.as_str())).await?
        {
            return Err(Error::UsernameTaken);
        }
        let username = new.username.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default();
        let person = Person { email: new.email.clone(), username, display_name: new.display_name.clone() };
        let hash = match chosen(&self.hashing, caller, new.password, person).await {
            Ok(hash) => hash,
            Err(refused) => {
                self.throttle.give_back(caller, pass).await;
                return Err(refused);
            }
        };
        let id: UserId = self.db.ids().next_id();
        self.db
            .write_unrecorded(&caller.proven_as(id), async |tx: &mut Tx| {
                let user = User { username: new.username, ..User::registered(id, new.email, new.display_name, tx.now()) };
                let index = self.sealed.email_index(&user.email);
                let inserted = store::insert(tx, &self.sealed, &user, &hash).await?;
                let mail_wanted = self.is_mailed(tx, caller, &index, Asked::VerifyEmail).await?;
                if inserted {
                    tx.emit(events::user_registered(&user, mail_wanted));
                } else {
                    tx.emit(events::registration_repeated(&index));
                }
                Ok(id)
            })
            .await
    }

    /// How good a password would be for a person. Nothing is stored, and nobody is looked up. However many ask, no sign-in waits for it.
    ///
    /// # Errors
    /// `HASHING_OVERLOADED` when too many ask.
    pub async fn check_password(&self, caller: &Caller, password: SecretString, person: Person) -> Result<Strength, Error> {
        Ok(self.hashing.estimate(password, person, caller.deadline().remaining()).await?)
    }

    /// The token that proves an account's address, and until when it is good. Nothing is stored.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`, also when the address is proved already.
    pub async fn issue_verification_token(&self, caller: &Caller, id: UserId) -> Result<(String, OffsetDateTime), Error> {
        let pending = credentials::pending(&self.db, caller, &self.sealed, id).await?;
        Ok(self.verification_token(id, pending.ok_or(Error::UserNotFound)?.generation))
    }

    /// Proves an address with the token that was sent there and the password of the same registration: the account becomes ACTIVE. Whoever
    /// registered somebody else's address has the password and not the mailbox; its owner, the other way round. A token works once. A
    /// username that somebody else took meanwhile is left out: the address is worth more than the name.
    ///
    /// Whatever is wrong with a genuine token or its password, the answer and the work are the same.
    ///
    /// # Errors
    /// `VERIFICATION_TOKEN_INVALID`, `HASHING_OVERLOADED`, `ATTEMPTS_THROTTLED`.
    /// # Emits
    /// `UserVerified`, same transaction.
    pub async fn verify_email(&self, caller: &Caller, token: &str, password: SecretString) -> Result<UserId, Error> {
        let Ok(token) = self.links.verification.decode(token, self.db.clock().now()) else {
            self.throttle.forged(caller).await?;
            return Err(Error::VerificationTokenInvalid);
        };
        let user_id = UserId::from(token.subject_id);
        let pass = self.throttle.admit(caller, self.throttle.attempt(Scope::Link, token.subject_id)).await?;
        let caller = caller.proven_as(user_id);
        let pending = credentials::pending(&self.db, &caller, &self.sealed, user_id).await?;
        let stored = pending.filter(|pending| pending.generation == token.generation).map(|pending| pending.password_hash);
        match self.hashing.verify(password, stored, caller.deadline().remaining().saturating_sub(RESERVE)).await {
            Ok(true) => {}
            Ok(false) => {
                self.throttle.failed_alone(&caller, pass, None).await?;
                return Err(Error::VerificationTokenInvalid);
            }
            Err(refused) => {
                self.throttle.give_back(&caller, pass).await;
                return Err(refused.into());
            }
        }
        match self.prove(&caller, &token, &pass, true).await {
            Err(Error::UsernameTaken) => self.prove(&caller, &token, &pass, false).await,
            proved => proved,
        }
    }

    /// Makes the registration of `token` ACTIVE, with the username it asked for or without.
    async fn prove(&self, caller: &Caller, token: &LinkToken, pass: &Pass, keeps_username: bool) -> Result<UserId, Error> {
        self.db
            .write_unrecorded(caller, async |tx: &mut Tx| {
                let user_id = UserId::from(token.subject_id);
                let before = store::find(tx, &self.sealed, user_id).await?.ok_or(Error::VerificationTokenInvalid)?.user;
                let verified = before.verified(tx.now());
                let after = User { username: verified.username.clone().filter(|_| keeps_username), ..verified };
                if !store::verify(tx, &after, token.generation).await? {
                    return Err(Error::VerificationTokenInvalid);
                }
                self.throttle.succeeded(tx, pass).await?;
                tx.emit(events::user_verified(&before, &after));
                Ok(after.id)
            })
            .await
    }

    /// A user: the caller (`None`), or one the caller shares the organization with. The table's floor decides, on memberships as they are now.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`.
    pub async fn get(&self, caller: &Caller, id: Option<UserId>) -> Result<Seen, Error> {
        let id = id.map_or_else(|| caller.user_id(), Ok)?;
        let user = self.db.read(caller, async |tx: &mut Tx| store::find(tx, &self.sealed, id).await).await?;
        user.ok_or(Error::UserNotFound)
    }

    /// A page of all accounts, oldest first. For system admins: `open` has refused everybody else, and the floor shows nobody else more
    /// than their co-members.
    ///
    /// # Errors
    /// `FILTER_INVALID`, `PAGE_TOKEN_INVALID`.
    pub async fn list(&self, caller: &Caller, list: ListUsers) -> Result<Page<Seen>, Error> {
        let filter = db::Filter::parse(&blinded(&list.filter, &self.sealed)?, COLUMNS)?;
        let page = self.db.page(caller, list.page_size, &list.page_token, ORDER, &[&list.filter])?;
        self.db.read(caller, async |tx: &mut Tx| store::list(tx, &self.sealed, &filter, &page).await).await
    }
}

/// The hash of a new password, if it meets the rules.
///
/// # Errors
/// `PASSWORD_TOO_WEAK`, `HASHING_OVERLOADED`.
pub(crate) async fn chosen(hashing: &Hashing, caller: &Caller, new: SecretString, person: Person) -> Result<String, Error> {
    let remaining = || caller.deadline().remaining().saturating_sub(RESERVE);
    hashing.strength(&new, person, remaining()).await?.require()?;
    Ok(hashing.hash(new, remaining()).await?)
}
