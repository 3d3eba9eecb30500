//! What one can do with one's choices.

use db::Db;
use rpc::Caller;

use super::{Choice, Preferences, store};
use crate::{error::Error, events};

/// The use cases of preferences. Whose they are, the token says.
#[derive(Clone)]
pub(crate) struct Ops {
    db: Db,
}

impl Ops {
    /// Over `db`.
    pub(crate) fn new(db: Db) -> Self {
        Ops { db }
    }

    /// What holds for the caller.
    ///
    /// # Errors
    /// None of its own.
    pub(crate) async fn get(&self, caller: &Caller) -> Result<Preferences, Error> {
        let user_id = caller.user_id()?;
        let chosen = self.db.read(caller, async |tx| store::of(tx, &[user_id]).await).await?;
        Ok(Preferences::of(user_id, &chosen))
    }

    /// Makes `changes`, all of them or none.
    ///
    /// # Errors
    /// `CATEGORY_MANDATORY`.
    /// # Emits
    /// `PreferencesUpdated`, same transaction, if something changed.
    pub(crate) async fn update(&self, caller: &Caller, changes: &[Choice]) -> Result<Preferences, Error> {
        let user_id = caller.user_id()?;
        if changes.iter().any(|change| change.category.is_mandatory() && !change.enabled) {
            return Err(Error::CategoryMandatory);
        }
        let write = self.db.write_unrecorded(caller, async |tx| {
            store::lock(tx, user_id).await?;
            let before = Preferences::of(user_id, &store::of(tx, &[user_id]).await?);
            let after = before.with(changes);
            for entry in after.0.iter().filter(|entry| !before.0.contains(entry)) {
                store::upsert(tx, user_id, entry).await?;
            }
            if after != before {
                tx.emit(events::preferences_updated(user_id, &before, &after));
            }
            Ok(after)
        });
        write.await
    }
}
