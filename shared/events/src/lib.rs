//! From a committed change to its effect in another service, exactly once: outbox, event log, relay, inbox, tail.
//!
//! ```text
//! tx.emit ─ commit ─► outbox ─ sequencer ─► event (gap-free position) ─ relay ─► JetStream ─► Inbox ─► effect + inbox row, one commit
//!                                             └─► Tail ─► Watch RPCs
//! ```
//!
//! The host opens one [`Log`] per service and process and spawns [`Log::run`]. A service writes events with `db::Tx::emit` and reads in one of
//! two ways.
//!
//! **Other services' events, each once**: an [`Inbox`], spawned in `build`.
//! ```no_run
//! # use events::{Handler, Log, Outcome, Received};
//! # use contract::tasks::v1::{ProductCreated, WorkItemDeleted};
//! struct Projection;
//!
//! impl Handler for Projection {
//!     async fn handle(&self, tx: &mut db::Tx, event: &Received) -> Result<(), Outcome> {
//!         if let Some(created) = event.of::<ProductCreated>()? {          // None: another event; Err: Poison, parked at once
//!             sqlx::query(
//!                 "INSERT INTO audit.product_view AS view (organization_id, product_id, source_version) VALUES ($1, $2, $3)
//!                  ON CONFLICT (organization_id, product_id) DO UPDATE SET source_version = $3 WHERE view.source_version < $3",
//!             )
//!             .bind(tx.organization_id())                                 // the event's tenant: the floors hold here too
//!             .bind(created.product_id)
//!             .bind(event.position())                                     // the version guard: an old event changes nothing
//!             .execute(tx.conn())
//!             .await?;                                                    // Postgres away: waits, counts no attempt
//!         }
//!         Ok(())
//!     }
//!
//!     fn wants(&self, type_name: &str) -> bool {                          // others cost no transaction
//!         type_name.starts_with("muster.tasks.v1.Product")
//!     }
//! }
//!
//! # fn build(log: &Log, tasks: &runtime::Tasks) {
//! tasks.spawn("inbox", log.inbox("audit", &["tasks"]).run(Projection, tasks.shutdown().child()));
//! # }
//! ```
//! A handler answers `Outcome::Retry(cause)` when a later try may do better (1, 5, 30, 120, 600 s …, twelve tries) and `Outcome::Poison(cause)`
//! when none can; both end in `dead_letter`, which `muster events` lists, replays and drops.
//!
//! **Own events, as a stream** (every Watch RPC): a [`Tail`].
//! ```no_run
//! # use events::{Filter, Item, Log};
//! # async fn watch(log: Log, caller: rpc::Caller, from: i64) -> Result<(), events::Error> {
//! let mut tail = log.tail(Some(from), Filter::all().of_organization(caller.organization_id())).await?;   // RESUME_TOKEN_EXPIRED: too old
//! loop {
//!     let Item { previous_position, position, event } = tail.next().await?;      // an event, or a bookmark at least every half second
//!     # let _ = (previous_position, position, event);
//! }
//! # }
//! ```
//!
//! Deliberately absent: the client side of Watch RPCs (`runtime::feed`), writing to the outbox (`db`), and a third way to consume.

mod admin;
mod bus;
mod config;
mod envelope;
mod error;
mod inbox;
mod leader;
mod log;
mod poke;
mod recent;
mod relay;
mod retention;
mod sequencer;
mod sql;
mod tail;
mod trace;

pub use admin::EventAdmin;
pub use bus::Bus;
pub use config::{EventsConfig, NatsConfig};
pub use envelope::{Envelope, EnvelopeError, Logged, Received};
pub use error::{BusError, Error, Outcome};
pub use inbox::{Claim, Freshness, Handler, Inbox};
pub use log::Log;
pub use tail::{Filter, Item, Tail};
