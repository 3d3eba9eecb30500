//! What `tasks` does and how `audit` takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use contract::tasks::v1::{WorkItem, WorkItemUpdated};
use db::{Db, Tx};
use events::{Handler, Outcome, Received};
use rpc::Caller;
use runtime::OrganizationId;
use tokio::time::Duration;
use uuid::Uuid;

/// The only organization of most tests.
pub(crate) fn acme() -> OrganizationId {
    Uuid::from_u128(0xac3e).into()
}

/// Changes a thing and tells the world, in one transaction that is open for `hold`.
pub(crate) async fn change_slowly(db: &Db, organization: OrganizationId, thing: &str, hold: Duration) -> Result<i64, db::Error> {
    let caller = Caller::background("tasks", organization, None);
    db.write_unrecorded(&caller, async |tx: &mut Tx| {
        let version: i64 = sqlx::query_scalar(
            "INSERT INTO tasks.thing AS thing VALUES ($1, $2, 1) ON CONFLICT (organization_id, thing_id) DO UPDATE SET version = thing.version + 1
             RETURNING version",
        )
        .bind(organization)
        .bind(thing)
        .fetch_one(tx.conn())
        .await?;
        sqlx::query("INSERT INTO tasks.change VALUES ($1, $2, $3)").bind(organization).bind(thing).bind(version).execute(tx.conn()).await?;
        tx.emit(WorkItemUpdated {
            work_item_id: thing.to_owned(),
            before: None,
            after: Some(WorkItem { etag: version.to_string(), ..WorkItem::default() }),
        });
        tokio::time::sleep(hold).await;
        Ok(version)
    })
    .await
}

/// Changes a thing of acme.
pub(crate) async fn change(db: &Db, thing: &str) -> i64 {
    change_slowly(db, acme(), thing, Duration::ZERO).await.unwrap()
}

/// How `audit` takes changes.
#[derive(Clone, Default)]
pub(crate) struct Notes {
    /// Things whose events are garbage to this handler.
    pub(crate) poison: Vec<String>,
    /// Things whose events fail while `broken` is set.
    pub(crate) fragile: Vec<String>,
    pub(crate) broken: Arc<AtomicBool>,
    /// Things whose first event panics the handler, once.
    pub(crate) panics: Arc<AtomicBool>,
    /// How often it was asked to rebuild, and whether it can't.
    pub(crate) rebuilds: Arc<AtomicU32>,
    pub(crate) stuck: Arc<AtomicBool>,
}

impl Handler for Notes {
    async fn rebuild(&self, source: &'static str) -> Result<(), Outcome> {
        assert_eq!(source, "tasks");
        self.rebuilds.fetch_add(1, Ordering::SeqCst);
        if self.stuck.load(Ordering::SeqCst) { Err(Outcome::Retry("the source is away".to_owned())) } else { Ok(()) }
    }

    async fn handle(&self, tx: &mut Tx, event: &Received) -> Result<(), Outcome> {
        let Some(updated) = event.of::<WorkItemUpdated>()? else { return Ok(()) };
        let version: i64 = updated.after.unwrap_or_default().etag.parse().map_err(|_| Outcome::Poison("no version".to_owned()))?;
        let organization = tx.organization_id();
        sqlx::query("INSERT INTO audit.effect (consumer, organization_id, thing_id, version, position) VALUES ('audit', $1, $2, $3, $4)")
            .bind(organization)
            .bind(&updated.work_item_id)
            .bind(version)
            .bind(event.position())
            .execute(tx.conn())
            .await?;
        assert!(!self.panics.swap(false, Ordering::SeqCst), "the handler was told to panic");
        if self.poison.contains(&updated.work_item_id) {
            return Err(Outcome::Poison(format!("{} is poison", updated.work_item_id)));
        }
        if self.fragile.contains(&updated.work_item_id) && self.broken.load(Ordering::SeqCst) {
            return Err(Outcome::Retry(format!("{} is broken", updated.work_item_id)));
        }
        Ok(())
    }
}

impl crate::world::World {
    /// `audit` takes the events of `tasks` with `handler` from now on.
    pub(crate) async fn audit_takes_with(&self, handler: Notes) -> events::Log {
        let log = self.log("audit").await;
        self.tasks.spawn_once("inbox", log.inbox("audit", &["tasks"]).run(handler, self.tasks.shutdown().child()));
        log
    }

    pub(crate) async fn audit_takes(&self) -> events::Log {
        self.audit_takes_with(Notes::default()).await
    }
}
