//! The tasks service from outside: real server, real database, real bus.
#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod create_work_item;
mod deadlines;
mod delete_work_item;
mod import_plan;
mod list_work_items;
mod products;
mod transition_work_item;
mod update_work_item;
mod verbs;
mod watch_work_items;
