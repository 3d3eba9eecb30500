//! Use cases of sessions: sign-in, listing, ending. Refreshing is beside, in `refresh`, and where a session acts in `context`.

use db::{Db, Kind, Order, Page, Tx};
use rpc::Caller;
use runtime::{SecretString, SessionId, UserId};

use super::grant::Grant;
use super::{Given, Held, Identifier, Lifetimes, Opened, Session, SessionState, Tokens, store};
use crate::error::Error;
use crate::events;
use crate::hashing::Hashing;
use crate::key::ops::Ops as Keys;
use crate::revocation::{Revocation, store as revocations};
use crate::sealed::{Index, Sealed};
use crate::throttle::{Pass, Throttle};
use crate::token::access::AccessToken;
use crate::token::challenge::{ChallengeToken, ChallengeTokens};
use crate::token::refresh::{RefreshToken, RefreshTokens};
use crate::user::SystemRole;
use crate::user::credential::{Credential, store as credentials};
use crate::user::ops::RESERVE;

/// Newest first.
const ORDER: Order = Order::desc("create_time", Kind::Time, "session_id");

/// Sessions.
#[derive(Clone)]
pub struct Ops {
    /// The service's tables.
    pub db: Db,
    /// Sealing of columns.
    pub sealed: Sealed,
    /// Password hashing.
    pub hashing: Hashing,
    /// Attempts to sign in.
    pub throttle: Throttle,
    /// What signs access tokens.
    pub keys: Keys,
    /// Refresh tokens.
    pub refresh_tokens: RefreshTokens,
    /// Challenge tokens.
    pub challenge_tokens: ChallengeTokens,
    /// How long things last.
    pub lifetimes: Lifetimes,
    /// Open sessions of one user, at least 1.
    pub sessions_max: i64,
}

impl Ops {
    /// Opens a session by address or username, and password. One that is unknown or that nobody proved and a wrong password get the same
    /// answer after the same work: a hash from the same queue, and one commit. A hash that was made at another cost than the one set now is replaced.
    /// Who has a second factor gets a challenge in place of tokens.
    ///
    /// # Errors
    /// `SIGN_IN_REFUSED`, `HASHING_OVERLOADED`; `SIGN_IN_THROTTLED` before a hash is spent, as many attempts before it failed.
    /// # Emits
    /// `SessionCreated`, with `SessionRevoked` for the session that was refreshed longest ago when the user has as many as may be;
    /// `SessionChallenged` for a challenge; or `SignInFailed` in a transaction that commits though the call is refused, with `SignInThrottled` when the next one has
    /// to wait.
    pub async fn create(
        &self,
        caller: &Caller,
        identifier: &Identifier,
        password: SecretString,
        device_token: &str,
    ) -> Result<Opened, Error> {
        let index = match identifier {
            Identifier::Email(email) => Index::Email(self.sealed.email_index(email)),
            Identifier::Username(username) => Index::Username(self.sealed.username_index(username)),
        };
        let remaining = || caller.deadline().remaining().saturating_sub(RESERVE);
        // Whoever can't be hashed is not charged an attempt.
        let place = self.hashing.place(remaining())?;
        let sign_in = self.throttle.sign_in(caller, index.as_str(), device_token);
        let (known, admitted) = credentials::find(&self.db, caller, &self.sealed, &index, &sign_in, self.throttle.pace()).await?;
        let device = known.as_ref().and_then(|known| sign_in.device_of(known.user_id, known.reset_generation));
        let pass = self.throttle.signing_in(admitted, sign_in, device)?;
        let stored = known.as_ref().map(|known| known.password_hash.clone());
        let fits = match self.hashing.verify_at(place, password.clone(), stored, remaining()).await {
            Ok(fits) => fits,
            Err(refused) => {
                // Given back is what anybody's hash would have met. That a dear one does not fit says that there is an account: it is paid for.
                if known.as_ref().is_none_or(|known| !self.hashing.is_dearer(&known.password_hash)) {
                    self.throttle.give_back(caller, pass).await;
                }
                return Err(refused.into());
            }
        };
        match known {
            Some(known) if fits => {
                let rehashed = self.rehashed(caller, &known, password).await;
                let (session, given) = self.open(&caller.proven_as(known.user_id), &known, rehashed, &pass).await?;
                Ok(Opened { session, given, device_token: self.throttle.device_token(known.user_id, known.reset_generation, device) })
            }
            known => self.refuse(caller, &index, known.map(|known| known.user_id), pass).await,
        }
    }

    /// The password at the cost that is set now, if the stored hash was made at another. Without room in the queue the next sign-in does it.
    async fn rehashed(&self, caller: &Caller, known: &Credential, password: SecretString) -> Option<String> {
        if self.hashing.is_current(&known.password_hash) {
            return None;
        }
        self.hashing.hash(password, caller.deadline().remaining().saturating_sub(RESERVE)).await.ok()
    }

    async fn open(&self, caller: &Caller, known: &Credential, rehashed: Option<String>, pass: &Pass) -> Result<(Session, Given), Error> {
        let grant = self
            .db
            .write_unrecorded(caller, async |tx: &mut Tx| {
                if let Some(hash) = &rehashed {
                    credentials::rehash(tx, &self.sealed, known, hash).await?;
                }
                let mut session = Session::opened(self.db.ids().next_id(), known.user_id, &self.lifetimes, tx.now());
                session.client_address = caller.client_address().map(str::to_owned);
                session.user_agent = caller.user_agent().map(str::to_owned);
                let challenged = session.challenged();
                let (both, kept) = ([&session, &challenged], self.sessions_max);
                let inserted = store::insert(tx, &self.sealed, both, known.version, &pass.keys, kept).await?;
                let inserted = inserted.ok_or(Error::SignInRefused)?;
                if inserted.is_challenged {
                    tx.emit(events::session_challenged(&challenged));
                    return Ok(Grant::of(tx, challenged, Held::default()));
                }
                if inserted.is_crowded {
                    self.make_room(tx, known.user_id).await?;
                }
                let held = Held { system_admin: inserted.system_role == SystemRole::Admin, ..Held::default() };
                tx.emit(events::session_created(&session));
                Ok::<_, Error>(Grant::of(tx, session, held))
            })
            .await?;
        let session = &grant.session;
        if session.stored_state == SessionState::Challenged {
            let token = ChallengeToken { user_id: session.user_id, session_id: session.id, expire_time: session.expire_time };
            return Ok((grant.session, Given::Challenge(self.challenge_tokens.encode(token))));
        }
        let tokens = self.tokens(&grant)?;
        Ok((grant.session, Given::Tokens(tokens)))
    }

    /// Ends what the user, whose account is held, has beyond the bound.
    pub(super) async fn make_room(&self, tx: &mut Tx, user_id: UserId) -> Result<(), Error> {
        for before in store::beyond(tx, &self.sealed, user_id, self.sessions_max).await? {
            if let Some((after, revocation)) = self.end(tx, &before).await? {
                events::emit_session_revoked(tx, &before, &after, &revocation);
            }
        }
        Ok(())
    }

    async fn refuse(&self, caller: &Caller, index: &Index, user_id: Option<UserId>, pass: Pass) -> Result<Opened, Error> {
        self.db
            .write_unrecorded(caller, async |tx: &mut Tx| {
                tx.emit(events::sign_in_failed(index, user_id));
                self.throttle.failed(tx, pass, user_id).await
            })
            .await?;
        Err(Error::SignInRefused)
    }

    /// A page of the caller's open sessions, newest first.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID`.
    pub async fn list(&self, caller: &Caller, page_size: i32, page_token: &str) -> Result<Page<Session>, Error> {
        // The list is the caller's own wherever the token leads, so it is bound to the caller.
        let user_id = caller.user_id()?.to_string();
        let page = self.db.page(caller, page_size, page_token, ORDER, &[&user_id])?;
        self.db.read(caller, async |tx: &mut Tx| store::list_open(tx, &self.sealed, &page).await).await
    }

    /// Ends one of the caller's sessions: `id`, or the one of the call. Ending it again changes nothing.
    ///
    /// # Errors
    /// `SESSION_NOT_FOUND`.
    /// # Emits
    /// `SessionRevoked`, same transaction; every verifier of the suite hears of it.
    pub async fn revoke(&self, caller: &Caller, id: Option<SessionId>) -> Result<Session, Error> {
        let id = id.or(caller.session_id()).ok_or(Error::SessionNotFound)?;
        self.db
            .write_unrecorded(caller, async |tx: &mut Tx| {
                let before = store::lock(tx, &self.sealed, id).await?.ok_or(Error::SessionNotFound)?;
                let Some((after, revocation)) = self.end(tx, &before).await? else { return Ok(before) };
                events::emit_session_revoked(tx, &before, &after, &revocation);
                Ok(after)
            })
            .await
    }

    /// Revokes a session and its access tokens; `None` when it was done before. The event that tells of it is the caller's to emit.
    pub(super) async fn end(&self, tx: &mut Tx, before: &Session) -> Result<Option<(Session, Revocation)>, Error> {
        if !store::revoke(tx, before.id).await? {
            return Ok(None);
        }
        let revocation = Revocation::of_session(before.id, tx.now());
        revocations::insert(tx, std::slice::from_ref(&revocation)).await?;
        Ok(Some((Session { stored_state: SessionState::Revoked, ..before.clone() }, revocation)))
    }

    /// The pair of tokens that a session is used with now.
    pub(super) fn tokens(&self, grant: &Grant) -> Result<Tokens, Error> {
        let (session, (access_token, access_token_expire_time)) = (&grant.session, self.access_token(grant)?);
        let token = RefreshToken { user_id: session.user_id, session_id: session.id, generation: session.generation };
        let refresh_token = self.refresh_tokens.encode(token);
        Ok(Tokens { access_token, access_token_expire_time, refresh_token, refresh_token_expire_time: session.refresh_expire_time })
    }

    /// A token for the session where it acts, and until when it is good: not beyond the moment from which the session may not act there.
    pub(super) fn access_token(&self, grant: &Grant) -> Result<(String, time::OffsetDateTime), Error> {
        let Grant { session, held, issue_time } = grant;
        // Whole seconds, as the claim has it.
        let expire_time = (*issue_time + self.lifetimes.access_token).min(session.acting_until(held));
        let expire_time = expire_time.replace_nanosecond(0).unwrap_or(expire_time);
        let token = AccessToken {
            user_id: session.user_id,
            session_id: session.id,
            organization_id: session.organization_id,
            workspace_id: session.workspace_id,
            roles: held.roles(),
            methods: session.methods,
            auth_time: session.auth_time,
            token_id: self.db.ids().next(),
            issue_time: *issue_time,
            expire_time,
        };
        Ok((self.keys.sign(&token)?, expire_time))
    }
}
