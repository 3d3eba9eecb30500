//! What there is to do: the tasks service.
//!
//! Products number work items; work items nest, are assigned, moved from state to state and watched; plans written in Markdown become work
//! items. Each noun has a folder with the same names in it.
//!
//! [`build`] is all the wiring: read it first.

mod config;
mod error;
pub mod events;
pub mod plan;
pub mod product;
pub mod work_item;

use contract::tasks::v1::product_service_server::ProductServiceServer;
use contract::tasks::v1::work_item_service_server::WorkItemServiceServer;

pub use config::Config;
pub use error::Error;

/// The service's name.
pub const NAME: &str = "tasks";

/// Its schema.
pub const SCHEMA: &str = "tasks";

/// Its migrations, after those of `shared/db`.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// The largest request that carries a plan: the plan takes 1 MiB of it.
const IMPORT_BYTES_MAX: usize = (1 << 20) + (16 << 10);

/// What a request may weigh beyond the server's limit.
const REQUEST_LIMITS: &[(&str, usize)] = &[("/muster.tasks.v1.WorkItemService/ImportPlan", IMPORT_BYTES_MAX)];

/// Wires the service.
///
/// # Errors
/// None of its own today.
pub async fn build(deps: &host::Deps, config: &Config) -> anyhow::Result<host::Service> {
    let products = product::ops::Ops::new(deps.db.clone(), deps.ids.clone());
    let items = work_item::ops::Ops::new(deps.db.clone(), deps.ids.clone());
    let plans = plan::ops::Ops::new(deps.db.clone(), deps.ids.clone());
    let watcher = work_item::watch::Watcher::new(deps.log.clone(), deps.db.sealer().clone(), deps.tasks.clone(), config.clone());
    Ok(host::Service::new(NAME)
        .add(ProductServiceServer::new(product::grpc::Grpc::new(products)))
        .add(WorkItemServiceServer::new(work_item::grpc::Grpc::new(items, plans, watcher)))
        .request_limits(REQUEST_LIMITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_name_methods_of_the_contract() {
        assert!(REQUEST_LIMITS.iter().all(|(path, _)| contract::method(path).is_some_and(|method| method.owner == NAME)));
    }
}
