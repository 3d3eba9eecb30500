//! One test binary; one file per guard or story.

mod docs_paths;
mod every_rpc;
mod every_table;
mod layering;
mod revocation;
mod story;
