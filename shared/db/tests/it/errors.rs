//! What each SQLSTATE becomes, by making the server say it.

use db::{Error as DbError, OnConstraint, Tx};
use rpc::{Code, Fault};
use sqlx::AssertSqlSafe;

use crate::pad::{Error, Pad, insert, organization, user_of};

async fn raised(pad: &Pad, state: &str) -> DbError {
    let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'made' USING ERRCODE = '{state}'; END $$");
    let run = async |tx: &mut Tx| Ok::<_, DbError>(sqlx::query(AssertSqlSafe(raise)).execute(tx.conn()).await?);
    pad.db.write_unrecorded(&user_of(organization()), run).await.unwrap_err()
}

#[tokio::test]
async fn a_state_says_whether_to_try_again() {
    let pad = Pad::new().await;
    let states = [
        (Code::Aborted, "CONFLICT", ["40001", "40P01", "55P03"].as_slice()),
        (Code::Unavailable, "DEPENDENCY_UNAVAILABLE", &["53300", "53100", "57P01", "57P02", "57P03", "57014", "08006"]),
        (Code::Internal, "INTERNAL", &["23505", "42P01", "22012", "XX000", "42501"]),
    ];
    for (code, reason, states) in states {
        for state in states {
            let error = raised(&pad, state).await;
            let (got, why) = error.status();
            assert_eq!((got, why.domain, why.wire), (code, "muster", reason), "{state}");
            assert_eq!(error.retry_after().is_some(), code != Code::Internal, "{state}");
        }
    }
}

#[tokio::test]
async fn waiting_for_a_lock_is_a_conflict() {
    let pad = Pad::new().await;
    let caller = user_of(organization());
    let conflict = pad
        .db
        .write_unrecorded(&caller, async |tx| {
            insert(tx, "same").await?;
            pad.db.write_unrecorded(&caller, async |tx| insert(tx, "same").await).await
        })
        .await;
    assert!(matches!(conflict, Err(Error::Db(DbError::Conflict(_)))), "{conflict:?}");
}

#[tokio::test]
async fn a_constraint_becomes_the_rule_it_stands_for() {
    let pad = Pad::new().await;
    let caller = user_of(organization());
    let twice = pad
        .db
        .write_unrecorded(&caller, async |tx| {
            insert(tx, "same").await?;
            insert(tx, "same").await
        })
        .await;
    assert!(matches!(twice, Err(Error::TitleTaken)), "{twice:?}");
}

#[tokio::test]
async fn of_several_constraints_the_broken_one_is_told_and_an_unknown_one_is_ours() {
    let pad = Pad::new().await;
    let change = async |size: i32, known: bool| {
        let run = async |tx: &mut Tx| {
            insert(tx, "a").await?;
            sqlx::query("UPDATE pad.note SET size = $1").bind(size).execute(tx.conn()).await.on_constraints(|name| match name {
                "note_size_check" if known => Some(Error::Wanted),
                _ => None,
            })
        };
        pad.db.write_unrecorded(&user_of(organization()), run).await.unwrap_err()
    };
    assert!(matches!(change(-1, true).await, Error::Wanted));
    let Error::Db(error) = change(-1, false).await else { panic!("not a rule") };
    assert_eq!((error.status().0, error.constraint()), (Code::Internal, Some("note_size_check")));
    assert_eq!(error.to_string(), "internal error", "what the database says is for the log alone");
}

#[test]
fn a_pool_or_network_fault_is_transient() {
    for error in [sqlx::Error::PoolTimedOut, sqlx::Error::PoolClosed, sqlx::Error::Io(std::io::Error::other("cut"))] {
        assert_eq!(DbError::from(error).status().0, Code::Unavailable);
    }
    assert_eq!(DbError::from(sqlx::Error::RowNotFound).status().0, Code::Internal);
}

#[test]
fn a_rejection_names_its_field() {
    let errors = [
        (DbError::PageTokenInvalid, "page_token", "PAGE_TOKEN_INVALID"),
        (DbError::FilterInvalid { position: 3, problem: "no such field" }, "filter", "FILTER_INVALID"),
        (DbError::OrderInvalid, "order_by", "ORDER_INVALID"),
        (DbError::RequestIdReused, "request_id", "REQUEST_ID_REUSED"),
    ];
    for (error, field, reason) in errors {
        let (code, why) = error.status();
        assert_eq!((code, why.wire, error.violations()[0].field.as_str()), (Code::InvalidArgument, reason, field));
    }
}
