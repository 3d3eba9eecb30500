//! Accounts between the domain and the contract.

use contract::identity::v1 as pb;
use contract::time::timestamp;

use super::import::{Imported, ImportedUser};
use super::{Seen, SystemRole, User, UserState};
use crate::password::Strength;

impl From<UserState> for pb::UserState {
    fn from(state: UserState) -> Self {
        match state {
            UserState::Pending => pb::UserState::Pending,
            UserState::Active => pb::UserState::Active,
        }
    }
}

impl From<SystemRole> for pb::SystemRole {
    fn from(role: SystemRole) -> Self {
        match role {
            SystemRole::User => pb::SystemRole::User,
            SystemRole::Admin => pb::SystemRole::Admin,
        }
    }
}

impl From<User> for pb::User {
    fn from(user: User) -> Self {
        pb::User {
            user_id: user.id.to_string(),
            email: user.email,
            username: user.username.map(String::from).unwrap_or_default(),
            display_name: user.display_name,
            state: pb::UserState::from(user.state).into(),
            system_role: pb::SystemRole::from(user.system_role).into(),
            etag: user.version.to_string(),
            create_time: Some(timestamp(user.create_time)),
            update_time: Some(timestamp(user.update_time)),
        }
    }
}

impl From<pb::ImportedUser> for ImportedUser {
    fn from(user: pb::ImportedUser) -> Self {
        let pb::ImportedUser { email, email_proved, username, display_name, password_hash } = user;
        ImportedUser { email, email_proved, username, display_name, password_hash: password_hash.into() }
    }
}

impl From<Strength> for pb::CheckPasswordResponse {
    fn from(strength: Strength) -> Self {
        let Strength { score, weakness, suggestions } = strength;
        let rule = weakness.as_ref().map(|weakness| weakness.rule.name().to_owned()).unwrap_or_default();
        let advice = weakness.as_ref().map(ToString::to_string).unwrap_or_default();
        pb::CheckPasswordResponse { score: score.into(), acceptable: weakness.is_none(), rule, advice, suggestions }
    }
}

impl From<Imported> for pb::ImportUserResult {
    fn from(imported: Imported) -> Self {
        let (outcome, user_id) = match imported {
            Imported::Created(id) => (pb::ImportOutcome::Created, id.to_string()),
            Imported::EmailTaken => (pb::ImportOutcome::EmailTaken, String::new()),
            Imported::UsernameTaken => (pb::ImportOutcome::UsernameTaken, String::new()),
            Imported::UsernameInvalid => (pb::ImportOutcome::UsernameInvalid, String::new()),
            Imported::PasswordHashInvalid => (pb::ImportOutcome::PasswordHashInvalid, String::new()),
        };
        pb::ImportUserResult { user_id, outcome: outcome.into() }
    }
}

impl From<Seen> for pb::User {
    fn from(seen: Seen) -> Self {
        let mut user = pb::User::from(seen.user);
        if !seen.shows_system_role {
            user.set_system_role(pb::SystemRole::Unspecified);
        }
        user
    }
}
