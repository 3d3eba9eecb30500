use std::time::Duration;

use contract::identity::v1::{SystemRole, UserRegistered, UserSystemRoleChanged};
use host::Deps;
use identity::config::FirstAdminConfig;
use identity::{Config, Error};
use testkit::{App, assert_fault};

use crate::verbs::{Acts, Door, PASSWORD, ROOT, address, build_with, identity_with, quick, with_root};

/// The keys by state, and the accounts.
async fn made(app: &App) -> (Vec<i16>, i64) {
    let mut sql = app.sql().await;
    let keys = sqlx::query_scalar("SELECT state FROM identity.signing_key ORDER BY state").fetch_all(&mut sql).await.unwrap();
    let accounts = sqlx::query_scalar("SELECT count(*) FROM identity.user_account").fetch_one(&mut sql).await.unwrap();
    (keys, accounts)
}

/// Takes the locks under which a replica makes keys and the first admin; they go with the connection.
async fn take_locks(deps: &Deps) -> anyhow::Result<sqlx::PgConnection> {
    let mut holder = deps.db.worker_connection().await?;
    for name in ["identity.signing_key", "identity.first_admin"] {
        sqlx::query("SELECT pg_advisory_lock(hashtextextended($1, 0))").bind(name).execute(&mut holder).await?;
    }
    Ok(holder)
}

#[tokio::test]
async fn three_replicas_that_start_at_once_make_one_pair_of_keys_and_one_admin() {
    let app = build_with(async |deps| {
        let config = with_root();
        let (first, second, third) =
            tokio::join!(identity::build(deps, &config), identity::build(deps, &config), identity::build(deps, &config));
        second?;
        third?;
        first
    })
    .await;
    assert_eq!(made(&app).await, (vec![1, 2], 1));
    assert_eq!(app.events::<UserRegistered>().await.len(), 1);
    app.root().await.get_user("").await.unwrap();
}

#[tokio::test]
async fn a_start_waits_for_the_replica_that_holds_the_locks() {
    let app = build_with(async |deps| {
        let holder = take_locks(deps).await?;
        let config = with_root();
        // Longer than a statement waits for a lock.
        let holding = async {
            tokio::time::sleep(Duration::from_millis(1_200)).await;
            drop(holder);
        };
        tokio::join!(identity::build(deps, &config), holding).0
    })
    .await;
    assert_eq!(made(&app).await, (vec![1, 2], 1));
    app.sign_in(ROOT).await.get_user("").await.unwrap();
}

#[tokio::test]
async fn a_restart_makes_nothing_and_old_tokens_are_good() {
    let mut app = identity_with(with_root()).await;
    let root = app.root().await;
    app.restart().await;
    root.get_user("").await.unwrap();
    assert_eq!(made(&app).await, (vec![1, 2], 1));
    assert!(app.events::<UserSystemRoleChanged>().await.is_empty());
}

#[tokio::test]
async fn an_admin_who_moves_to_another_address_stays_the_only_one_whoever_has_the_former() {
    let mut app = identity_with(with_root()).await;
    let root = app.root().await;
    let token = crate::change_email::mailed(&app, &root, &address("alice")).await;
    root.confirm_email_change(&token).await.unwrap();
    app.restart().await;
    assert_eq!(made(&app).await.1, 1, "nobody else is made");
    app.verified("root").await;
    app.restart().await;
    assert!(app.events::<UserSystemRoleChanged>().await.is_empty(), "and nobody is promoted");
    let admins = "SELECT count(*) FROM identity.user_account WHERE system_role = 2";
    assert_eq!(sqlx::query_scalar::<_, i64>(admins).fetch_one(&mut app.sql().await).await.unwrap(), 1);
    assert_eq!(app.sign_in(&address("alice")).await.user_id, root.user_id);
}

/// The settings of a service that wants `name` as its first admin.
fn wanting(name: &str) -> Config {
    let first_admin = FirstAdminConfig { email: address(name), password: "used by nobody here".into(), ..FirstAdminConfig::default() };
    Config { first_admin, ..quick() }
}

/// What the start does about the first admin, with the service's own settings otherwise.
async fn start_wanting(app: &App, name: &str) -> Result<(), Error> {
    let db = app.deps().db.clone();
    let sealed = identity::sealed::Sealed::new(db.sealer().clone());
    let config = wanting(name);
    let hashing = identity::hashing::Hashing::start(config.hashing.cost(), 1, 8, identity::hashing::Pepper::none()).unwrap();
    let links = identity::user::links::Links::new(&config, db.sealer());
    let throttle = identity::throttle::Throttle::new(db.clone(), quick().throttle);
    let users = identity::user::ops::Ops { db, sealed, hashing, links, throttle, history: 0 };
    users.ensure_first_admin(&config.first_admin).await
}

#[tokio::test]
async fn who_registered_the_first_admins_address_gets_nothing_of_it() {
    let app = identity_with(quick()).await;
    let eve = app.pending("root").await;
    let token = app.issue_verification_token(&eve.to_string()).await.unwrap();
    start_wanting(&app, "root").await.unwrap();
    assert_eq!(made(&app).await.1, 2, "the admin is somebody else");
    assert_fault!(app.verify_email(&token, PASSWORD).await, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
    assert_fault!(app.create_session(&address("root"), PASSWORD).await, Unauthenticated, "SIGN_IN_REFUSED");
    let root = app.create_session(&address("root"), "used by nobody here").await.unwrap();
    assert_ne!(root.session.unwrap().user_id, eve.to_string());
}

#[tokio::test]
async fn an_account_that_proved_its_address_becomes_the_first_admin() {
    let app = identity_with(quick()).await;
    let ana = app.person("ana").await;
    for _ in 0..2 {
        start_wanting(&app, "ana").await.unwrap();
    }
    assert_eq!(app.events::<UserSystemRoleChanged>().await.len(), 1);
    assert_eq!(ana.get_user("").await.unwrap().system_role(), SystemRole::Admin);
    app.create_session(&address("ana"), PASSWORD).await.unwrap();
}
