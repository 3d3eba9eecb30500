//! Use cases of second factors: enrolling, confirming, listing, taking away, other recovery codes.
//!
//! Every change holds the account first, so that changes, sign-ins and step-ups of one person take turns. That the caller was authenticated
//! lately is the methods' policy (`step_up`); that it was by a second factor when there is one is seen here, on the session's row.

use std::time::Duration;

use db::{Db, Tx};
use rpc::Caller;
use runtime::{OrganizationId, SecretString, UserId};
use secrecy::ExposeSecret;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::totp::Secret;
use super::{FACTORS_MAX, Factor, FactorId, FactorState, picture, recovery, store};
use crate::error::Error;
use crate::events;
use crate::revocation::{Revocation, store as revocations};
use crate::sealed::Sealed;
use crate::session::assurance::Methods;
use crate::session::context;
use crate::session::ops::Ops as Sessions;
use crate::session::step_up::Authenticated;
use crate::session::store as sessions;
use crate::user::store as users;

/// Second factors.
#[derive(Clone)]
pub struct Ops {
    /// The service's tables.
    pub db: Db,
    /// Sealing of columns.
    pub sealed: Sealed,
    /// The sessions that rise and fall with factors.
    pub sessions: Sessions,
    /// Whose code it is, as authenticator apps show it.
    pub issuer: String,
}

/// What an authenticator app is told.
pub struct Enrolled {
    /// The factor, PENDING.
    pub factor: Factor,
    /// `otpauth://…`.
    pub uri: Zeroizing<String>,
    /// The same as a QR code: a PNG.
    pub picture: Vec<u8>,
}

impl Ops {
    /// Enrols an authenticator app, PENDING, in place of one that waits.
    ///
    /// # Errors
    /// `STEP_UP_REQUIRED`, `TOO_MANY_FACTORS`, `SESSION_NOT_FOUND`.
    pub async fn enroll(&self, caller: &Caller, display_name: String) -> Result<Enrolled, Error> {
        let user_id = caller.user_id()?;
        let secret = Secret::generate()?;
        let (factor, email) = self
            .db
            .write_unrecorded(&personal(caller), async |tx: &mut Tx| {
                let account = users::hold_account(tx, &self.sealed, user_id).await?.ok_or(Error::SessionNotFound)?;
                self.may_add(tx, user_id).await?;
                let factor = Factor::enrolled(self.db.ids().next_id(), user_id, display_name.clone(), tx.now());
                store::put_pending(tx, &self.sealed, &factor, &secret).await?;
                Ok::<_, Error>((factor, account.email))
            })
            .await?;
        let uri = secret.uri(&self.issuer, &email);
        let picture = picture::qr_png(&uri)?;
        Ok(Enrolled { factor, uri, picture })
    }

    /// Puts the factor in force by its first code: the session rises, and recovery codes are given when there are none.
    ///
    /// # Errors
    /// `STEP_UP_REQUIRED`, `FACTOR_NOT_FOUND`, `FACTOR_CODE_REFUSED`, `TOO_MANY_FACTORS`, `SESSION_NOT_FOUND`.
    /// # Emits
    /// `FactorEnrolled`, `SessionSteppedUp`; same transaction.
    pub async fn confirm(&self, caller: &Caller, id: FactorId, code: &SecretString) -> Result<(Factor, Vec<String>, Authenticated), Error> {
        let user_id = caller.user_id()?;
        let fresh = recovery::generate()?;
        let (factor, codes, grant) = self
            .db
            .write_unrecorded(&personal(caller), async |tx: &mut Tx| {
                users::hold_account(tx, &self.sealed, user_id).await?.ok_or(Error::SessionNotFound)?;
                let is_first = self.may_add(tx, user_id).await?;
                let (pending, secret) = store::pending(tx, &self.sealed, id).await?.ok_or(Error::FactorNotFound)?;
                let step = secret.step_of(code.expose_secret(), tx.now()).ok_or(Error::FactorCodeRefused)?;
                let factor = pending.confirmed(step, tx.now());
                store::confirm(tx, &factor).await?;
                if is_first {
                    self.put_codes(tx, user_id, &fresh).await?;
                }
                tx.emit(events::factor_enrolled(&factor));
                let before = self.sessions.hold_own(tx).await?;
                let grant = self.sessions.rise(tx, &before, Methods::TOTP).await?;
                Ok::<_, Error>((factor, if is_first { fresh.clone() } else { Vec::new() }, grant))
            })
            .await?;
        Ok((factor, codes, self.sessions.authenticated(grant)?))
    }

    /// The caller's factors, oldest first, and how many recovery codes are unused.
    ///
    /// # Errors
    /// None of its own.
    pub async fn list(&self, caller: &Caller) -> Result<(Vec<Factor>, i64), Error> {
        let user_id = caller.user_id()?;
        self.db
            .read(caller, async |tx: &mut Tx| Ok((store::list(tx, &self.sealed, user_id).await?, store::codes_left(tx, user_id).await?)))
            .await
    }

    /// Takes a factor away. With the last one in force the recovery codes go, the sessions fall to aal 1, and every access token that was
    /// issued before is void: a token says its level for as long as it lives, so those that say 2 must not be taken any more. This session
    /// leaves an organization that asks for a second factor now, the others at their next refresh.
    ///
    /// # Errors
    /// `FACTOR_NOT_FOUND`, `SESSION_NOT_FOUND`.
    /// # Emits
    /// `FactorRemoved` for one that was in force, `SessionSwitched` when its organization was left; same transaction. With the last one every
    /// verifier of the suite hears of it.
    pub async fn delete(&self, caller: &Caller, id: FactorId) -> Result<Authenticated, Error> {
        let user_id = caller.user_id()?;
        let grant = self
            .db
            .write_unrecorded(&personal(caller), async |tx: &mut Tx| {
                users::hold_account(tx, &self.sealed, user_id).await?.ok_or(Error::SessionNotFound)?;
                let before = store::delete(tx, &self.sealed, user_id, id).await?.ok_or(Error::FactorNotFound)?;
                if before.state == FactorState::Confirmed {
                    let revocation = self.fall(tx, user_id).await?;
                    tx.emit(events::factor_removed(&before, revocation.as_ref()));
                }
                let session = self.sessions.hold_own(tx).await?;
                context::stay(tx, session).await
            })
            .await?;
        self.sessions.authenticated(grant)
    }

    /// Takes away all second factors of somebody who lost them. For system admins: `open` has refused everybody else, and the table's function
    /// looks once more.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`.
    /// # Emits
    /// `UserFactorsReset` when one was in force, same transaction; every verifier of the suite hears of it.
    pub async fn reset(&self, caller: &Caller, user_id: UserId) -> Result<(), Error> {
        self.db
            .write_unrecorded(&personal(caller), async |tx: &mut Tx| {
                users::find(tx, &self.sealed, user_id).await?.ok_or(Error::UserNotFound)?;
                let factors = store::reset(tx, user_id).await?;
                if factors > 0 {
                    let revocation = void_tokens(tx, user_id).await?;
                    tx.emit(events::user_factors_reset(user_id, factors, &revocation));
                }
                Ok(())
            })
            .await
    }

    /// Gives other recovery codes in place of the former.
    ///
    /// # Errors
    /// `FACTOR_NOT_FOUND` without a factor in force.
    /// # Emits
    /// `RecoveryCodesRegenerated`, same transaction.
    pub async fn regenerate(&self, caller: &Caller) -> Result<Vec<String>, Error> {
        let user_id = caller.user_id()?;
        let fresh = recovery::generate()?;
        self.db
            .write_unrecorded(&personal(caller), async |tx: &mut Tx| {
                users::hold_account(tx, &self.sealed, user_id).await?.ok_or(Error::FactorNotFound)?;
                if store::count(tx, user_id).await? == 0 {
                    return Err(Error::FactorNotFound);
                }
                self.put_codes(tx, user_id, &fresh).await?;
                tx.emit(events::recovery_codes_regenerated(user_id));
                Ok(())
            })
            .await?;
        Ok(fresh)
    }

    /// The moment that the transports tell of.
    pub(super) fn now(&self) -> OffsetDateTime {
        self.db.clock().now()
    }

    /// Whether one more factor may be had, by a session that is sure enough: with a factor in force it takes one to add another. Says whether
    /// it would be the first.
    async fn may_add(&self, tx: &mut Tx, user_id: UserId) -> Result<bool, Error> {
        let count = store::count(tx, user_id).await?;
        // The token too: one from before the session rose may be in other hands.
        if count > 0 && (tx.caller().aal() < Some(2) || self.sessions.hold_own(tx).await?.methods.aal() < 2) {
            let max_age = tx.caller().policy().step_up.map_or(Duration::ZERO, |step_up| step_up.max_age);
            return Err(rpc::Error::StepUpRequired { aal: 2, max_age }.into());
        }
        if count >= FACTORS_MAX { Err(Error::TooManyFactors) } else { Ok(count == 0) }
    }

    async fn put_codes(&self, tx: &mut Tx, user_id: UserId, codes: &[String]) -> Result<(), Error> {
        let digest = |code: &String| self.sealed.recovery_digest(user_id, &recovery::normalized(code)).to_vec();
        let digests: Vec<Vec<u8>> = codes.iter().map(digest).collect();
        store::replace_codes(tx, user_id, &digests).await
    }

    /// What follows when no factor is in force any more; `None` when one is.
    async fn fall(&self, tx: &mut Tx, user_id: UserId) -> Result<Option<Revocation>, Error> {
        if store::count(tx, user_id).await? > 0 {
            return Ok(None);
        }
        store::replace_codes(tx, user_id, &[]).await?;
        sessions::lower(tx, user_id).await?;
        Ok(Some(void_tokens(tx, user_id).await?))
    }
}

/// Voids the access tokens that the user has, whose sessions were lowered in this transaction and are held by it: whatever was given a token that
/// says more did so before this moment ([`Grant`](crate::session::grant::Grant)), though it may have begun after this transaction.
async fn void_tokens(tx: &mut Tx, user_id: UserId) -> Result<Revocation, Error> {
    let revocation = Revocation::of_user(user_id, tx.db().clock().now());
    revocations::insert(tx, std::slice::from_ref(&revocation)).await?;
    Ok(revocation)
}

/// Second factors are a person's own matter, in whatever organization the session acts: no organization's log tells of them.
fn personal(caller: &Caller) -> Caller {
    caller.with_organization(OrganizationId::SYSTEM)
}
