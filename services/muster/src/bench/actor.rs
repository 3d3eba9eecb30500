//! A signed-in person with an organization, a workspace and products, made through the RPCs.

use contract::{
    identity::v1::{
        CreateOrganizationRequest, CreateSessionRequest, CreateSessionResponse, CreateWorkspaceRequest, SwitchContextRequest,
        create_session_request::Identifier, organization_service_client::OrganizationServiceClient,
        session_service_client::SessionServiceClient, workspace_service_client::WorkspaceServiceClient,
    },
    tasks::v1::{CreateProductRequest, product_service_client::ProductServiceClient},
};
use tonic::transport::Channel;

pub(super) use crate::client::signed;
use crate::seed;

/// Who calls in a run.
#[derive(Clone)]
pub(super) struct Actor {
    pub(super) authorization: String,
    pub(super) user_id: String,
    pub(super) organization_id: String,
    pub(super) workspace_id: String,
    pub(super) products: Vec<String>,
}

/// Signs in who has `email`; answers the session, the user and the bearer header.
pub(super) async fn sign_in(identity: &Channel, email: &str) -> anyhow::Result<(String, String, String)> {
    let answer = open(identity, email, "").await?;
    let (session, tokens) = (answer.session.unwrap_or_default(), answer.tokens.unwrap_or_default());
    Ok((session.session_id, session.user_id, format!("Bearer {}", tokens.access_token)))
}

/// Opens a session of who has `email`, on the device that has `device_token`, or on a new one.
pub(super) async fn open(identity: &Channel, email: &str, device_token: &str) -> anyhow::Result<CreateSessionResponse> {
    let identifier = Some(Identifier::Email(email.to_owned()));
    let request = CreateSessionRequest { identifier, password: seed::PASSWORD.to_owned(), device_token: device_token.to_owned() };
    Ok(SessionServiceClient::new(identity.clone()).create_session(request).await?.into_inner())
}

impl Actor {
    /// Makes an organization, a workspace and `products` products, and waits until its role is in force in tasks.
    pub(super) async fn prepare(identity: &Channel, tasks: &Channel, products: usize) -> anyhow::Result<Actor> {
        let (_, user_id, outside) = sign_in(identity, seed::PEOPLE[0].0).await?;
        let organization = CreateOrganizationRequest { slug: "bench".into(), display_name: "Bench".into(), ..Default::default() };
        let organization =
            OrganizationServiceClient::new(identity.clone()).create_organization(signed(organization, &outside)?).await?.into_inner();
        let organization_id = organization.organization.unwrap_or_default().organization_id;
        let authorization = switch(identity, &outside, &organization_id).await?;
        let workspace = CreateWorkspaceRequest { slug: "bench".into(), display_name: "Bench".into(), ..Default::default() };
        let workspace =
            WorkspaceServiceClient::new(identity.clone()).create_workspace(signed(workspace, &authorization)?).await?.into_inner();
        let workspace_id = workspace.workspace.unwrap_or_default().workspace_id;
        let mut actor = Actor { authorization, user_id, organization_id, workspace_id, products: Vec::new() };
        for number in 0..products {
            actor.products.push(actor.product(tasks, number).await?);
        }
        Ok(actor)
    }

    /// Creates a product, again for a few seconds while the workspace is on its way to tasks.
    async fn product(&self, tasks: &Channel, number: usize) -> anyhow::Result<String> {
        let mut client = ProductServiceClient::new(tasks.clone());
        let mut backoff = runtime::Backoff::new(std::time::Duration::from_millis(20), std::time::Duration::from_millis(500));
        loop {
            let request = CreateProductRequest {
                workspace_id: self.workspace_id.clone(),
                key: format!("B{number:03}"),
                display_name: "Bench".into(),
                ..Default::default()
            };
            match client.create_product(signed(request, &self.authorization)?).await {
                Ok(answer) => return Ok(answer.into_inner().product.unwrap_or_default().product_id),
                Err(_) if backoff.attempt() < 20 => backoff.wait().await,
                Err(status) => return Err(status.into()),
            }
        }
    }
}

/// Puts the session of `outside` into an organization; answers its bearer header there.
pub(super) async fn switch(identity: &Channel, outside: &str, organization_id: &str) -> anyhow::Result<String> {
    let request = SwitchContextRequest { organization_id: organization_id.to_owned(), ..Default::default() };
    let answer = SessionServiceClient::new(identity.clone()).switch_context(signed(request, outside)?).await?.into_inner();
    Ok(format!("Bearer {}", answer.access_token))
}
