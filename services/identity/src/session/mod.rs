//! Sessions: ACTIVE until they are REVOKED or past their time; CHALLENGED before, while a second factor is asked for. A terminal state never
//! opens again.
//!
//! Deliberately absent: what a second factor is (`factor`), and how often a sign-in may fail (`throttle`).

pub mod assurance;
pub mod challenge;
pub mod context;
pub mod convert;
pub mod end;
pub mod grant;
pub mod grpc;
pub mod last_use;
pub mod ops;
pub mod refresh;
pub mod step_up;
pub mod store;

use runtime::{OrganizationId, SessionId, UserId, WorkspaceId};
use time::{Duration, OffsetDateTime};

use self::assurance::Methods;
use crate::member::Role;
use crate::token::refresh::Standing;

/// How long a challenge waits for its answer.
pub const CHALLENGE: Duration = Duration::minutes(10);
/// Wrong codes that end a challenge, and refusals in a row that end a session which steps up.
pub const FAILURES_MAX: i16 = 5;

/// Where a session stands. As in the contract; no row says EXPIRED, the clock does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[repr(i16)]
pub enum SessionState {
    /// Open.
    Active = 1,
    /// Ended by its owner, by a replayed refresh token or by too many wrong codes.
    Revoked = 2,
    /// The password was right; waits for a second factor, without tokens.
    Challenged = 3,
    /// Past its time.
    Expired = 4,
}

/// A sign-in on one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The session.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// The organization it acts in; the nil UUID before a switch.
    pub organization_id: OrganizationId,
    /// The workspace it is narrowed to.
    pub workspace_id: Option<WorkspaceId>,
    /// Where it stands by what was done to it; [`Session::state`] looks at the clock too.
    pub stored_state: SessionState,
    /// What it was authenticated by.
    pub methods: Methods,
    /// When it last was.
    pub auth_time: OffsetDateTime,
    /// Which refresh token is good now, from 1.
    pub generation: i64,
    /// The network address it was opened from, when known.
    pub client_address: Option<String>,
    /// The agent it was opened with, when known.
    pub user_agent: Option<String>,
    /// When it was opened.
    pub create_time: OffsetDateTime,
    /// When its refresh token was last traded.
    pub rotate_time: OffsetDateTime,
    /// When it was last used, as far as is known (`session::last_use`); not before `rotate_time`.
    pub last_use_time: OffsetDateTime,
    /// Until when its refresh token is good.
    pub refresh_expire_time: OffsetDateTime,
    /// When it ends at the latest.
    pub expire_time: OffsetDateTime,
}

/// What somebody signs in by, as given.
#[derive(Clone, PartialEq, Eq)]
pub enum Identifier {
    /// The address.
    Email(String),
    /// The username.
    Username(String),
}

/// How long things last.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// An access token.
    pub access_token: Duration,
    /// A refresh token that is not used.
    pub refresh_token: Duration,
    /// A session at most.
    pub session: Duration,
    /// The time in which a used refresh token gets the same successor again.
    pub refresh_grace: Duration,
}

/// Where a session acts: an organization, narrowed to a workspace or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The organization; the nil UUID for none.
    pub organization_id: OrganizationId,
    /// The workspace it is narrowed to.
    pub workspace_id: Option<WorkspaceId>,
}

/// What a user holds where a session acts, and what is asked of them there, as the tables have it now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Whether the user is a system admin.
    pub system_admin: bool,
    /// The role in the organization.
    pub organization_role: Option<Role>,
    /// The role in the workspace itself.
    pub workspace_role: Option<Role>,
    /// From when on the organization asks for a second factor.
    pub mfa_required_time: Option<OffsetDateTime>,
}

/// What a session is used with.
pub struct Tokens {
    /// A JWT.
    pub access_token: String,
    /// Good until then.
    pub access_token_expire_time: OffsetDateTime,
    /// For the next refresh, once.
    pub refresh_token: String,
    /// Good until then.
    pub refresh_token_expire_time: OffsetDateTime,
}

/// What a sign-in is answered with beside the session.
pub enum Given {
    /// It is open, and used with these.
    Tokens(Tokens),
    /// It waits for a second factor, with this challenge token, as long as it lasts.
    Challenge(String),
}

/// What a sign-in opened.
pub struct Opened {
    /// The session.
    pub session: Session,
    /// What it is used with, or waits for.
    pub given: Given,
    /// What tells the device from strangers at its next sign-in.
    pub device_token: String,
}

impl Session {
    /// A session that is opened at `now` by password.
    pub fn opened(id: SessionId, user_id: UserId, lifetimes: &Lifetimes, now: OffsetDateTime) -> Self {
        let expire_time = now + lifetimes.session;
        Session {
            id,
            user_id,
            organization_id: OrganizationId::SYSTEM,
            workspace_id: None,
            stored_state: SessionState::Active,
            methods: Methods::PASSWORD,
            auth_time: now,
            generation: 1,
            client_address: None,
            user_agent: None,
            create_time: now,
            rotate_time: now,
            last_use_time: now,
            refresh_expire_time: (now + lifetimes.refresh_token).min(expire_time),
            expire_time,
        }
    }

    /// Where it stands at `now`. A session whose refresh token has lapsed can't be taken up again: it is over.
    pub fn state(&self, now: OffsetDateTime) -> SessionState {
        if self.stored_state != SessionState::Revoked && (now >= self.refresh_expire_time || now >= self.expire_time) {
            SessionState::Expired
        } else {
            self.stored_state
        }
    }

    /// The same, waiting for a second factor in place of being open.
    #[must_use]
    pub fn challenged(&self) -> Self {
        let expire_time = self.create_time + CHALLENGE;
        Session { stored_state: SessionState::Challenged, refresh_expire_time: expire_time, expire_time, ..self.clone() }
    }

    /// The same, open from `now` on by a second factor.
    #[must_use]
    pub fn answered(&self, second: Methods, lifetimes: &Lifetimes, now: OffsetDateTime) -> Self {
        let open = Session::opened(self.id, self.user_id, lifetimes, now);
        let (client_address, user_agent) = (self.client_address.clone(), self.user_agent.clone());
        Session { methods: self.methods.and(second), client_address, user_agent, create_time: self.create_time, ..open }
    }

    /// What the rotation of refresh tokens needs to know of it.
    pub fn standing(&self, now: OffsetDateTime) -> Standing {
        Standing { generation: self.generation, rotate_time: self.rotate_time, is_open: self.state(now) == SessionState::Active }
    }

    /// Where it acts.
    pub fn context(&self) -> Context {
        Context { organization_id: self.organization_id, workspace_id: self.workspace_id }
    }

    /// Whether it may act where it does at `now`, by what its user holds and is asked for there.
    pub fn may_act(&self, held: &Held, now: OffsetDateTime) -> bool {
        self.organization_id.is_nil() || held.may_enter() && held.mfa_lacked_from(self.methods).is_none_or(|from| now < from)
    }

    /// Until when it may act where it does, as far as is known.
    pub fn acting_until(&self, held: &Held) -> OffsetDateTime {
        let asked = held.mfa_lacked_from(self.methods).filter(|_| !self.organization_id.is_nil());
        asked.map_or(self.expire_time, |from| from.min(self.expire_time))
    }

    /// The session in another context.
    pub fn in_context(&self, context: Context) -> Self {
        Session { organization_id: context.organization_id, workspace_id: context.workspace_id, ..self.clone() }
    }
}

impl Context {
    /// No organization.
    pub const NOWHERE: Context = Context { organization_id: OrganizationId::SYSTEM, workspace_id: None };
}

impl Held {
    /// Whether the user may act in an organization at all.
    pub fn may_enter(&self) -> bool {
        self.system_admin || self.organization_role.is_some()
    }

    /// From when on the organization asks for a second factor, if a session that was authenticated by `methods` lacks it.
    pub fn mfa_lacked_from(&self, methods: Methods) -> Option<OffsetDateTime> {
        self.mfa_required_time.filter(|_| methods.aal() < 2)
    }

    /// What is left of it when the session is led out. What the organization asks is told to who belongs to it alone.
    #[must_use]
    pub fn outside(&self) -> Self {
        let mfa_required_time = self.mfa_required_time.filter(|_| self.may_enter());
        Held { system_admin: self.system_admin, mfa_required_time, ..Held::default() }
    }

    /// For display in the access token.
    pub fn roles(&self) -> Vec<&'static str> {
        let system = self.system_admin.then_some("system.admin");
        let organization = self.organization_role.map(Role::in_organization);
        let workspace = self.workspace_role.map(Role::in_workspace);
        [system, organization, workspace].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const LIFETIMES: Lifetimes = Lifetimes {
        access_token: Duration::minutes(15),
        refresh_token: Duration::days(7),
        session: Duration::days(30),
        refresh_grace: Duration::seconds(30),
    };

    fn session() -> Session {
        Session::opened(Uuid::from_u128(1).into(), Uuid::from_u128(2).into(), &LIFETIMES, OffsetDateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_session_is_over_when_it_is_idle_too_long_or_too_old() {
        let start = OffsetDateTime::UNIX_EPOCH;
        assert_eq!(session().state(start + Duration::days(7) - Duration::SECOND), SessionState::Active);
        assert_eq!(session().state(start + Duration::days(7)), SessionState::Expired);
        let kept = Session { refresh_expire_time: start + Duration::days(37), ..session() };
        assert_eq!(kept.state(start + Duration::days(30)), SessionState::Expired);
    }

    #[test]
    fn revoked_is_told_before_expired_and_neither_refreshes() {
        let late = OffsetDateTime::UNIX_EPOCH + Duration::days(31);
        let revoked = Session { stored_state: SessionState::Revoked, ..session() };
        assert_eq!(revoked.state(late), SessionState::Revoked);
        assert!(!revoked.standing(OffsetDateTime::UNIX_EPOCH).is_open);
        assert!(!session().standing(late).is_open);
    }

    #[test]
    fn a_challenge_waits_ten_minutes_and_its_answer_opens_the_session_for_its_time() {
        let start = OffsetDateTime::UNIX_EPOCH;
        let challenged = session().challenged();
        let late = start + Duration::minutes(10);
        assert_eq!(challenged.state(late - Duration::SECOND), SessionState::Challenged);
        assert_eq!(challenged.state(late), SessionState::Expired);
        assert!(!challenged.standing(start).is_open, "nothing is refreshed");
        let open = challenged.answered(Methods::TOTP, &LIFETIMES, late - Duration::SECOND);
        assert_eq!((open.state(late), open.methods.aal(), open.auth_time), (SessionState::Active, 2, late - Duration::SECOND));
        assert_eq!((open.expire_time - open.auth_time, open.create_time), (LIFETIMES.session, start));
    }

    #[test]
    fn a_refresh_token_never_outlives_its_session() {
        let short = Lifetimes { session: Duration::days(1), ..LIFETIMES };
        let session = Session::opened(Uuid::from_u128(1).into(), Uuid::from_u128(2).into(), &short, OffsetDateTime::UNIX_EPOCH);
        assert_eq!(session.refresh_expire_time, session.expire_time);
    }

    #[test]
    fn a_session_acts_where_a_second_factor_is_asked_for_until_then_or_with_one() {
        let start = OffsetDateTime::UNIX_EPOCH;
        let there = Session { organization_id: Uuid::from_u128(3).into(), ..session() };
        let asked = Held { organization_role: Some(Role::Owner), mfa_required_time: Some(start + Duration::HOUR), ..Held::default() };
        assert!(there.may_act(&asked, start + Duration::HOUR - Duration::SECOND) && !there.may_act(&asked, start + Duration::HOUR));
        assert_eq!((there.acting_until(&asked), session().acting_until(&asked)), (start + Duration::HOUR, session().expire_time));
        let sure = Session { methods: Methods::PASSWORD.and(Methods::TOTP), ..there.clone() };
        assert!(sure.may_act(&asked, start + Duration::HOUR) && sure.acting_until(&asked) == sure.expire_time);
        assert!(!sure.may_act(&Held::default(), start), "and who is no member acts nowhere");
        assert!(session().may_act(&Held::default(), start), "but outside of every organization");
    }

    #[test]
    fn who_is_led_out_takes_no_role_along_and_who_was_no_member_is_not_told_what_is_asked() {
        let asked = Held { mfa_required_time: Some(OffsetDateTime::UNIX_EPOCH), ..Held::default() };
        let member = Held { organization_role: Some(Role::Owner), ..asked };
        assert_eq!((member.outside(), asked.outside()), (asked, Held::default()));
    }

    #[test]
    fn roles_are_named_for_display_from_the_widest_on() {
        let held =
            Held { system_admin: true, organization_role: Some(Role::Member), workspace_role: Some(Role::Owner), mfa_required_time: None };
        assert_eq!(held.roles(), ["system.admin", "organization.member", "workspace.owner"]);
        assert!(Held::default().roles().is_empty() && !Held::default().may_enter());
    }
}
