//! A service under test: real server on port 0, real middleware, a database and a nats-server of its own, a clock that stands still, and a
//! fixture authority in place of the services that say who a caller is and what they may do.
//!
//! ```no_run
//! # async fn build(_: &host::Deps) -> anyhow::Result<host::Service> { unimplemented!() }
//! # static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate::Migrator::DEFAULT;
//! # async fn test() {
//! use contract::tasks::v1::{GetProductRequest, product_service_client::ProductServiceClient};
//! use testkit::{App, assert_fault};
//!
//! let app = App::of("tasks", "tasks", &MIGRATIONS, async |deps| build(deps).await).await;
//! let eve = app.outsider("eve").await;
//! let call = ProductServiceClient::new(eve.channel()).get_product(GetProductRequest::default()).await;
//! assert_fault!(call, NotFound, "PRODUCT_NOT_FOUND");
//! assert_eq!(app.emitted().await, Vec::<String>::new());
//! # }
//! ```
//!
//! Deliberately absent: any service's verbs. They are an extension trait in each service's own tests.

mod actor;
mod app;
mod authenticator;
pub mod authority;
mod bus;
mod cloud_event;
mod event_log;
pub mod fault;
pub mod keys;
mod leftovers;
mod people;
pub mod postgres;
mod setup;
mod stage;
mod wire;

pub use actor::{Actor, Peer};
pub use app::{App, Replica};
pub use authenticator::Authenticator;
pub use authority::{Authority, Claims};
pub(crate) use bus::Bus;
pub use contract::BaseRole;
pub use setup::Setup;
pub use wire::Channel;
