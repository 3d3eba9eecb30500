//! `dep.*`: how the servers a service leans on are, for people and dashboards. Readiness never asks: a dependency that all replicas share would
//! take all of them out at once.

use std::time::Duration;

use db::Db;
use events::Bus;
use rpc::health::{HealthHandle, ServingStatus};
use runtime::Shutdown;
use tokio::time::timeout;

/// The time between two looks, and the longest look.
const PERIOD: Duration = Duration::from_secs(2);

/// Keeps `dep.postgres` and `dep.nats` true until `shutdown`.
pub(crate) async fn watch(health: HealthHandle, db: Db, bus: Bus, shutdown: Shutdown) {
    loop {
        let answers = db.work_read_one::<(i32,)>("SELECT 1", |query| query);
        let postgres = matches!(timeout(PERIOD, answers).await, Ok(Ok(_)));
        health.set_of_other("dep.postgres", status(postgres));
        health.set_of_other("dep.nats", status(bus.is_connected()));
        if shutdown.or(tokio::time::sleep(PERIOD)).await.is_none() {
            return;
        }
    }
}

fn status(serves: bool) -> ServingStatus {
    if serves { ServingStatus::Serving } else { ServingStatus::NotServing }
}
