//! A service under test: real server on port 0, real middleware, fresh databases, and a fixture authority in place of the services that
//! say who a caller is and what they may do.
//!
//! Deliberately absent: any service's verbs. They are an extension trait in each service's own tests.

pub mod authority;

pub use authority::Authority;
