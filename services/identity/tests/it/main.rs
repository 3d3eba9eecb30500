//! Tests of the identity service: real server, real Postgres, real NATS, tokens of its own making.
#![expect(clippy::unwrap_used, reason = "a test may fail by unwrap")]

mod accept_invitation;
mod change_email;
mod change_password;
mod check_password;
mod continue_session;
mod enroll_factor;
mod import_users;
mod interleave;
mod introspect;
mod invite;
mod list_memberships;
mod list_revocations;
mod manage_members;
mod manage_sessions;
mod mfa_policy;
mod password_history;
mod personal_data;
mod refresh_session;
mod register;
mod replicas;
mod resend_verification;
mod reset_password;
mod resolve_recipient;
mod rotate_signing_key;
mod round_trips;
mod session_policy;
mod sign_in;
mod start;
mod step_up;
mod switch_context;
mod tenants;
mod throttle;
mod username;
mod users;
mod verbs;
