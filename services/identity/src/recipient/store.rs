//! SQL of recipients: one look-up before there is a principal.

use db::Db;
use rpc::Caller;
use runtime::UserId;
use time::OffsetDateTime;

use crate::error::Error;
use crate::sealed::{Column, Sealed};
use crate::user::UserState;

/// A row as the function gives it.
#[derive(sqlx::FromRow)]
struct Row {
    email: Vec<u8>,
    display_name: Vec<u8>,
    state: UserState,
    verification_generation: i64,
    reset_generation: i64,
    reset_void_time: Option<OffsetDateTime>,
}

/// An account as mail needs it.
pub(super) struct Found {
    pub(super) email: String,
    pub(super) display_name: String,
    pub(super) state: UserState,
    /// The verification token that is good.
    pub(super) verification_generation: i64,
    /// The password reset token that is good.
    pub(super) reset_generation: i64,
    /// What was asked for before is void.
    pub(super) reset_void_time: Option<OffsetDateTime>,
}

/// The account `id`, unless it is a registration whose address somebody else proved.
pub(super) async fn find(db: &Db, caller: &Caller, sealed: &Sealed, id: UserId) -> Result<Option<Found>, Error> {
    let sql = "SELECT email, display_name, state, verification_generation, reset_generation, reset_void_time FROM identity.recipient($1)";
    let found: Vec<Row> = db.look_up(caller, sql, |query| query.bind(id)).await?;
    let Some(row) = found.into_iter().next() else { return Ok(None) };
    Ok(Some(Found {
        email: sealed.open(Column::EMAIL, id.uuid(), &row.email)?,
        display_name: sealed.open(Column::DISPLAY_NAME, id.uuid(), &row.display_name)?,
        state: row.state,
        verification_generation: row.verification_generation,
        reset_generation: row.reset_generation,
        reset_void_time: row.reset_void_time,
    }))
}
