//! Who someone is: accounts, sessions and their tokens, organizations and workspaces, and who is a member of which with which base role.
//!
//! Read [`build`] first. Each noun has the same rooms: `mod` (pure), `ops` (use cases), `store` (SQL), `grpc` (transport), `convert`.
//! Deliberately absent: what a role may do (authorization), mail (notifications asks here for the token and sends it), and the lifecycle of
//! accounts and organizations, which comes with its issue.

pub mod config;
mod decode;
pub mod email_change;
pub mod error;
mod events;
pub mod factor;
pub mod hashing;
pub mod invitation;
pub mod key;
pub mod member;
pub mod membership;
pub mod organization;
pub mod password;
pub mod recipient;
pub mod retention;
pub mod revocation;
pub mod sealed;
pub mod session;
pub mod settings;
mod startup;
pub mod throttle;
pub mod token;
pub mod user;
pub mod workspace;

use std::time::Duration;

use contract::identity::v1::account_service_server::AccountServiceServer;
use contract::identity::v1::factor_service_server::FactorServiceServer;
use contract::identity::v1::invitation_service_server::InvitationServiceServer;
use contract::identity::v1::key_service_server::KeyServiceServer;
use contract::identity::v1::membership_service_server::MembershipServiceServer;
use contract::identity::v1::organization_member_service_server::OrganizationMemberServiceServer;
use contract::identity::v1::organization_service_server::OrganizationServiceServer;
use contract::identity::v1::recipient_service_server::RecipientServiceServer;
use contract::identity::v1::revocation_service_server::RevocationServiceServer;
use contract::identity::v1::session_service_server::SessionServiceServer;
use contract::identity::v1::token_service_server::TokenServiceServer;
use contract::identity::v1::user_service_server::UserServiceServer;
use contract::identity::v1::workspace_member_service_server::WorkspaceMemberServiceServer;
use contract::identity::v1::workspace_service_server::WorkspaceServiceServer;
use host::{Deps, Service};
use time::Duration as Span;

pub use config::Config;
pub use error::Error;

use hashing::{Hashing, Pepper};
use retention::Retention;
use sealed::Sealed;
use session::Lifetimes;
use session::last_use::LastUse;
use throttle::Throttle;
use token::challenge::ChallengeTokens;
use token::link::LinkTokens;
use token::refresh::RefreshTokens;
use user::links::Links;

/// The service's name.
pub const NAME: &str = "identity";
/// Its schema.
pub const SCHEMA: &str = "identity";
/// Its own migrations; those of every schema run before.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Wires the service: loads or makes the signing keys and the first system admin, then gives the RPCs. Replicas may start at once: what one
/// of them holds is waited for.
///
/// # Errors
/// The database stays away, a stored key does not open, or the hashing threads can't be started.
pub async fn build(deps: &Deps, config: &Config) -> anyhow::Result<Service> {
    let db = deps.db.clone();
    let lifetimes = lifetimes(config);
    let sealed = Sealed::new(db.sealer().clone());
    let hashing = start_hashing(config, db.sealer()).await?;
    let longest = Span::seconds(config::ACCESS_TOKEN_SECONDS_MAX.into());
    // From before the key is read: what is told in between is not missed.
    let revoked = deps.verifier.signing_keys_revoked();
    let start_keys = async || key::ops::Ops::start(db.clone(), config.signing_algorithm, longest).await;
    let keys = startup::beside_others("signing keys", start_keys).await?;
    let links = Links::new(config, db.sealer());
    let throttle = Throttle::new(db.clone(), config.throttle.clone());
    let users = user::ops::Ops {
        db: db.clone(),
        sealed: sealed.clone(),
        hashing: hashing.clone(),
        links,
        throttle: throttle.clone(),
        history: config.password_history.into(),
    };
    startup::beside_others("first admin", async || users.ensure_first_admin(&config.first_admin).await).await?;

    let refresh_tokens = RefreshTokens::new(db.sealer().clone());
    let sessions = session::ops::Ops {
        db: db.clone(),
        sealed: sealed.clone(),
        hashing: hashing.clone(),
        throttle: throttle.clone(),
        keys: keys.clone(),
        refresh_tokens,
        challenge_tokens: ChallengeTokens::new(db.sealer()),
        lifetimes,
        sessions_max: config.sessions_per_user.into(),
    };
    let factors =
        factor::ops::Ops { db: db.clone(), sealed: sealed.clone(), sessions: sessions.clone(), issuer: config.totp_issuer.clone() };
    let propagation_wait = Duration::from_millis(config.propagation_wait_ms.into());
    let organizations = organization::ops::Ops { db: db.clone(), propagation_wait };
    let settings = settings::ops::Ops { db: db.clone() };
    let workspaces = workspace::ops::Ops { db: db.clone(), propagation_wait };
    let members = member::ops::Ops { db: db.clone(), sealed: sealed.clone(), propagation_wait };
    let invitations = invitation::ops::Ops {
        db: db.clone(),
        sealed,
        hashing,
        tokens: LinkTokens::invitation(db.sealer()),
        ttl: Span::days(config.invitation_days.into()),
        cooldown: Span::seconds(config.mail_cooldown_seconds.into()),
        pending_max: config.invitations_per_organization.into(),
        members: members.clone(),
        throttle,
    };
    let revocations = revocation::ops::Ops { db: db.clone(), log: deps.log.clone() };

    let openid_configuration = key::openid_configuration(&config.public_url);
    let tokens = token::ops::Ops { verifier: deps.verifier.clone(), sessions: sessions.clone() };

    let lists = membership::Lists::new(db.clone());
    let poll = Duration::from_secs(config.key_poll_seconds.into());
    let rotated_after = Span::days(config.signing_key_rotation_days.into());
    deps.tasks.spawn("signing key", keys.clone().keep(poll, rotated_after, revoked, deps.tasks.shutdown().clone()));
    let (last_use, written_every) =
        (LastUse { db: db.clone(), verifier: deps.verifier.clone() }, Duration::from_secs(config.last_use_seconds.into()));
    deps.tasks.spawn("last use", last_use.run(written_every, deps.tasks.shutdown().clone()));
    let retention =
        Retention { db, pending_kept: Span::days(config.pending_account_days.into()), password_history: config.password_history.into() };
    deps.tasks.spawn("retention", retention.run(deps.tasks.shutdown().clone()));

    Ok(Service::new(NAME)
        .add(AccountServiceServer::new(user::account_grpc::Grpc { ops: users.clone() }))
        .add(UserServiceServer::new(user::grpc::Grpc { ops: users.clone() }))
        .add(RecipientServiceServer::new(recipient::grpc::Grpc { ops: recipient::ops::Ops { users, invitations: invitations.clone() } }))
        .add(InvitationServiceServer::new(invitation::grpc::Grpc { ops: invitations }))
        .add(SessionServiceServer::new(session::grpc::Grpc { ops: sessions }))
        .add(FactorServiceServer::new(factor::grpc::Grpc { ops: factors }))
        .add(TokenServiceServer::new(token::grpc::Grpc { ops: tokens }))
        .add(KeyServiceServer::new(key::grpc::Grpc { ops: keys, openid_configuration }))
        .add(RevocationServiceServer::new(revocation::grpc::Grpc { ops: revocations }))
        .add(MembershipServiceServer::new(membership::grpc::Grpc { lists }))
        .add(OrganizationServiceServer::new(organization::grpc::Grpc { ops: organizations, settings }))
        .add(WorkspaceServiceServer::new(workspace::grpc::Grpc { ops: workspaces }))
        .add(OrganizationMemberServiceServer::new(member::organization_grpc::Grpc { ops: members.clone() }))
        .add(WorkspaceMemberServiceServer::new(member::workspace_grpc::Grpc { ops: members })))
}

fn lifetimes(config: &Config) -> Lifetimes {
    Lifetimes {
        access_token: Span::seconds(config.access_token_seconds.into()),
        refresh_token: Span::seconds(config.refresh_token_seconds.into()),
        session: Span::seconds(config.session_seconds.into()),
        refresh_grace: Span::seconds(config.refresh_grace_seconds.into()),
    }
}

/// The first hash measures how long one takes, so it runs where it holds nobody up.
async fn start_hashing(config: &Config, sealer: &db::Sealer) -> anyhow::Result<Hashing> {
    let pepper = Pepper::new(config.hashing.pepper_id, sealer);
    let (cost, threads, ahead_max) = (config.hashing.cost(), config.hashing.thread_count(), config.hashing.queue_max as usize);
    Ok(tokio::task::spawn_blocking(move || Hashing::start(cost, threads, ahead_max, pepper)).await??)
}
