//! Somebody signed in, with an organization, a workspace, products and items that everybody changes; and the one way to call.

use std::{cell::RefCell, time::Duration};

use contract::{
    annotations::v1::BaseRole,
    audit::v1::audit_service_client::AuditServiceClient,
    identity::v1::{
        CreateOrganizationMemberRequest, CreateOrganizationRequest, CreateSessionRequest, CreateWorkspaceRequest, SwitchContextRequest,
        create_organization_member_request::Subject, create_session_request::Identifier,
        organization_member_service_client::OrganizationMemberServiceClient, organization_service_client::OrganizationServiceClient,
        session_service_client::SessionServiceClient, workspace_service_client::WorkspaceServiceClient,
    },
    tasks::v1::{
        CreateProductRequest, CreateWorkItemRequest, WorkItem, product_service_client::ProductServiceClient,
        work_item_service_client::WorkItemServiceClient,
    },
};
use muster::seed;
use runtime::Ids;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Request, Response, Status, transport::Channel};

use crate::suite::{AT_MOST, PERIOD, Suite};

/// The deadline of one try.
pub(crate) const TRY: Duration = Duration::from_secs(3);
/// An access token is good for 15 minutes; a soak takes longer.
const TOKEN: Duration = Duration::from_secs(600);
const PRODUCTS: usize = 3;
const SHARED_ITEMS: usize = 2;

/// Where the writers write.
pub(crate) struct World {
    pub(crate) workspaces: WorkspaceServiceClient<Channel>,
    pub(crate) items: WorkItemServiceClient<Channel>,
    pub(crate) trail: AuditServiceClient<Channel>,
    pub(crate) ids: Ids,
    pub(crate) workspace_id: String,
    pub(crate) product_ids: Vec<String>,
    /// A member of the organization, who never calls.
    pub(crate) assignee_id: String,
    /// Items that several writers change.
    pub(crate) shared: Vec<WorkItem>,
    /// The request ids under which the workspace and the shared items were made.
    pub(crate) made: Vec<String>,
    sessions: SessionServiceClient<Channel>,
    organization_id: String,
    token: RefCell<(String, Instant)>,
}

impl World {
    /// Signs in and makes everything. The services run.
    pub(crate) async fn make(suite: &Suite) -> World {
        suite.seed().await;
        let (identity, tasks) = (suite.channel(identity::NAME), suite.channel(tasks::NAME));
        let mut world = World {
            workspaces: WorkspaceServiceClient::new(identity.clone()),
            items: WorkItemServiceClient::new(tasks.clone()),
            trail: AuditServiceClient::new(suite.channel(audit::NAME)),
            ids: Ids::system(),
            workspace_id: String::new(),
            product_ids: Vec::new(),
            assignee_id: String::new(),
            shared: Vec::new(),
            made: std::iter::repeat_with(|| Ids::system().next().to_string()).take(1 + SHARED_ITEMS).collect(),
            sessions: SessionServiceClient::new(identity.clone()),
            organization_id: String::new(),
            token: RefCell::new((String::new(), Instant::now())),
        };
        world.token = RefCell::new((world.sign_in().await, Instant::now()));
        let organization = CreateOrganizationRequest { slug: "acme".into(), display_name: "Acme".into(), ..Default::default() };
        let mut organizations = OrganizationServiceClient::new(identity.clone());
        let organization = organizations.create_organization(world.request(&world.ids.next().to_string(), organization).await).await;
        world.organization_id = organization.unwrap().into_inner().organization.unwrap().organization_id;
        world.token = RefCell::new((world.sign_in().await, Instant::now()));
        let workspace = until_known(async || {
            let workspace = CreateWorkspaceRequest { slug: "acme".into(), display_name: "Acme".into(), ..Default::default() };
            world.workspaces.clone().create_workspace(world.request(&world.made[0], workspace).await).await
        });
        world.workspace_id = workspace.await.workspace.unwrap().workspace_id;
        for number in 0..PRODUCTS {
            let product = until_known(async || {
                let product = CreateProductRequest {
                    workspace_id: world.workspace_id.clone(),
                    key: format!("P{number}"),
                    display_name: "Shed".into(),
                    ..Default::default()
                };
                ProductServiceClient::new(tasks.clone()).create_product(world.request(&world.ids.next().to_string(), product).await).await
            });
            let product_id = product.await.product.unwrap().product_id;
            world.product_ids.push(product_id);
        }
        let member = CreateOrganizationMemberRequest {
            organization_id: world.organization_id.clone(),
            subject: Some(Subject::Email(seed::PEOPLE[1].0.to_owned())),
            role: BaseRole::Member.into(),
            ..Default::default()
        };
        let mut members = OrganizationMemberServiceClient::new(identity);
        let member = members.create_organization_member(world.request(&world.ids.next().to_string(), member).await).await;
        world.assignee_id = member.unwrap().into_inner().organization_member.unwrap().user_id;
        for request_id in &world.made[1..] {
            let item = until_known(async || {
                let item = CreateWorkItemRequest {
                    workspace_id: world.workspace_id.clone(),
                    product_id: world.product_ids[0].clone(),
                    title: "everybody's".into(),
                    assignee_ids: vec![world.assignee_id.clone()],
                    ..Default::default()
                };
                world.items.clone().create_work_item(world.request(request_id, item).await).await
            });
            let item = item.await.work_item.unwrap();
            world.shared.push(item);
        }
        world
    }

    /// `message` with credentials, a deadline, and `request_id` as correlation id, which its event will carry.
    pub(crate) async fn request<M>(&self, request_id: &str, message: M) -> Request<M> {
        if self.token.borrow().1.elapsed() > TOKEN {
            let token = self.sign_in().await;
            self.token.replace((token, Instant::now()));
        }
        let mut request = Request::new(message);
        request.set_timeout(TRY);
        request.metadata_mut().insert("x-request-id", request_id.parse().unwrap());
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.token.borrow().0).parse().unwrap());
        request
    }

    /// A token of a new session, in the organization once there is one.
    async fn sign_in(&self) -> String {
        let session = answered("signing in", async || {
            let identifier = Some(Identifier::Email(seed::PEOPLE[0].0.to_owned()));
            let request = CreateSessionRequest { identifier, password: seed::PASSWORD.to_owned(), device_token: String::new() };
            self.sessions.clone().create_session(request).await
        });
        let token = session.await.tokens.unwrap().access_token;
        if self.organization_id.is_empty() {
            return token;
        }
        let switched = answered("switching context", async || {
            let mut request =
                Request::new(SwitchContextRequest { organization_id: self.organization_id.clone(), ..SwitchContextRequest::default() });
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
            self.sessions.clone().switch_context(request).await
        });
        switched.await.access_token
    }
}

/// Calls again and again until there is an answer.
///
/// # Panics
/// On an answer that no kill explains, and when none comes.
pub(crate) async fn answered<T>(what: &str, call: impl AsyncFn() -> Result<Response<T>, Status>) -> T {
    let began = Instant::now();
    loop {
        let refused = match timeout(TRY, call()).await {
            Ok(Ok(answer)) => return answer.into_inner(),
            Ok(Err(status)) => status,
            Err(_) => Status::deadline_exceeded("no answer in time"),
        };
        assert!(is_transient(&refused), "{what}: {refused:?}");
        assert!(began.elapsed() < AT_MOST, "{what} was never answered, at last: {refused:?}");
        sleep(PERIOD).await;
    }
}

/// Calls again and again while the service has not heard of the organization, the workspace or the caller's role.
async fn until_known<T>(call: impl AsyncFn() -> Result<Response<T>, Status>) -> T {
    let began = Instant::now();
    loop {
        match call().await {
            Ok(answer) => return answer.into_inner(),
            Err(status) => {
                let unknown = matches!(status.code(), Code::NotFound | Code::PermissionDenied | Code::FailedPrecondition);
                assert!(unknown && began.elapsed() < AT_MOST, "{status:?}");
            }
        }
        sleep(PERIOD).await;
    }
}

/// Whether the same call may go well later. A status without details is none of ours: the connection broke.
fn is_transient(status: &Status) -> bool {
    let may_pass = matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::ResourceExhausted);
    may_pass || status.details().is_empty()
}
