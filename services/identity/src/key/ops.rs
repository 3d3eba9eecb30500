//! Use cases of signing keys, and the key this process signs with.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use db::{Db, Tx};
use rpc::Caller;
use runtime::{OrganizationId, Shutdown};

use super::pair::BadKey;
use super::{Algorithm, KeyPair, KeyState, SigningKey, json_web_key_set, store};
use crate::error::Error;
use crate::events;
use crate::token::access::{AccessToken, Signer};

/// Signing keys of one replica. Cheap to clone.
#[derive(Clone)]
pub struct Ops(Arc<Inner>);

struct Inner {
    db: Db,
    algorithm: Algorithm,
    token_ttl: time::Duration,
    signer: ArcSwap<Signer>,
}

impl Ops {
    /// Loads the key that signs. At the first start makes it, and the one after it; replicas that start at once make one pair together.
    ///
    /// # Errors
    /// `DEPENDENCY_UNAVAILABLE`, or a stored key that does not open.
    pub async fn start(db: Db, algorithm: Algorithm, token_ttl: time::Duration) -> Result<Self, Error> {
        let pair = match load(&db, algorithm).await? {
            Some(pair) => pair,
            None => create(&db, algorithm).await?,
        };
        Ok(Ops(Arc::new(Inner { db, algorithm, token_ttl, signer: ArcSwap::from_pointee(Signer::new(pair)) })))
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

    /// Makes the PUBLISHED key of the algorithm in use ACTIVE, the ACTIVE one RETIRED, and publishes a new one. Gives the key that signs now.
    /// In an `emergency` it does so though verifiers may not have the next key yet: those that ask for a key they do not know find it.
    ///
    /// # Errors
    /// `SIGNING_KEY_TOO_YOUNG`, `REQUEST_ID_REUSED`, `CONFLICT`.
    /// # Emits
    /// `SigningKeyRotated`, same transaction.
    pub async fn rotate(&self, caller: &Caller, emergency: bool) -> Result<SigningKey, Error> {
        let Inner { db, algorithm, .. } = &*self.0;
        let next = generate(*algorithm).await?;
        let active = db
            .write(caller, async |tx: &mut Tx| {
                store::lock(tx).await?;
                advance(tx, *algorithm, &next, emergency).await
            })
            .await?;
        self.follow().await?;
        Ok(active)
    }

    /// Takes up what another replica rotated, and rotates a key that has signed for `rotated_after`, until shutdown; zero rotates none. A key
    /// that is RETIRED verifies on for a minute beyond its last token, so signing with it until the next look does no harm.
    pub async fn keep(self, every: Duration, rotated_after: time::Duration, shutdown: Shutdown) {
        while shutdown.or(tokio::time::sleep(every)).await.is_some() {
            if let Err(error) = self.look(rotated_after).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the signing key could not be looked up; the one at hand signs on"
                );
            }
        }
    }

    /// Signs with the ACTIVE key from now on, and gives it.
    async fn follow(&self) -> Result<Option<SigningKey>, Error> {
        let Inner { db, algorithm, signer, .. } = &*self.0;
        let active = db.read(&own(), async |tx: &mut Tx| store::active(tx, *algorithm).await).await?;
        if active.as_ref().is_some_and(|key| key.key_id != signer.load().key_id())
            && let Some(pair) = load(db, *algorithm).await?
        {
            signer.store(Arc::new(Signer::new(pair)));
        }
        Ok(active)
    }

    async fn look(&self, rotated_after: time::Duration) -> Result<(), Error> {
        let Inner { db, algorithm, .. } = &*self.0;
        let active = self.follow().await?;
        if !active.is_some_and(|key| key.is_due(db.clock().now(), rotated_after)) {
            return Ok(());
        }
        let next = generate(*algorithm).await?;
        let rotated = db
            .write_unrecorded(&own(), async |tx: &mut Tx| {
                store::lock(tx).await?;
                // Another replica may have been faster.
                if !store::active(tx, *algorithm).await?.is_some_and(|key| key.is_due(tx.now(), rotated_after)) {
                    return Ok(None);
                }
                advance(tx, *algorithm, &next, false).await.map(Some)
            })
            .await;
        match rotated {
            Ok(None) | Err(Error::SigningKeyTooYoung { .. }) => Ok(()),
            Ok(Some(key)) => {
                tracing::info!(key_id = key.key_id, "the signing key was rotated as it is set to be");
                self.follow().await.map(|_| ())
            }
            Err(error) => Err(error),
        }
    }
}

/// Makes the PUBLISHED key ACTIVE, the ACTIVE one RETIRED, and publishes `next`. The lock of rotations is held.
async fn advance(tx: &mut Tx, algorithm: Algorithm, next: &KeyPair, emergency: bool) -> Result<SigningKey, Error> {
    let retired = store::retire_active(tx, algorithm).await?;
    let active = store::activate_published(tx, algorithm).await?.ok_or(BadKey)?;
    if let Some(left) = active.unknown_for(tx.now()).filter(|_| !emergency) {
        return Err(Error::SigningKeyTooYoung { retry_after: left.unsigned_abs() });
    }
    let sealer = tx.db().sealer().clone();
    store::insert(tx, &sealer, next, KeyState::Published).await?;
    tx.emit(events::signing_key_rotated(retired.as_ref(), &active));
    Ok(active)
}

/// The service itself.
fn own() -> Caller {
    Caller::background(crate::NAME, OrganizationId::SYSTEM, None)
}

async fn load(db: &Db, algorithm: Algorithm) -> Result<Option<KeyPair>, Error> {
    db.read(&own(), async |tx: &mut Tx| store::active_pair(tx, db.sealer(), algorithm).await).await
}

/// The first two keys of an algorithm, unless another replica was faster.
async fn create(db: &Db, algorithm: Algorithm) -> Result<KeyPair, Error> {
    let (first, second) = (generate(algorithm).await?, generate(algorithm).await?);
    let made = db
        .write_unrecorded(&own(), async |tx: &mut Tx| {
            store::lock(tx).await?;
            if let Some(pair) = store::active_pair(tx, db.sealer(), algorithm).await? {
                return Ok::<_, Error>(Some(pair));
            }
            store::insert(tx, db.sealer(), &first, KeyState::Active).await?;
            store::insert(tx, db.sealer(), &second, KeyState::Published).await?;
            Ok(None)
        })
        .await?;
    Ok(made.unwrap_or(first))
}

/// An RSA key takes a core for a while, so it is made where that holds nobody up.
async fn generate(algorithm: Algorithm) -> Result<KeyPair, Error> {
    let made = tokio::task::spawn_blocking(move || KeyPair::generate(algorithm)).await;
    Ok(made.map_err(|_| BadKey)??)
}
