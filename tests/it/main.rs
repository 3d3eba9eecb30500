//! One test binary; one file per guard or story.

mod canaries;
mod docs_paths;
mod every_event;
mod every_reason;
mod every_rpc;
mod every_table;
mod layering;
mod revocation;
mod story;
