//! The only door to a service's tables: tenant transactions, one effect for each request, events with their effect, pages, filters,
//! sealing, migrations.
//!
//! A use case runs inside [`Db::read`] or [`Db::write`]. The transaction knows its caller: floors in the database let it see the caller's
//! organization, workspaces and person alone; its statements end with the call's deadline; what it emits is committed with what it wrote.
//! Nobody begins a transaction elsewhere, and a cancelled call closes its connection (`lease.rs` says why).
//!
//! ```no_run
//! use db::{Column, Cursor, Db, EnumValue, Error, Filter, Kind, OnConstraint, Order, Page, Tx};
//! use rpc::Caller;
//! use sqlx::QueryBuilder;
//!
//! #[derive(serde::Serialize, serde::Deserialize, sqlx::FromRow)]
//! struct Note { note_id: uuid::Uuid, title: String, create_time: time::OffsetDateTime }
//!
//! static COLUMNS: &[Column] = &[
//!     Column::new("title", "n.title", Kind::Text),
//!     Column::new("state", "n.state", Kind::Enum(&[("OPEN", EnumValue::Int(1)), ("DONE", EnumValue::Int(2))])),
//! ];
//! const BY_TIME: Order = Order::asc("n.create_time", Kind::Time, "n.note_id");
//!
//! // ops.rs: a repeated request id gets the stored Note, and the closure does not run.
//! async fn create(db: &Db, caller: &Caller, title: String) -> Result<Note, Error> {
//!     db.write(caller, async |tx| {
//!         let note = Note { note_id: db.ids().next(), title, create_time: tx.now() };
//!         insert(tx, &note).await?;
//!         tx.emit(contract::identity::v1::OrganizationCreated::default()); // an event of the service's own
//!         Ok(note)
//!     })
//!     .await
//! }
//!
//! // store.rs: a broken constraint becomes the rule it stands for.
//! async fn insert(tx: &mut Tx, note: &Note) -> Result<(), Error> {
//!     let query = sqlx::query("INSERT INTO notes.note (organization_id, note_id, title, create_time) VALUES ($1, $2, $3, $4)");
//!     let query = query.bind(tx.organization_id()).bind(note.note_id).bind(&note.title).bind(note.create_time);
//!     query.execute(tx.conn()).await.on_constraint("note_organization_id_title_key", || Error::OrderInvalid /* TitleTaken */)?;
//!     Ok(())
//! }
//!
//! async fn list(db: &Db, caller: &Caller, size: i32, token: &str, filter: &str, order_by: &str) -> Result<Page<Note>, Error> {
//!     let order = Order::parse(order_by, COLUMNS, BY_TIME)?;
//!     let (read, page) = (Filter::parse(filter, COLUMNS)?, db.page(caller, size, token, order, &[filter])?);
//!     db.read(caller, async |tx| {
//!         let mut query = QueryBuilder::new("SELECT n.note_id, n.title, n.create_time FROM notes.note n WHERE n.organization_id = ");
//!         query.push_bind(tx.organization_id());
//!         read.push(&mut query);
//!         page.push(&mut query);
//!         let rows = query.build_query_as::<Note>().fetch_all(tx.conn()).await?;
//!         Ok(page.finish(rows, |note| if order == BY_TIME { Cursor::time(note.create_time, note.note_id) } else { Cursor::text(&note.title, note.note_id) }))
//!     })
//!     .await
//! }
//! ```
//!
//! A migration marks each table it makes with one line, `SELECT :schema.mark_tenant('note', 'a note belongs to an organization');`: it makes
//! the floors, grants and the class (`migrations/0001_foundation.up.sql` has the others).
//!
//! Deliberately absent: repository traits, an ORM, a service's name, retries (only the edge retries), and the relay (shared/events).

mod at_hand;
mod begin;
mod config;
mod connect;
mod db;
mod deadline;
mod error;
mod filter;
mod lease;
mod migrate;
mod once;
mod order;
mod origin;
mod outbox;
mod page;
mod pool;
pub mod roles;
mod seal;
mod startup;
mod statements;
mod tx;

pub use config::DbConfig;
pub use connect::migrator_connection;
pub use db::Db;
pub use error::{Error, OnConstraint, Result};
pub use filter::{Column, EnumValue, FILTER_DEPTH_MAX, FILTER_LENGTH_MAX, FILTER_TERMS_MAX, Filter, Kind};
pub use migrate::{MigrationStatus, Migrator};
pub use order::Order;
pub use origin::Origin;
pub use outbox::{EVENT_BYTES_MAX, EVENTS_BYTES_MAX, EVENTS_MAX};
pub use page::{Cursor, PAGE_SIZE, PAGE_SIZE_MAX, Page, PageRequest};
pub use pool::{Reading, Row};
pub use seal::{DoesNotOpen, KeyFileError, Sealer};
pub use startup::StartupError;
pub use tx::{Tx, WorkTx};
