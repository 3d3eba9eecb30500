//! Who calls.
mod token;
pub use token::AccessToken;
