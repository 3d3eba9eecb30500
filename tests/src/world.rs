//! Two organizations that know nothing of each other: what most guards start from.

use std::time::Duration;

use muster::{seed, serve::Conditions};
use runtime::Clock;
use serde_json::{Value, json};

use crate::{Actor, Fault, Suite, text};

/// Acme, where ana owns, ben works and vic looks on; globex, which is eve's alone.
pub struct World {
    /// The suite they live in.
    pub suite: Suite,
    /// OWNER of acme, in it.
    pub ana: Actor,
    /// MEMBER of acme, in it.
    pub ben: Actor,
    /// VIEWER of acme, in it.
    pub vic: Actor,
    /// OWNER of globex, in it.
    pub eve: Actor,
    /// Acme.
    pub organization_id: String,
    /// A workspace of acme.
    pub workspace_id: String,
    /// A product of that workspace.
    pub product_id: String,
    /// A work item of that product, created by ana.
    pub work_item_id: String,
    /// Globex.
    pub other_organization_id: String,
}

impl World {
    /// Builds it in `suite`.
    ///
    /// # Panics
    /// When a step is refused.
    pub async fn of(suite: Suite) -> World {
        suite.register("eve").await;
        let (ana, organization_id) = owner(&suite, "ana", "acme").await;
        let (eve, other_organization_id) = owner(&suite, "eve", "globex").await;
        let workspace = json!({"slug": "main", "displayName": "Main"});
        let workspace = done(ana.call("identity.WorkspaceService/CreateWorkspace", workspace).await);
        let workspace_id = text(&workspace, "workspace.workspaceId");
        let mut people = Vec::new();
        for (who, role) in [("ben", "BASE_ROLE_MEMBER"), ("vic", "BASE_ROLE_VIEWER")] {
            let member = json!({"organizationId": organization_id, "email": format!("{who}@muster.example"), "role": role});
            done(ana.call("identity.OrganizationMemberService/CreateOrganizationMember", member).await);
            people.push(done(suite.sign_in(who).await.enter(&organization_id).await));
        }
        suite.settle().await;
        let product = json!({"workspaceId": workspace_id, "key": "ACME", "displayName": "Rockets"});
        let product_id = text(&done(ana.call("tasks.ProductService/CreateProduct", product).await), "product.productId");
        let item = json!({"workspaceId": workspace_id, "productId": product_id, "title": "light the fuse"});
        let work_item_id = text(&done(ana.call("tasks.WorkItemService/CreateWorkItem", item).await), "workItem.workItemId");
        suite.settle().await;
        let [ben, vic] = people.try_into().expect("two people");
        World { suite, ana, ben, vic, eve, organization_id, workspace_id, product_id, work_item_id, other_organization_id }
    }

    /// Ana in acme, with a token that is over: from a replica of identity whose clock is an hour late.
    ///
    /// # Panics
    /// When a step is refused.
    pub async fn ana_of_an_hour_ago(&self) -> Actor {
        let (clock, _) = Clock::fixed(Clock::system().now() - Duration::from_secs(3_600));
        let (late, places) = self.suite.replica("identity", Conditions { clock, ..Conditions::default() }, |_| ()).await;
        let then = done(Actor::nobody(places).sign_in("ana@muster.example", seed::PASSWORD).await);
        // It never is what others call ready: its peers don't take what it signs.
        let then = loop {
            match then.enter(&self.organization_id).await {
                Err(fault) if fault.reason == "NOT_READY" => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                outcome => break done(outcome),
            }
        };
        late.stop().await;
        self.ana.with_token(&then.token)
    }

    /// Ana invites `email` into acme as a MEMBER; answers the invitation's id.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn invite(&self, email: &str) -> String {
        let invitation = json!({"organizationId": self.organization_id, "email": email, "role": "BASE_ROLE_MEMBER"});
        text(&done(self.ana.call("identity.InvitationService/CreateInvitation", invitation).await), "invitation.invitationId")
    }

    /// One more work item, reported by ana; answers its id.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn work_item(&self, title: &str) -> String {
        let item = json!({"workspaceId": self.workspace_id, "productId": self.product_id, "title": title});
        text(&done(self.ana.call("tasks.WorkItemService/CreateWorkItem", item).await), "workItem.workItemId")
    }
}

/// `who`, signed in and in an organization that it made.
async fn owner(suite: &Suite, who: &str, slug: &str) -> (Actor, String) {
    let actor = suite.sign_in(who).await;
    let organization = json!({"slug": slug, "displayName": slug});
    let organization = done(actor.call("identity.OrganizationService/CreateOrganization", organization).await);
    let organization_id = text(&organization, "organization.organizationId");
    suite.settle().await;
    (done(actor.enter(&organization_id).await), organization_id)
}

/// The answer of a call that nobody may refuse here.
///
/// # Panics
/// When it was refused.
#[track_caller]
pub fn done<T>(answer: Result<T, Fault>) -> T {
    answer.unwrap_or_else(|fault| panic!("refused: {fault}"))
}

/// The refusal of a call that must not pass.
///
/// # Panics
/// When it passed.
#[track_caller]
pub fn refused(answer: Result<Value, Fault>) -> Fault {
    answer.map_or_else(|fault| fault, |answer| panic!("it passed: {answer}"))
}
