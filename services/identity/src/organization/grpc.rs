//! OrganizationService: decode, do, encode.

use contract::identity::v1 as pb;
use contract::identity::v1::organization_service_server::OrganizationService;
use tonic::{Request, Response, Status};

use super::ops::Ops;
use crate::settings::{self, Change};

/// The transport of organizations.
pub struct Grpc {
    /// The use cases.
    pub ops: Ops,
    /// Those of its settings.
    pub settings: settings::ops::Ops,
}

#[tonic::async_trait]
impl OrganizationService for Grpc {
    async fn create_organization(
        &self,
        req: Request<pb::CreateOrganizationRequest>,
    ) -> Result<Response<pb::CreateOrganizationResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let organization = self.ops.create(&caller, req.slug, req.display_name).await?;
        Ok(Response::new(pb::CreateOrganizationResponse { organization: Some(organization.into()) }))
    }

    async fn get_organization(&self, req: Request<pb::GetOrganizationRequest>) -> Result<Response<pb::GetOrganizationResponse>, Status> {
        let (caller, _) = rpc::open(req)?;
        let organization = self.ops.get(&caller).await?;
        Ok(Response::new(pb::GetOrganizationResponse { organization: Some(organization.into()) }))
    }

    async fn get_organization_settings(
        &self,
        req: Request<pb::GetOrganizationSettingsRequest>,
    ) -> Result<Response<pb::GetOrganizationSettingsResponse>, Status> {
        let (caller, _) = rpc::open(req)?;
        let settings = self.settings.get(&caller).await?;
        Ok(Response::new(pb::GetOrganizationSettingsResponse { organization_settings: Some(settings.into()) }))
    }

    async fn update_organization_settings(
        &self,
        req: Request<pb::UpdateOrganizationSettingsRequest>,
    ) -> Result<Response<pb::UpdateOrganizationSettingsResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let settings = self.settings.update(&caller, Change::try_from(&req)?, &req.etag).await?;
        Ok(Response::new(pb::UpdateOrganizationSettingsResponse { organization_settings: Some(settings.into()) }))
    }

    async fn list_organizations(
        &self,
        req: Request<pb::ListOrganizationsRequest>,
    ) -> Result<Response<pb::ListOrganizationsResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let page = self.ops.list(&caller, req.page_size, &req.page_token).await?.map(Into::into);
        Ok(Response::new(pb::ListOrganizationsResponse { organizations: page.items, next_page_token: page.next_page_token }))
    }
}
