//! Two organizations to look around in. Whatever is there already is left as it is.

use contract::{
    annotations::v1::BaseRole,
    identity::v1::{
        CreateOrganizationMemberRequest, CreateOrganizationRequest, CreateWorkspaceRequest, create_organization_member_request::Subject,
        organization_member_service_client::OrganizationMemberServiceClient, organization_service_client::OrganizationServiceClient,
        workspace_service_client::WorkspaceServiceClient,
    },
    tasks::v1::{
        CreateProductRequest, GetWorkItemRequest, ImportPlanRequest, ImportedItem, UpdateWorkItemRequest, WorkItem, WorkItemType,
        product_service_client::ProductServiceClient, work_item_service_client::WorkItemServiceClient,
    },
};
use serde::Serialize;
use tonic::{Code, transport::Channel};

use super::{ADMIN, PASSWORD, PEOPLE};
use crate::{
    client::{Client, eventually, refused},
    progress::Progress,
    table,
    token::sign_in,
};

/// People beside those of every development suite: address and name.
const MORE: [(&str, &str); 2] = [("ada@muster.example", "Ada Nwosu"), ("eve@muster.example", "Eve Laurent")];

struct Organization {
    slug: &'static str,
    name: &'static str,
    owner: &'static str,
    members: &'static [(&'static str, BaseRole)],
    workspaces: &'static [Workspace],
}

struct Workspace {
    slug: &'static str,
    name: &'static str,
    /// Key, name, and the plan that becomes its epics and tasks.
    products: &'static [(&'static str, &'static str, &'static str)],
}

const ORGANIZATIONS: [Organization; 2] = [
    Organization {
        slug: "acme",
        name: "Acme",
        owner: "ana@muster.example",
        members: &[
            ("ada@muster.example", BaseRole::Admin),
            ("ben@muster.example", BaseRole::Member),
            ("vic@muster.example", BaseRole::Viewer),
        ],
        workspaces: &[
            Workspace {
                slug: "main",
                name: "Main",
                products: &[
                    ("SHOP", "Web shop", include_str!("shop.md")),
                    ("BOOK", "Bookkeeping", "- [ ] Close the year\n  - [x] Collect invoices\n  - [ ] Reconcile accounts\n"),
                ],
            },
            Workspace {
                slug: "lab",
                name: "Laboratory",
                products: &[("IDEA", "Ideas", "- [ ] Try the new press\n- [ ] Ask three customers\n")],
            },
        ],
    },
    Organization {
        slug: "globex",
        name: "Globex",
        owner: "eve@muster.example",
        members: &[("ben@muster.example", BaseRole::Viewer)],
        workspaces: &[Workspace {
            slug: "main",
            name: "Main",
            products: &[("MOVE", "The move", "- [ ] Find a house\n  - [ ] Visit three\n- [ ] Hire movers\n")],
        }],
    },
];

/// What is there after a seed.
#[derive(Debug, Serialize)]
pub(super) struct Sown {
    products: Vec<SownProduct>,
    people: Vec<SownPerson>,
    /// Everybody's.
    password: &'static str,
}

#[derive(Debug, Serialize)]
struct SownProduct {
    organization: &'static str,
    workspace: &'static str,
    key: &'static str,
    display_name: &'static str,
    item_count: usize,
}

#[derive(Debug, Serialize)]
struct SownPerson {
    email: &'static str,
    /// Of the system admin: none.
    organization: Option<&'static str>,
    role: &'static str,
}

impl Sown {
    /// Two tables and the password.
    pub(super) fn shown(&self) -> String {
        let products = self
            .products
            .iter()
            .map(|one| [one.organization, one.workspace, one.key, one.display_name, &one.item_count.to_string()].map(str::to_owned));
        let people = self.people.iter().map(|one| [one.email, one.organization.unwrap_or_default(), one.role].map(str::to_owned));
        let products = table::render(["organization", "workspace", "product", "name", "items"], &products.collect::<Vec<_>>());
        let people = table::render(["sign-in", "organization", "role"], &people.collect::<Vec<_>>());
        format!("{products}\n{people}\nEverybody's password is {}", self.password)
    }
}

/// Everybody who is needed: address and name.
pub(super) fn people() -> Vec<(&'static str, &'static str)> {
    PEOPLE.into_iter().chain(MORE).collect()
}

/// Makes what is missing through the gateway, and answers what is there.
///
/// # Errors
/// The first call that is refused.
pub(super) async fn make(channel: Channel, progress: &mut Progress) -> anyhow::Result<Sown> {
    let nobody = Client::new(channel, String::new());
    let admin = SownPerson { email: ADMIN, organization: None, role: "system admin" };
    let mut sown = Sown { products: Vec::new(), people: vec![admin], password: PASSWORD };
    for organization in &ORGANIZATIONS {
        progress.during(organization.name, fill(&nobody, organization, &mut sown)).await?;
    }
    Ok(sown)
}

async fn fill(nobody: &Client, organization: &Organization, sown: &mut Sown) -> anyhow::Result<()> {
    let outside = sign_in(nobody, organization.owner, &PASSWORD.to_owned().into()).await?;
    let (owner, organization_id) = found(&outside, organization).await?;
    sown.people.push(SownPerson { email: organization.owner, organization: Some(organization.slug), role: "owner" });
    for (email, role) in organization.members {
        add(&owner, &organization_id, email, *role).await?;
        sown.people.push(SownPerson { email, organization: Some(organization.slug), role: shown(*role) });
    }
    for workspace in organization.workspaces {
        let workspace_id = open(&owner, workspace).await?;
        for (key, display_name, plan) in workspace.products {
            let item_count = plan_product(&owner, &workspace_id, key, display_name, plan).await?;
            let (organization, workspace) = (organization.slug, workspace.slug);
            sown.products.push(SownProduct { organization, workspace, key, display_name, item_count });
        }
    }
    Ok(())
}

/// The owner in the organization, and its id.
async fn found(outside: &Client, organization: &Organization) -> anyhow::Result<(Client, String)> {
    let there = outside.find_organization(organization.slug).await?;
    let organization_id = match there {
        Some(there) => there.organization_id,
        None => {
            let (slug, display_name) = (organization.slug.to_owned(), organization.name.to_owned());
            let request = outside.request(CreateOrganizationRequest { slug, display_name, ..Default::default() })?;
            let made = OrganizationServiceClient::new(outside.channel()).create_organization(request).await.map_err(refused)?;
            made.into_inner().organization.unwrap_or_default().organization_id
        }
    };
    Ok((outside.enter(&organization_id, "").await?, organization_id))
}

async fn add(owner: &Client, organization_id: &str, email: &str, role: BaseRole) -> anyhow::Result<()> {
    let mut members = OrganizationMemberServiceClient::new(owner.channel());
    let added = eventually(
        async || {
            let subject = Some(Subject::Email(email.to_owned()));
            let organization_id = organization_id.to_owned();
            let request = CreateOrganizationMemberRequest { organization_id, role: role.into(), subject, ..Default::default() };
            Ok(match members.create_organization_member(owner.request(request)?).await {
                Err(status) if status.code() == Code::AlreadyExists => Ok(()),
                answer => answer.map(drop),
            })
        },
        Some,
    );
    added.await
}

/// The id of the workspace.
async fn open(owner: &Client, workspace: &Workspace) -> anyhow::Result<String> {
    if let Some(there) = owner.find_workspace(workspace.slug).await? {
        return Ok(there.workspace_id);
    }
    let mut workspaces = WorkspaceServiceClient::new(owner.channel());
    let made = eventually(
        async || {
            let (slug, display_name) = (workspace.slug.to_owned(), workspace.name.to_owned());
            Ok(workspaces.create_workspace(owner.request(CreateWorkspaceRequest { slug, display_name, ..Default::default() })?).await)
        },
        |made| made.into_inner().workspace,
    );
    Ok(made.await?.workspace_id)
}

/// The product with its plan imported; how many items the plan has.
async fn plan_product(owner: &Client, workspace_id: &str, key: &str, name: &str, plan: &str) -> anyhow::Result<usize> {
    let mut products = ProductServiceClient::new(owner.channel());
    // The workspace may be on its way to tasks.
    let product = eventually(
        async || {
            let (workspace_id, key, display_name) = (workspace_id.to_owned(), key.to_owned(), name.to_owned());
            let request = owner.request(CreateProductRequest { workspace_id, key, display_name, ..Default::default() })?;
            Ok(match products.create_product(request).await {
                Err(status) if status.code() == Code::AlreadyExists => Ok(None),
                answer => answer.map(|made| made.into_inner().product),
            })
        },
        Some,
    );
    let product_id = match product.await? {
        Some(made) => made.product_id,
        None => owner.product(workspace_id, key).await?.product_id,
    };
    // The epics first: what an import puts under one is a task, and under a task a subtask.
    for epic in import(owner, workspace_id, &product_id, epics(plan)).await? {
        raise(owner, workspace_id, &epic.work_item_id).await?;
    }
    Ok(import(owner, workspace_id, &product_id, plan.to_owned()).await?.len())
}

/// The lines of `plan` at its top that have others under them.
fn epics(plan: &str) -> String {
    let lines: Vec<&str> = plan.lines().collect();
    let heads = lines.windows(2).filter(|pair| pair[0].starts_with("- [") && pair[1].starts_with(' '));
    heads.map(|pair| format!("{}\n", pair[0])).collect()
}

/// The items of a plan once it is imported; of an empty one none.
async fn import(owner: &Client, workspace_id: &str, product_id: &str, markdown: String) -> anyhow::Result<Vec<ImportedItem>> {
    if markdown.is_empty() {
        return Ok(Vec::new());
    }
    let (workspace_id, product_id, document) = (workspace_id.to_owned(), product_id.to_owned(), "seed".to_owned());
    let request = owner.request(ImportPlanRequest { workspace_id, product_id, document, markdown, ..Default::default() })?;
    Ok(WorkItemServiceClient::new(owner.channel()).import_plan(request).await.map_err(refused)?.into_inner().items)
}

/// Makes a task an epic, unless subtasks stand under it.
async fn raise(owner: &Client, workspace_id: &str, work_item_id: &str) -> anyhow::Result<()> {
    let mut items = WorkItemServiceClient::new(owner.channel());
    let (workspace_id, work_item_id) = (workspace_id.to_owned(), work_item_id.to_owned());
    let get = GetWorkItemRequest { workspace_id: workspace_id.clone(), work_item_id: work_item_id.clone() };
    let there = items.get_work_item(owner.request(get)?).await.map_err(refused)?.into_inner().work_item.unwrap_or_default();
    if there.r#type() != WorkItemType::Task {
        return Ok(());
    }
    let epic = WorkItem { work_item_id, r#type: WorkItemType::Epic.into(), ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["type".to_owned()] });
    let update = UpdateWorkItemRequest { workspace_id, work_item: Some(epic), update_mask, etag: there.etag, ..Default::default() };
    match items.update_work_item(owner.request(update)?).await {
        Err(status) if status.code() == Code::FailedPrecondition => Ok(()),
        answer => answer.map(drop).map_err(refused),
    }
}

fn shown(role: BaseRole) -> &'static str {
    match role {
        BaseRole::Owner => "owner",
        BaseRole::Admin => "admin",
        BaseRole::Member => "member",
        BaseRole::Viewer => "viewer",
        BaseRole::Unspecified => "",
    }
}
