//! OrganizationMemberService: decode, do, encode. The organization is that of the call: `open` has compared it with the token's.

use contract::identity::v1 as pb;
use contract::identity::v1::create_organization_member_request::Subject;
use contract::identity::v1::organization_member_service_server::OrganizationMemberService;
use tonic::{Request, Response, Status};

use super::Place;
use super::convert::{role, subject};
use super::ops::Ops;
use crate::decode;

/// The transport of an organization's members.
pub struct Grpc {
    /// The use cases.
    pub ops: Ops,
}

#[tonic::async_trait]
impl OrganizationMemberService for Grpc {
    async fn create_organization_member(
        &self,
        req: Request<pb::CreateOrganizationMemberRequest>,
    ) -> Result<Response<pb::CreateOrganizationMemberResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let (user_id, email) = match &req.subject {
            Some(Subject::UserId(id)) => (Some(id.as_str()), None),
            Some(Subject::Email(email)) => (None, Some(email.as_str())),
            None => (None, None),
        };
        let (place, subject, role) = (Place::Organization, subject(user_id, email)?, role(req.role())?);
        let (member, propagation) = self.ops.create(&caller, place, subject, role).await?;
        let propagation = pb::Propagation::from(propagation).into();
        Ok(Response::new(pb::CreateOrganizationMemberResponse { organization_member: Some(member.into()), propagation }))
    }

    async fn update_organization_member(
        &self,
        req: Request<pb::UpdateOrganizationMemberRequest>,
    ) -> Result<Response<pb::UpdateOrganizationMemberResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let (place, user_id, role) = (Place::Organization, decode::id("user_id", &req.user_id)?, role(req.role())?);
        let (member, propagation) = self.ops.update(&caller, place, user_id, role, &req.etag).await?;
        let propagation = pb::Propagation::from(propagation).into();
        Ok(Response::new(pb::UpdateOrganizationMemberResponse { organization_member: Some(member.into()), propagation }))
    }

    async fn delete_organization_member(
        &self,
        req: Request<pb::DeleteOrganizationMemberRequest>,
    ) -> Result<Response<pb::DeleteOrganizationMemberResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let (place, user_id) = (Place::Organization, decode::id("user_id", &req.user_id)?);
        let propagation = self.ops.delete(&caller, place, user_id).await?;
        Ok(Response::new(pb::DeleteOrganizationMemberResponse { propagation: pb::Propagation::from(propagation).into() }))
    }

    async fn list_organization_members(
        &self,
        req: Request<pb::ListOrganizationMembersRequest>,
    ) -> Result<Response<pb::ListOrganizationMembersResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let page = self.ops.list(&caller, Place::Organization, req.page_size, &req.page_token).await?.map(Into::into);
        Ok(Response::new(pb::ListOrganizationMembersResponse { organization_members: page.items, next_page_token: page.next_page_token }))
    }
}
