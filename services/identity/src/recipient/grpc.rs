//! RecipientService: decode, do, encode.

use contract::identity::v1 as pb;
use contract::identity::v1::recipient_service_server::RecipientService;
use contract::time::timestamp;
use tonic::{Request, Response, Status};

use super::{Link, Subject, ops::Ops};
use crate::decode;

/// The language of everybody until people can choose one.
const LOCALE: &str = "en";

/// The transport of recipients.
pub struct Grpc {
    /// The use case.
    pub ops: Ops,
}

#[tonic::async_trait]
impl RecipientService for Grpc {
    async fn resolve_recipient(&self, req: Request<pb::ResolveRecipientRequest>) -> Result<Response<pb::ResolveRecipientResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let link = match req.link() {
            pb::Link::Unspecified => Link::None,
            pb::Link::AcceptInvitation => Link::AcceptInvitation,
            pb::Link::VerifyEmail => Link::VerifyEmail,
            pb::Link::ChangeEmail => Link::ChangeEmail(decode::id("link_id", &req.link_id)?),
            pb::Link::EmailChanged => Link::EmailChanged(decode::id("link_id", &req.link_id)?),
            pb::Link::ResetPassword => Link::ResetPassword(decode::id("link_id", &req.link_id)?),
        };
        let subject = match &req.subject {
            Some(pb::resolve_recipient_request::Subject::UserId(id)) => Subject::User(decode::id("user_id", id)?),
            Some(pb::resolve_recipient_request::Subject::InvitationId(id)) => Subject::Invitation(decode::id("invitation_id", id)?),
            None => return Err(rpc::Error::invalid_field("subject", "oneof.required", "must be a user_id or an invitation_id").into()),
        };
        let recipient = self.ops.resolve(&caller, subject, link).await?;
        let (link_token, link_expire_time) = recipient.link_token.unzip();
        Ok(Response::new(pb::ResolveRecipientResponse {
            email: recipient.email,
            display_name: recipient.display_name,
            locale: LOCALE.to_owned(),
            link_token: link_token.unwrap_or_default(),
            organization_display_name: recipient.organization_display_name,
            link_expire_time: link_expire_time.map(timestamp),
        }))
    }
}
