//! Two organizations to look around in. Whatever is there already is left as it is.

use contract::{
    annotations::v1::BaseRole,
    identity::v1::{
        CreateOrganizationMemberRequest, CreateOrganizationRequest, CreateWorkspaceRequest, create_organization_member_request::Subject,
        organization_member_service_client::OrganizationMemberServiceClient, organization_service_client::OrganizationServiceClient,
        workspace_service_client::WorkspaceServiceClient,
    },
    tasks::v1::{
        CreateProductRequest, ImportPlanRequest, product_service_client::ProductServiceClient,
        work_item_service_client::WorkItemServiceClient,
    },
};
use tonic::{Code, transport::Channel};

use super::{ADMIN, PASSWORD, PEOPLE};
use crate::{
    client::{Client, eventually, refused},
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

/// Everybody who is needed: address and name.
pub(super) fn people() -> Vec<(&'static str, &'static str)> {
    PEOPLE.into_iter().chain(MORE).collect()
}

/// Makes what is missing through the gateway, and tells what is there.
///
/// # Errors
/// The first call that is refused.
pub(super) async fn make(channel: Channel) -> anyhow::Result<String> {
    let nobody = Client::new(channel, String::new());
    let (mut things, mut roles) = (Vec::new(), vec![[ADMIN.to_owned(), String::new(), "system admin".to_owned()]]);
    for organization in &ORGANIZATIONS {
        let outside = sign_in(&nobody, organization.owner, &PASSWORD.to_owned().into()).await?;
        let (owner, organization_id) = found(&outside, organization).await?;
        roles.push([organization.owner.to_owned(), organization.slug.to_owned(), "owner".to_owned()]);
        for (email, role) in organization.members {
            add(&owner, &organization_id, email, *role).await?;
            roles.push([(*email).to_owned(), organization.slug.to_owned(), shown(*role).to_owned()]);
        }
        for workspace in organization.workspaces {
            let workspace_id = open(&owner, workspace).await?;
            for (key, name, plan) in workspace.products {
                let items = plan_product(&owner, &workspace_id, key, name, plan).await?;
                let [organization, workspace] = [organization.slug, workspace.slug].map(str::to_owned);
                things.push([organization, workspace, (*key).to_owned(), (*name).to_owned(), items.to_string()]);
            }
        }
    }
    let things = table::render(["organization", "workspace", "product", "name", "items"], &things);
    let roles = table::render(["sign-in", "organization", "role"], &roles);
    Ok(format!("{things}\n{roles}\nEverybody's password is {PASSWORD}"))
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
    let (workspace_id, document, markdown) = (workspace_id.to_owned(), "seed".to_owned(), plan.to_owned());
    let request = owner.request(ImportPlanRequest { workspace_id, product_id, document, markdown, ..Default::default() })?;
    let report = WorkItemServiceClient::new(owner.channel()).import_plan(request).await.map_err(refused)?.into_inner();
    Ok(report.items.len())
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
