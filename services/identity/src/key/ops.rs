//! Use cases of signing keys, and the key this process signs with.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use db::{Db, Tx};
use rpc::Caller;
use runtime::{OrganizationId, Shutdown};
use tokio::sync::watch;

use super::pair::BadKey;
use super::{Algorithm, KeyPair, KeyState, SigningKey, VERIFIES_ON, json_web_key_set, store};
use crate::error::Error;
use crate::events;
use crate::token::access::{AccessToken, Signer};

/// Signing keys of one replica. Cheap to clone.
#[derive(Clone)]
pub struct Ops(Arc<Inner>);

struct Inner {
    db: Db,
    token_ttl: time::Duration,
    signer: ArcSwap<Signer>,
}

impl Ops {
    /// Loads the key that signs, and sees to it that the next one is of `algorithm`. At the first start makes both; replicas that start at once
    /// make one pair together. `token_ttl` is the longest that a token may live.
    ///
    /// # Errors
    /// `DEPENDENCY_UNAVAILABLE`, or a stored key that does not open.
    pub async fn start(db: Db, algorithm: Algorithm, token_ttl: time::Duration) -> Result<Self, Error> {
        let pair = match load(&db).await? {
            Some(pair) => pair,
            None => create(&db, algorithm).await?,
        };
        publish(&db, algorithm).await?;
        Ok(Ops(Arc::new(Inner { db, token_ttl, signer: ArcSwap::from_pointee(Signer::new(pair)) })))
    }

    /// The signed access token.
    ///
    /// # Errors
    /// `INTERNAL` when the system has no randomness.
    pub fn sign(&self, token: &AccessToken) -> Result<String, Error> {
        Ok(self.0.signer.load().sign(token)?)
    }

    /// The JSON Web Key Set. Read from the table: a verifier that asks because it met a new key finds it here, whichever replica it asks.
    ///
    /// # Errors
    /// `DEPENDENCY_UNAVAILABLE`.
    pub async fn json_web_key_set(&self, caller: &Caller) -> Result<String, Error> {
        let keys = self.list(caller).await?;
        Ok(json_web_key_set(&keys, self.0.db.clock().now(), self.0.token_ttl))
    }

    /// All keys, newest first.
    ///
    /// # Errors
    /// `DEPENDENCY_UNAVAILABLE`.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<SigningKey>, Error> {
        self.0.db.read(caller, async |tx: &mut Tx| store::list(tx).await).await
    }

    /// Makes the PUBLISHED key ACTIVE, the ACTIVE one RETIRED, and publishes a new one of the same algorithm. Gives the key that signs now.
    /// In an `emergency` whatever signed before is REVOKED, and the next key signs though verifiers may not have it yet: told of the revocation
    /// they fetch the set, as do those that ask for a key they do not know.
    ///
    /// # Errors
    /// `SIGNING_KEY_TOO_YOUNG`, `REQUEST_ID_REUSED`, `CONFLICT`.
    /// # Emits
    /// `SigningKeyRotated`, same transaction; in an emergency with the revocations.
    pub async fn rotate(&self, caller: &Caller, emergency: bool) -> Result<SigningKey, Error> {
        let Inner { db, token_ttl, .. } = &*self.0;
        let former = if emergency { Former::Revoked { verifies: *token_ttl + VERIFIES_ON } } else { Former::Retired };
        let next = generate(next_algorithm(db).await?).await?;
        let active = db
            .write(caller, async |tx: &mut Tx| {
                store::lock(tx).await?;
                advance(tx, &next, former).await
            })
            .await?;
        self.follow().await?;
        Ok(active)
    }

    /// Takes up what another replica rotated, and rotates a key that is to give way, until shutdown; with a `rotated_after` of zero none does for
    /// its age. A key that is RETIRED verifies on for a minute beyond its last token, so signing with it until the next look does no harm; when one
    /// is REVOKED, `revoked` says so, and the look is at once.
    pub async fn keep(self, every: Duration, rotated_after: time::Duration, mut revoked: watch::Receiver<usize>, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                Ok(()) = revoked.changed() => {}
                () = shutdown.requested() => return,
            }
            if let Err(error) = self.look(rotated_after).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the signing key could not be looked up; the one at hand signs on"
                );
            }
        }
    }

    /// Signs with the ACTIVE key from now on; gives it and the one that is next.
    async fn follow(&self) -> Result<(Option<SigningKey>, Option<SigningKey>), Error> {
        let Inner { db, signer, .. } = &*self.0;
        let (active, next) = db.read(&own(), async |tx: &mut Tx| store::current(tx).await).await?;
        if active.as_ref().is_some_and(|key| key.key_id != signer.load().key_id())
            && let Some(pair) = load(db).await?
        {
            signer.store(Arc::new(Signer::new(pair)));
        }
        Ok((active, next))
    }

    async fn look(&self, rotated_after: time::Duration) -> Result<(), Error> {
        let db = &self.0.db;
        let (Some(active), Some(next)) = self.follow().await? else { return Ok(()) };
        if !active.gives_way_to(&next, db.clock().now(), rotated_after) {
            return Ok(());
        }
        let after_next = generate(next_algorithm(db).await?).await?;
        let rotated = db
            .write_unrecorded(&own(), async |tx: &mut Tx| {
                store::lock(tx).await?;
                // Another replica may have been faster.
                let (Some(active), Some(next)) = store::current(tx).await? else { return Ok(None) };
                if !active.gives_way_to(&next, tx.now(), rotated_after) {
                    return Ok(None);
                }
                advance(tx, &after_next, Former::Retired).await.map(Some)
            })
            .await?;
        if let Some(key) = rotated {
            tracing::info!(key_id = key.key_id, algorithm = key.algorithm, "the signing key was rotated as it is set to be");
            self.follow().await?;
        }
        Ok(())
    }
}

/// What becomes of the keys that signed.
#[derive(Clone, Copy)]
enum Former {
    /// The ACTIVE one is RETIRED.
    Retired,
    /// It is REVOKED, and with it those that RETIRED within `verifies`.
    Revoked { verifies: time::Duration },
}

/// Makes the PUBLISHED key ACTIVE, and publishes `next`. The lock of rotations is held.
async fn advance(tx: &mut Tx, next: &KeyPair, former: Former) -> Result<SigningKey, Error> {
    let former_keys = match former {
        Former::Retired => store::retire_active(tx).await?,
        Former::Revoked { verifies } => store::revoke_signed(tx, verifies).await?,
    };
    let active = store::activate_published(tx).await?.ok_or(BadKey)?;
    if let (Former::Retired, Some(left)) = (former, active.unknown_for(tx.now())) {
        return Err(Error::SigningKeyTooYoung { retry_after: left.unsigned_abs() });
    }
    if active.algorithm != next.algorithm().name() {
        // A replica that starts set the other algorithm since `next` was made.
        return Err(db::Error::Conflict(None).into());
    }
    let sealer = tx.db().sealer().clone();
    store::insert(tx, &sealer, next, KeyState::Published).await?;
    tx.emit(events::signing_key_rotated(&former_keys, &active));
    Ok(active)
}

/// The service itself.
fn own() -> Caller {
    Caller::background(crate::NAME, OrganizationId::SYSTEM, None)
}

async fn load(db: &Db) -> Result<Option<KeyPair>, Error> {
    db.read(&own(), async |tx: &mut Tx| store::active_pair(tx, db.sealer()).await).await
}

/// Of which algorithm keys are made: that of the PUBLISHED one.
async fn next_algorithm(db: &Db) -> Result<Algorithm, Error> {
    let (_, next) = db.read(&own(), async |tx: &mut Tx| store::current(tx).await).await?;
    Ok(next.and_then(|next| Algorithm::named(&next.algorithm)).ok_or(BadKey)?)
}

/// The first two keys, unless another replica was faster.
async fn create(db: &Db, algorithm: Algorithm) -> Result<KeyPair, Error> {
    let (first, second) = (generate(algorithm).await?, generate(algorithm).await?);
    let made = db
        .write_unrecorded(&own(), async |tx: &mut Tx| {
            store::lock(tx).await?;
            if let Some(pair) = store::active_pair(tx, db.sealer()).await? {
                return Ok::<_, Error>(Some(pair));
            }
            store::insert(tx, db.sealer(), &first, KeyState::Active).await?;
            store::insert(tx, db.sealer(), &second, KeyState::Published).await?;
            Ok(None)
        })
        .await?;
    Ok(made.unwrap_or(first))
}

/// Publishes a key of `algorithm` in place of one of another.
async fn publish(db: &Db, algorithm: Algorithm) -> Result<(), Error> {
    if next_algorithm(db).await? == algorithm {
        return Ok(());
    }
    let next = generate(algorithm).await?;
    db.write_unrecorded(&own(), async |tx: &mut Tx| {
        store::lock(tx).await?;
        let (_, published) = store::current(tx).await?;
        if published.is_some_and(|published| published.algorithm == algorithm.name()) {
            return Ok(());
        }
        store::revoke_published(tx).await?;
        store::insert(tx, db.sealer(), &next, KeyState::Published).await?;
        tracing::info!(key_id = next.key_id(), algorithm = algorithm.name(), "access tokens are to be signed by another algorithm");
        Ok(())
    })
    .await
}

/// An RSA key takes a core for a while, so it is made where that holds nobody up.
async fn generate(algorithm: Algorithm) -> Result<KeyPair, Error> {
    let made = tokio::task::spawn_blocking(move || KeyPair::generate(algorithm)).await;
    Ok(made.map_err(|_| BadKey)??)
}
