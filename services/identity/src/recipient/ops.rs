//! The use case of the one who sends mail.

use rpc::Caller;
use runtime::UserId;

use super::{Link, Recipient, store};
use crate::error::Error;
use crate::user;
use crate::user::UserState;

/// Where people are reached.
#[derive(Clone)]
pub struct Ops {
    /// Accounts, with the tokens that prove an address.
    pub users: user::ops::Ops,
}

impl Ops {
    /// Where `user_id` is reached now, with the token of `link`. Nothing is stored. An address that is not proved is told for the link that
    /// proves it alone: mail about anything else could tell a stranger.
    ///
    /// # Errors
    /// `RECIPIENT_NOT_FOUND`: nobody, or the link is good for nothing any more.
    pub async fn resolve(&self, caller: &Caller, user_id: UserId, link: Link) -> Result<Recipient, Error> {
        let found = store::find(&self.users.db, caller, &self.users.sealed, user_id).await?.ok_or(Error::RecipientNotFound)?;
        let link_token = match (link, found.state) {
            (Link::None, UserState::Active) => None,
            (Link::VerifyEmail, UserState::Pending) => Some(self.users.verification_token(user_id, found.verification_generation)),
            (Link::ResetPassword(id), UserState::Active) => {
                let token = self.users.password_reset_token(user_id, id, found.reset_generation);
                Some(token.ok_or(Error::RecipientNotFound)?)
            }
            (Link::VerifyEmail, UserState::Active) | (Link::None | Link::ResetPassword(_), UserState::Pending) => {
                return Err(Error::RecipientNotFound);
            }
        };
        Ok(Recipient { email: found.email, display_name: found.display_name, link_token })
    }
}
