//! Taking in what identity tells of a role.

use db::Tx;
use events::Outcome;

use super::{Assignment, convert, store};

/// Brings the row of a user at a scope to what `news` says, unless it is there already or further.
///
/// # Errors
/// [`Outcome::Retry`] when two events about a row that is not there yet are taken in at once.
/// # Emits
/// `AssignmentChanged`, same transaction, when a role was held or is.
pub async fn take(tx: &mut Tx, news: Assignment) -> Result<(), Outcome> {
    let before = store::lock(tx, news.user_id, news.scope).await?;
    let Some(after) = before.map_or(Some(news), |before| before.after(news)) else { return Ok(()) };
    if before.is_some() {
        store::update(tx, &after).await?;
    } else if !store::insert(tx, &after).await? {
        return Err(Outcome::Retry("another event about this assignment is being taken in".to_owned()));
    }
    if before.is_some_and(|before| before.role.is_some()) || after.role.is_some() {
        tx.emit(convert::changed(before, after));
    }
    Ok(())
}
