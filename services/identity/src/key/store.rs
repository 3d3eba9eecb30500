//! SQL of signing keys. The private half is sealed, bound to its key id, and leaves this file only as a key pair.

use db::{Sealer, Tx};
use time::Duration;

use super::pair::BadKey;
use super::{Algorithm, KeyPair, KeyState, SigningKey};
use crate::error::Error;

/// Binds a sealed private key to its use; the row's id is bound beside it.
const LABEL: &str = "identity.signing_key.private_key";

/// One replica at a time makes or rotates keys, to the end of the transaction.
pub(super) async fn lock(tx: &mut Tx) -> Result<(), Error> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('identity.signing_key', 0))").execute(tx.conn()).await?;
    Ok(())
}

pub(super) async fn insert(tx: &mut Tx, sealer: &Sealer, pair: &KeyPair, state: KeyState) -> Result<SigningKey, Error> {
    let key = SigningKey {
        key_id: pair.key_id(),
        algorithm: pair.algorithm().name().to_owned(),
        state,
        public_key: pair.public_key(),
        create_time: tx.now(),
        activate_time: (state == KeyState::Active).then(|| tx.now()),
        retire_time: None,
        revoke_time: None,
    };
    let private_key = sealer.seal(LABEL, key.key_id.as_bytes(), &pair.to_pkcs8()?);
    sqlx::query!(
        "INSERT INTO identity.signing_key (key_id, algorithm, state, private_key, public_key, create_time, activate_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        key.key_id,
        key.algorithm,
        key.state as _,
        private_key,
        key.public_key,
        key.create_time,
        key.activate_time,
    )
    .execute(tx.conn())
    .await?;
    Ok(key)
}

/// The key that signs and the one that is next: ACTIVE and PUBLISHED.
pub(super) async fn current(tx: &mut Tx) -> Result<(Option<SigningKey>, Option<SigningKey>), Error> {
    let keys = sqlx::query_as!(
        SigningKey,
        r#"SELECT key_id, algorithm, state AS "state: KeyState", public_key, create_time, activate_time, retire_time, revoke_time
           FROM identity.signing_key WHERE state IN (1, 2)"#,
    );
    let (active, published): (Vec<_>, Vec<_>) = keys.fetch_all(tx.conn()).await?.into_iter().partition(|key| key.state == KeyState::Active);
    Ok((active.into_iter().next(), published.into_iter().next()))
}

/// The pair that signs.
pub(super) async fn active_pair(tx: &mut Tx, sealer: &Sealer) -> Result<Option<KeyPair>, Error> {
    let row = sqlx::query!("SELECT key_id, algorithm, private_key FROM identity.signing_key WHERE state = 2");
    let Some(row) = row.fetch_optional(tx.conn()).await? else { return Ok(None) };
    let (algorithm, sealed) = (Algorithm::named(&row.algorithm).ok_or(BadKey)?, row.private_key.ok_or(BadKey)?);
    let pkcs8 = sealer.open(LABEL, row.key_id.as_bytes(), &sealed).map_err(db::Error::from)?;
    Ok(Some(KeyPair::from_pkcs8(algorithm, &pkcs8)?))
}

/// Makes the ACTIVE key RETIRED and forgets its private half.
pub(super) async fn retire_active(tx: &mut Tx) -> Result<Vec<SigningKey>, Error> {
    let now = tx.now();
    let retired = sqlx::query_as!(
        SigningKey,
        r#"UPDATE identity.signing_key SET state = 3, private_key = NULL, retire_time = $1 WHERE state = 2
           RETURNING key_id, algorithm, state AS "state: KeyState", public_key, create_time, activate_time, retire_time, revoke_time"#,
        now,
    );
    Ok(retired.fetch_all(tx.conn()).await?)
}

/// Makes the ACTIVE key and those that RETIRED within `verifies` REVOKED, and forgets the private half.
pub(super) async fn revoke_signed(tx: &mut Tx, verifies: Duration) -> Result<Vec<SigningKey>, Error> {
    let now = tx.now();
    let revoked = sqlx::query_as!(
        SigningKey,
        r#"UPDATE identity.signing_key SET state = 4, private_key = NULL, retire_time = coalesce(retire_time, $1), revoke_time = $1
           WHERE state = 2 OR (state = 3 AND retire_time > $2)
           RETURNING key_id, algorithm, state AS "state: KeyState", public_key, create_time, activate_time, retire_time, revoke_time"#,
        now,
        now - verifies,
    );
    Ok(revoked.fetch_all(tx.conn()).await?)
}

/// Takes the PUBLISHED key back, which signed nothing.
pub(super) async fn revoke_published(tx: &mut Tx) -> Result<(), Error> {
    let now = tx.now();
    let revoked = sqlx::query!("UPDATE identity.signing_key SET state = 4, private_key = NULL, revoke_time = $1 WHERE state = 1", now);
    revoked.execute(tx.conn()).await?;
    Ok(())
}

/// Makes the PUBLISHED key ACTIVE.
pub(super) async fn activate_published(tx: &mut Tx) -> Result<Option<SigningKey>, Error> {
    let now = tx.now();
    let active = sqlx::query_as!(
        SigningKey,
        r#"UPDATE identity.signing_key SET state = 2, activate_time = $1 WHERE state = 1
           RETURNING key_id, algorithm, state AS "state: KeyState", public_key, create_time, activate_time, retire_time, revoke_time"#,
        now,
    );
    Ok(active.fetch_optional(tx.conn()).await?)
}

/// The keys that signed and were REVOKED within `matters`.
pub(crate) async fn list_revoked(tx: &mut Tx, matters: Duration) -> Result<Vec<SigningKey>, Error> {
    let since = tx.now() - matters;
    let keys = sqlx::query_as!(
        SigningKey,
        r#"SELECT key_id, algorithm, state AS "state: KeyState", public_key, create_time, activate_time, retire_time, revoke_time
           FROM identity.signing_key WHERE state = 4 AND activate_time IS NOT NULL AND revoke_time > $1"#,
        since,
    );
    Ok(keys.fetch_all(tx.conn()).await?)
}

/// All keys, newest first. A rotation a day would make some hundred a year.
pub(super) async fn list(tx: &mut Tx) -> Result<Vec<SigningKey>, Error> {
    let keys = sqlx::query_as!(
        SigningKey,
        r#"SELECT key_id, algorithm, state AS "state: KeyState", public_key, create_time, activate_time, retire_time, revoke_time
           FROM identity.signing_key ORDER BY create_time DESC, key_id LIMIT 1000"#,
    );
    Ok(keys.fetch_all(tx.conn()).await?)
}
