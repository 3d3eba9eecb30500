//! What happens: an organization is made, somebody is invited by mail and joins, a plan is worked on, everybody who should hear of it does.

use anyhow::Context;
use contract::{
    annotations::v1::BaseRole,
    audit::v1::{ListEventsRequest, audit_service_client::AuditServiceClient},
    authorization::v1::{ListRolesRequest, authorization_service_client::AuthorizationServiceClient},
    identity::v1::{
        AcceptInvitationAsNewUserRequest, CreateInvitationRequest, CreateOrganizationRequest, CreateWorkspaceRequest,
        ListOrganizationsRequest, PreviewInvitationRequest, RevokeSessionRequest, invitation_service_client::InvitationServiceClient,
        organization_service_client::OrganizationServiceClient, session_service_client::SessionServiceClient,
        workspace_service_client::WorkspaceServiceClient,
    },
    notifications::v1::{
        GetMailRequest, GetUnreadCountRequest, ListInboxItemsRequest, ListMailsRequest, MarkReadRequest,
        inbox_service_client::InboxServiceClient, mailbox_service_client::MailboxServiceClient,
    },
    tasks::v1::{
        CreateProductRequest, DeleteWorkItemRequest, ImportPlanRequest, ListProductsRequest, TransitionWorkItemRequest,
        UpdateWorkItemRequest, WatchWorkItemsRequest, WatchWorkItemsResponse, WorkItem, WorkItemState,
        product_service_client::ProductServiceClient, work_item_service_client::WorkItemServiceClient,
    },
};
use prost_types::FieldMask;
use runtime::{Ids, SecretString};
use secrecy::ExposeSecret;
use tonic::{Streaming, transport::Channel};

use super::steps::{Failed, Steps, is_refused};
use crate::{
    client::{Client, eventually, refused},
    token::sign_in,
};

/// Who is there before the story begins.
pub(super) struct Cast {
    /// Who owns the organization.
    pub(super) owner: String,
    /// The system admin, who reads the development mailbox.
    pub(super) admin: String,
    /// The password of both; those who join take it too.
    pub(super) password: SecretString,
}

/// Where the story plays.
struct Stage<'a> {
    nobody: Client,
    cast: &'a Cast,
    /// Part of every name, so that no other story is met.
    mark: String,
    steps: &'a mut Steps,
}

/// Where the work is done.
struct Site {
    organization_id: String,
    workspace_id: String,
    product_id: String,
}

/// Tells the story, which takes `steps`.
///
/// # Errors
/// The first step that went wrong.
pub(super) async fn tell(channel: Channel, cast: &Cast, plan: String, steps: &mut Steps) -> Result<(), Failed> {
    let id = Ids::system().next().simple().to_string();
    let mark = id.chars().skip(20).collect();
    let mut stage = Stage { nobody: Client::new(channel, String::new()), cast, mark, steps };
    let (owner, site) = stage.found().await?;
    let member = stage.invite(&owner, &site, "member", BaseRole::Member).await?;
    let viewer = stage.invite(&owner, &site, "viewer", BaseRole::Viewer).await?;
    let work_item_id = stage.work(&owner, &member, &viewer, &site, plan).await?;
    stage.hear(&owner, &member, &work_item_id).await?;
    stage.leave(&member, &site).await
}

impl Stage<'_> {
    /// The owner signs in and makes an organization with a workspace and a product.
    async fn found(&mut self) -> Result<(Client, Site), Failed> {
        let (nobody, cast, mark) = (self.nobody.clone(), self.cast, self.mark.clone());
        let steps = &mut *self.steps;
        let outside =
            steps.take("the owner signs in", "SessionService/CreateSession", sign_in(&nobody, &cast.owner, &cast.password)).await?;
        let create = async {
            let request = CreateOrganizationRequest { slug: format!("demo-{mark}"), display_name: "Demo".into(), ..Default::default() };
            let made = OrganizationServiceClient::new(outside.channel()).create_organization(outside.request(request)?).await;
            Ok(made.map_err(refused)?.into_inner().organization.unwrap_or_default().organization_id)
        };
        let organization_id = steps.take("makes an organization", "OrganizationService/CreateOrganization", create).await?;
        let owner = steps.take("enters it", "SessionService/SwitchContext", outside.enter(&organization_id, "")).await?;
        let mut workspaces = WorkspaceServiceClient::new(owner.channel());
        let create = eventually(
            async || {
                let request = CreateWorkspaceRequest { slug: "main".into(), display_name: "Main".into(), ..Default::default() };
                Ok(workspaces.create_workspace(owner.request(request)?).await)
            },
            |made| made.into_inner().workspace,
        );
        let workspace_id = steps.take("makes a workspace", "WorkspaceService/CreateWorkspace", create).await?.workspace_id;
        let mut products = ProductServiceClient::new(owner.channel());
        let create = eventually(
            async || {
                let (workspace_id, display_name) = (workspace_id.clone(), "Demo".to_owned());
                let request = CreateProductRequest { workspace_id, key: "DEMO".into(), display_name, ..Default::default() };
                Ok(products.create_product(owner.request(request)?).await)
            },
            |made| made.into_inner().product,
        );
        let product_id = steps.take("makes a product in it", "ProductService/CreateProduct", create).await?.product_id;
        Ok((owner, Site { organization_id, workspace_id, product_id }))
    }

    /// The owner invites somebody, who finds the mail, joins as a new person, signs in and enters.
    async fn invite(&mut self, owner: &Client, site: &Site, who: &str, role: BaseRole) -> Result<Client, Failed> {
        let (nobody, cast) = (self.nobody.clone(), self.cast);
        let email = format!("{who}-{}@demo.example", self.mark);
        let steps = &mut *self.steps;
        let invite = async {
            let organization_id = site.organization_id.clone();
            let request = CreateInvitationRequest { organization_id, email: email.clone(), role: role.into(), ..Default::default() };
            InvitationServiceClient::new(owner.channel()).create_invitation(owner.request(request)?).await.map_err(refused)?;
            Ok(())
        };
        steps.take(invites(role), "InvitationService/CreateInvitation", invite).await?;
        let token = steps.take("whose mail arrives", "MailboxService/ListMails, GetMail", mailed_token(&nobody, cast, &email)).await?;
        let mut invitations = InvitationServiceClient::new(nobody.channel());
        let preview = async {
            let request = PreviewInvitationRequest { invitation_token: token.clone() };
            let shown = invitations.clone().preview_invitation(nobody.request(request)?).await.map_err(refused)?.into_inner();
            anyhow::ensure!(shown.email == email && shown.role() == role, "the invitation is another one: {shown:?}");
            Ok(())
        };
        steps.take("who reads what it offers", "InvitationService/PreviewInvitation", preview).await?;
        let accept = async {
            let (password, display_name) = (cast.password.expose_secret().to_owned(), who.to_owned());
            let request = AcceptInvitationAsNewUserRequest { invitation_token: token.clone(), password, display_name };
            invitations.accept_invitation_as_new_user(nobody.request(request)?).await.map_err(refused)?;
            Ok(())
        };
        steps.take("and joins", "InvitationService/AcceptInvitationAsNewUser", accept).await?;
        let come_in = async {
            let outside = sign_in(&nobody, &email, &cast.password).await?;
            outside.enter(&site.organization_id, "").await
        };
        steps.take("signs in and enters", "SessionService/CreateSession, SwitchContext", come_in).await
    }

    /// A plan is imported, and its first item assigned and started; who only looks on changes nothing; and the owner saw it live.
    async fn work(&mut self, owner: &Client, member: &Client, viewer: &Client, site: &Site, plan: String) -> Result<String, Failed> {
        let steps = &mut *self.steps;
        let workspace_id = || site.workspace_id.clone();
        let mut items = WorkItemServiceClient::new(owner.channel());
        let watch = async {
            let request = owner.request(WatchWorkItemsRequest { workspace_id: workspace_id(), ..Default::default() })?;
            let mut changes = items.clone().watch_work_items(request).await.map_err(refused)?.into_inner();
            changes.message().await.map_err(refused)?.context("a watch begins with a bookmark")?;
            Ok(changes)
        };
        let mut changes = steps.take("the owner watches the workspace", "WorkItemService/WatchWorkItems", watch).await?;
        let import = async {
            let (product_id, document) = (site.product_id.clone(), "demo".to_owned());
            let request = ImportPlanRequest { workspace_id: workspace_id(), product_id, document, markdown: plan, ..Default::default() };
            let report = items.clone().import_plan(owner.request(request)?).await.map_err(refused)?.into_inner();
            report.items.into_iter().next().map(|item| item.work_item_id).context("the plan has no item")
        };
        let work_item_id = steps.take("imports a plan", "WorkItemService/ImportPlan", import).await?;
        let assign = eventually(
            async || {
                let assignee_ids = vec![user_id(member).await?];
                let work_item = WorkItem { work_item_id: work_item_id.clone(), assignee_ids, ..WorkItem::default() };
                let update_mask = Some(FieldMask { paths: vec!["assignee_ids".into()] });
                let (workspace_id, work_item) = (workspace_id(), Some(work_item));
                let request = UpdateWorkItemRequest { workspace_id, work_item, update_mask, ..Default::default() };
                Ok(items.update_work_item(owner.request(request)?).await)
            },
            |changed| changed.into_inner().work_item,
        );
        steps.take("assigns its first item to the new member", "WorkItemService/UpdateWorkItem", assign).await?;
        let mut members_items = WorkItemServiceClient::new(member.channel());
        let start = eventually(
            async || {
                let (work_item_id, state) = (work_item_id.clone(), WorkItemState::InProgress.into());
                let request = TransitionWorkItemRequest { workspace_id: workspace_id(), work_item_id, state, ..Default::default() };
                Ok(members_items.transition_work_item(member.request(request)?).await)
            },
            |started| started.into_inner().work_item,
        );
        steps.take("who starts to work on it", "WorkItemService/TransitionWorkItem", start).await?;
        let delete = async {
            let request = DeleteWorkItemRequest { workspace_id: workspace_id(), work_item_id: work_item_id.clone(), ..Default::default() };
            let answer = WorkItemServiceClient::new(viewer.channel()).delete_work_item(viewer.request(request)?).await;
            is_refused(answer, "PERMISSION_DENIED")
        };
        steps.take("the viewer can't delete it", "WorkItemService/DeleteWorkItem", delete).await?;
        let seen = seen_live(&mut changes, &work_item_id);
        steps.take("the owner saw all of it live", "WorkItemService/WatchWorkItems", seen).await?;
        Ok(work_item_id)
    }

    /// The member finds the assignment in the inbox, and the owner the whole of it in the audit trail.
    async fn hear(&mut self, owner: &Client, member: &Client, work_item_id: &str) -> Result<(), Failed> {
        let steps = &mut *self.steps;
        let mut inbox = InboxServiceClient::new(member.channel());
        let find = eventually(
            async || Ok(inbox.list_inbox_items(member.request(ListInboxItemsRequest::default())?).await),
            |page| page.into_inner().inbox_items.into_iter().find(|item| item.resource_id == work_item_id),
        );
        let item = steps.take("the member is told of the assignment", "InboxService/ListInboxItems", find).await?;
        let mark = async {
            let request = MarkReadRequest { inbox_item_id: item.inbox_item_id };
            let read = inbox.mark_read(member.request(request)?).await.map_err(refused)?.into_inner().inbox_item.unwrap_or_default();
            anyhow::ensure!(read.read_time.is_some(), "it is not read");
            Ok(())
        };
        steps.take("and marks it as read", "InboxService/MarkRead", mark).await?;
        let mut audit = AuditServiceClient::new(owner.channel());
        let trail = eventually(
            async || {
                let filter = format!("resource_id = \"{work_item_id}\"");
                Ok(audit.list_events(owner.request(ListEventsRequest { filter, ..Default::default() })?).await)
            },
            |page| (page.into_inner().audit_events.len() >= 3).then_some(()),
        );
        steps.take("the owner reads who did what", "AuditService/ListEvents", trail).await
    }

    /// The member signs out, and no service takes the token any more.
    async fn leave(&mut self, member: &Client, site: &Site) -> Result<(), Failed> {
        let sign_out = async {
            let request = member.request(RevokeSessionRequest::default())?;
            SessionServiceClient::new(member.channel()).revoke_session(request).await.map_err(refused)?;
            Ok(())
        };
        self.steps.take("the member signs out", "SessionService/RevokeSession", sign_out).await?;
        self.steps.take("and every service refuses the token", "one method of each", refused_everywhere(member, site)).await
    }
}

fn invites(role: BaseRole) -> &'static str {
    if role == BaseRole::Viewer { "the owner invites a viewer" } else { "the owner invites a member" }
}

/// The token in the mail to `email`, as the system admin finds it in the development mailbox.
async fn mailed_token(nobody: &Client, cast: &Cast, email: &str) -> anyhow::Result<String> {
    let admin = sign_in(nobody, &cast.admin, &cast.password).await?;
    let mut mailbox = MailboxServiceClient::new(admin.channel());
    let mail_id = eventually(
        async || Ok(mailbox.list_mails(admin.request(ListMailsRequest { page_size: 1_000, ..Default::default() })?).await),
        |page| page.into_inner().mails.into_iter().find(|mail| mail.to == email).map(|mail| mail.mail_id),
    );
    let request = GetMailRequest { mail_id: mail_id.await? };
    let text = mailbox.get_mail(admin.request(request)?).await.map_err(refused)?.into_inner().mail.unwrap_or_default().text;
    let token = text.split("#token=").nth(1).and_then(|rest| rest.split_whitespace().next());
    token.map(str::to_owned).context("the mail has no link")
}

async fn user_id(client: &Client) -> anyhow::Result<String> {
    let request = client.request(contract::identity::v1::GetUserRequest::default())?;
    let users = contract::identity::v1::user_service_client::UserServiceClient::new(client.channel()).get_user(request).await;
    Ok(users.map_err(refused)?.into_inner().user.unwrap_or_default().user_id)
}

/// Reads the watch until the item was created, assigned and started, in that order.
async fn seen_live(changes: &mut Streaming<WatchWorkItemsResponse>, work_item_id: &str) -> anyhow::Result<()> {
    let mut seen = Vec::new();
    let read = async {
        while seen.len() < 3 {
            let message = changes.message().await.map_err(refused)?.context("the watch ended")?;
            let item = message.change.and_then(|change| change.work_item).filter(|item| item.work_item_id == work_item_id);
            seen.extend(item.map(|item| (!item.assignee_ids.is_empty(), item.state() == WorkItemState::InProgress)));
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), read).await.context("the watch did not show it within 10 s")??;
    anyhow::ensure!(seen == [(false, false), (true, false), (true, true)], "the watch showed another order: {seen:?}");
    Ok(())
}

/// One method of each service, until all refuse the token.
async fn refused_everywhere(member: &Client, site: &Site) -> anyhow::Result<()> {
    let channel = || member.channel();
    let organizations = async || {
        let request = member.request(ListOrganizationsRequest::default())?;
        anyhow::Ok(OrganizationServiceClient::new(channel()).list_organizations(request).await.map(drop))
    };
    let roles = async || {
        let request = member.request(ListRolesRequest::default())?;
        anyhow::Ok(AuthorizationServiceClient::new(channel()).list_roles(request).await.map(drop))
    };
    let products = async || {
        let request = member.request(ListProductsRequest { workspace_id: site.workspace_id.clone(), ..Default::default() })?;
        anyhow::Ok(ProductServiceClient::new(channel()).list_products(request).await.map(drop))
    };
    let trail = async || {
        let request = member.request(ListEventsRequest::default())?;
        anyhow::Ok(AuditServiceClient::new(channel()).list_events(request).await.map(drop))
    };
    let unread = async || {
        let request = member.request(GetUnreadCountRequest::default())?;
        anyhow::Ok(InboxServiceClient::new(channel()).get_unread_count(request).await.map(drop))
    };
    // A revocation is heard within a second.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    for (service, answer) in [
        ("identity", organizations().await?),
        ("authorization", roles().await?),
        ("tasks", products().await?),
        ("audit", trail().await?),
        ("notifications", unread().await?),
    ] {
        is_refused(answer, "TOKEN_REVOKED").context(service)?;
    }
    Ok(())
}
