//! The links that accounts are mailed: asking for one without saying whose account it is, and the tokens they hold.
//!
//! Whoever asks learns nothing: for an address that is somebody's, for one that is nobody's and for one that was asked for a moment ago the
//! answer is the same, after one look-up and one commit. The mail itself is sent by whoever hears of the event.

use db::{Sealer, Tx};
use rpc::Caller;
use runtime::UserId;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::ops::Ops;
use super::store;
use crate::config::Config;
use crate::error::Error;
use crate::events;
use crate::token::link::{LinkToken, LinkTokens};

/// The longest time that may be set between two mails of one kind to one address, in seconds: what was asked for is remembered so long.
pub const COOLDOWN_SECONDS_MAX: u32 = 3_600;

/// Mails of one kind that go to one address in a row, however many ask for them; then one in each cool-down. Enough that a handful of strangers
/// holds up nobody, and no more than a person can delete.
pub(crate) const MAILBOX_MAX: i32 = 10;

/// What is mailed in the name of an address. As in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[repr(i16)]
pub enum Asked {
    /// Another mail to prove the address.
    VerifyEmail = 1,
    /// Another password.
    ResetPassword = 2,
    /// To join an organization: of it and the address, by its admins.
    Invitation = 3,
    /// That it becomes the address of an account.
    ChangeEmail = 4,
}

/// Tokens of accounts' links, and how long things last.
#[derive(Clone)]
pub struct Links {
    /// Of links that prove an address.
    pub verification: LinkTokens,
    /// How long such a link is good.
    pub verification_ttl: Duration,
    /// Of links that let a person choose another password.
    pub password_reset: LinkTokens,
    /// How long such a link is good.
    pub password_reset_ttl: Duration,
    /// Of links that make another address a person's; good for as long as those that prove one.
    pub email_change: LinkTokens,
    /// The least time between two mails of one kind to one address that one network or user asks for.
    pub cooldown: Duration,
}

impl Links {
    /// As the settings say, under keys of `sealer`.
    pub fn new(config: &Config, sealer: &Sealer) -> Self {
        Links {
            verification: LinkTokens::verification(sealer),
            verification_ttl: Duration::seconds(config.verification_token_seconds.into()),
            password_reset: LinkTokens::password_reset(sealer),
            password_reset_ttl: Duration::seconds(config.password_reset_seconds.into()),
            email_change: LinkTokens::email_change(sealer),
            cooldown: Duration::seconds(config.mail_cooldown_seconds.into()),
        }
    }
}

impl Ops {
    /// Asks for another mail that proves an address, for its registration `id`: who asks has it from their own. The newest one of the address may
    /// be a stranger's, whose password the owner does not know. One mail in the cool-down.
    ///
    /// # Errors
    /// `ATTEMPTS_THROTTLED`, by where the caller is alone: the answer tells nothing.
    /// # Emits
    /// `VerificationRequested`, or `MailRequestMissed` for an address without such a registration; nothing in the cool-down.
    pub async fn resend_verification(&self, caller: &Caller, email: &str, id: UserId) -> Result<(), Error> {
        let _charged = self.throttle.admit(caller, self.throttle.mail(caller)).await?;
        let index = self.sealed.email_index(email);
        let waits = store::is_pending(&self.db, caller, &index, id).await?;
        self.ask(caller, &index, Asked::VerifyEmail, |tx| match waits {
            true => tx.emit(events::verification_requested(id)),
            false => tx.emit(events::mail_request_missed(&index)),
        })
        .await
    }

    /// Asks for a mail that lets a person choose another password. One mail in the cool-down; links that were sent before stay good, so that
    /// nobody can void the link that another person waits for.
    ///
    /// # Errors
    /// `ATTEMPTS_THROTTLED`, by where the caller is alone: the answer tells nothing.
    /// # Emits
    /// `PasswordResetRequested`, or `MailRequestMissed` for an address that nobody proved; nothing in the cool-down.
    pub async fn request_password_reset(&self, caller: &Caller, email: &str) -> Result<(), Error> {
        let _charged = self.throttle.admit(caller, self.throttle.mail(caller)).await?;
        let index = self.sealed.email_index(email);
        let known = store::active_user_before(&self.db, caller, &index).await?;
        let id = self.db.ids().next();
        self.ask(caller, &index, Asked::ResetPassword, |tx| match known {
            Some(user_id) => tx.emit(events::password_reset_requested(id, user_id)),
            None => tx.emit(events::mail_request_missed(&index)),
        })
        .await
    }

    async fn ask(&self, caller: &Caller, email_index: &str, what: Asked, tell: impl FnOnce(&mut Tx)) -> Result<(), Error> {
        self.db
            .write_unrecorded(caller, async |tx: &mut Tx| {
                if self.is_mailed(tx, caller, email_index, what).await? {
                    tell(tx);
                }
                Ok(())
            })
            .await
    }

    /// Whether a mail may go out that is asked for from the network of `caller`: one in the cool-down. What others ask for from elsewhere holds
    /// nobody up, before it is more than a mailbox is to take.
    pub(super) async fn is_mailed(&self, tx: &mut Tx, caller: &Caller, email_index: &str, what: Asked) -> Result<bool, Error> {
        let asker = self.sealed.asker_index(email_index, &self.throttle.network(caller));
        Ok(store::ask_for_mail(tx, email_index, what, &asker, self.links.cooldown).await?.mailbox)
    }

    /// The token that proves the address of a registration, by its `generation`, good from now on, and until when.
    pub(crate) fn verification_token(&self, id: UserId, generation: i64) -> (String, OffsetDateTime) {
        let expire_time = whole_seconds(self.db.clock().now() + self.links.verification_ttl);
        (self.links.verification.encode(LinkToken { subject_id: id.uuid(), generation, expire_time }), expire_time)
    }

    /// The token of the password reset `reset_id`, by the account's `generation`, and until when it is good: counted from when it was asked
    /// for, which the id tells. `None` when that is over, and for what was asked for before `void_time`: a mail that comes late must not bring
    /// a link that the last change of the password or the address made void.
    pub(crate) fn password_reset_token(
        &self,
        id: UserId,
        reset_id: Uuid,
        generation: i64,
        void_time: Option<OffsetDateTime>,
    ) -> Option<(String, OffsetDateTime)> {
        let (seconds, nanos) = reset_id.get_timestamp()?.to_unix();
        let asked = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
        let expire_time = asked + self.links.password_reset_ttl;
        let is_void = void_time.is_some_and(|void_time| asked + Duration::nanoseconds(nanos.into()) < void_time);
        let is_good = !is_void && self.db.clock().now() < expire_time;
        is_good.then(|| (self.links.password_reset.encode(LinkToken { subject_id: id.uuid(), generation, expire_time }), expire_time))
    }
}

/// As a token has it.
pub(crate) fn whole_seconds(time: OffsetDateTime) -> OffsetDateTime {
    time.replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
