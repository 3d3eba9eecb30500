//! The use case of the one who sends mail.

use db::Tx;
use rpc::Caller;
use runtime::UserId;
use uuid::Uuid;

use super::{Link, Recipient, Subject, store};
use crate::email_change::EmailChangeState;
use crate::error::Error;
use crate::invitation::{self, InvitationId, store as invitations};
use crate::organization::store as organizations;
use crate::user;
use crate::user::UserState;

/// Where people are reached.
#[derive(Clone)]
pub struct Ops {
    /// Accounts, with the tokens that prove an address.
    pub users: user::ops::Ops,
    /// Invitations, with the tokens that accept them.
    pub invitations: invitation::ops::Ops,
}

impl Ops {
    /// Where `subject` is reached now, with the token of `link`. Nothing is stored. An address that is not proved is told for the link that
    /// proves it alone: mail about anything else could tell a stranger.
    ///
    /// # Errors
    /// `RECIPIENT_NOT_FOUND`: nobody, or the link is good for nothing any more.
    pub async fn resolve(&self, caller: &Caller, subject: Subject, link: Link) -> Result<Recipient, Error> {
        match subject {
            Subject::User(id) => match link {
                Link::ChangeEmail(change) => self.changing(caller, id, change, EmailChangeState::Pending).await,
                Link::EmailChanged(change) => self.changing(caller, id, change, EmailChangeState::Done).await,
                _ => self.user(caller, id, link).await,
            },
            Subject::Invitation(id) if link == Link::AcceptInvitation => self.invited(caller, id).await,
            Subject::Invitation(_) => Err(Error::RecipientNotFound),
        }
    }

    async fn user(&self, caller: &Caller, user_id: UserId, link: Link) -> Result<Recipient, Error> {
        let found = store::find(&self.users.db, caller, &self.users.sealed, user_id).await?.ok_or(Error::RecipientNotFound)?;
        let link_token = match (link, found.state) {
            (Link::None, UserState::Active) => None,
            (Link::VerifyEmail, UserState::Pending) => Some(self.users.verification_token(user_id, found.verification_generation)),
            (Link::ResetPassword(id), UserState::Active) => {
                let token = self.users.password_reset_token(user_id, id, found.reset_generation, found.reset_void_time);
                Some(token.ok_or(Error::RecipientNotFound)?)
            }
            (Link::VerifyEmail, UserState::Active)
            | (Link::None | Link::ResetPassword(_), UserState::Pending)
            | (Link::AcceptInvitation | Link::ChangeEmail(_) | Link::EmailChanged(_), _) => {
                return Err(Error::RecipientNotFound);
            }
        };
        Ok(Recipient { email: found.email, display_name: found.display_name, organization_display_name: String::new(), link_token })
    }

    /// Whoever changes their address: at the new one while it is to be proved, at the former one once it was given up.
    async fn changing(&self, caller: &Caller, user_id: UserId, id: Uuid, state: EmailChangeState) -> Result<Recipient, Error> {
        let found = self.users.email_change(caller, user_id, id, state).await?;
        let (email, display_name, link_token) = found.ok_or(Error::RecipientNotFound)?;
        Ok(Recipient { email, display_name, organization_display_name: String::new(), link_token })
    }

    /// Whoever was invited, while the invitation waits.
    async fn invited(&self, caller: &Caller, id: InvitationId) -> Result<Recipient, Error> {
        let db = &self.invitations.db;
        let organization = invitations::organization(db, caller, id).await?.ok_or(Error::RecipientNotFound)?;
        db.read(&caller.with_organization(organization), async |tx: &mut Tx| {
            let invitation = invitations::find(tx, &self.invitations.sealed, id).await?.ok_or(Error::RecipientNotFound)?;
            invitation.require_pending(tx.now()).map_err(|_| Error::RecipientNotFound)?;
            let organization = organizations::find(tx, organization).await?.ok_or(Error::RecipientNotFound)?;
            let link_token = Some(self.invitations.token(&invitation));
            let (email, organization_display_name) = (invitation.email, organization.display_name);
            Ok(Recipient { email, display_name: String::new(), organization_display_name, link_token })
        })
        .await
    }
}
