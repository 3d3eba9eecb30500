//! Making the projection anew from identity's list of all memberships, when events no longer tell: at the first start, and when the bus has
//! forgotten events that were not taken.
//!
//! The list is true at a position of identity's log. What it says is taken in like an event of that position: rows that know of a later one stay
//! as they are, and the events after it find their place. Who is not in it belongs nowhere.
//!
//! Deliberately absent: telling when it is needed, which is the inbox's.

use std::collections::{BTreeMap, HashMap};

use authz::{RoleScope, Workspace};
use contract::BaseRole;
use contract::identity::v1::membership_service_client::MembershipServiceClient;
use contract::identity::v1::{ListMembershipsRequest, Membership};
use db::{Db, Tx};
use events::Outcome;
use rpc::Caller;
use rpc::client::Channel;
use runtime::OrganizationId;

use super::{Assignment, convert, ops, store};
use crate::{NAME, workspace};

/// Changes of one transaction.
const CHUNK: usize = 500;

/// The way from identity's list to our tables.
pub struct Rebuild {
    db: Db,
    identity: MembershipServiceClient<Channel>,
}

/// What identity says, as of one position of its log.
#[derive(Debug, Default)]
struct List {
    assignments: Vec<Assignment>,
    workspaces: Vec<Workspace>,
    position: i64,
}

impl Rebuild {
    /// From `identity` into `db`.
    pub fn new(db: Db, identity: Channel) -> Self {
        Rebuild { db, identity: MembershipServiceClient::new(identity) }
    }

    /// Brings our tables to what identity says now. What is right already is left alone, so it may be done again.
    ///
    /// # Errors
    /// [`Outcome::Retry`] when identity does not answer, [`Outcome::Poison`] when its list can't be read; those of the database.
    /// # Emits
    /// `AssignmentChanged` and `WorkspaceAdded` for what was not right.
    pub async fn run(&self) -> Result<(), Outcome> {
        let list = self.list().await?;
        let held = self.db.work(async |tx: &mut db::WorkTx| store::all(tx).await).await?;
        let (position, known, listed) = (list.position, held.len(), list.assignments.len());
        let news = news(list.assignments, held, position);
        for workspaces in list.workspaces.chunk_by(|a, b| a.organization == b.organization).flat_map(|same| same.chunks(CHUNK)) {
            let take = async |tx: &mut Tx| {
                for one in workspaces {
                    workspace::ops::take(tx, *one).await?;
                }
                Ok::<_, Outcome>(())
            };
            self.db.write_unrecorded(&Caller::background(NAME, workspaces[0].organization, None), take).await?;
        }
        let mut changed = 0;
        for (organization, news) in news {
            for some in news.chunks(CHUNK) {
                let take = async |tx: &mut Tx| {
                    for one in some {
                        ops::take(tx, *one).await?;
                    }
                    Ok::<_, Outcome>(())
                };
                self.db.write_unrecorded(&Caller::background(NAME, organization, None), take).await?;
                changed += some.len();
            }
        }
        tracing::info!(service = NAME, position, listed, known, changed, "roles were taken over from identity's list");
        Ok(())
    }

    async fn list(&self) -> Result<List, Outcome> {
        let away = |status: tonic::Status| Outcome::Retry(format!("identity's list: {} ({:?})", status.message(), status.code()));
        let mut pages = self.identity.clone().list_memberships(ListMembershipsRequest {}).await.map_err(away)?.into_inner();
        let mut list = List::default();
        while let Some(page) = pages.message().await.map_err(away)? {
            list.position = page.position;
            for membership in &page.memberships {
                list.assignments.push(assignment(membership, page.position)?);
            }
            for place in &page.workspaces {
                let (organization, workspace) =
                    (convert::tenant(&place.organization_id)?, convert::id(&place.workspace_id, "workspace_id")?);
                list.workspaces.push(Workspace { organization, workspace });
            }
            if page.last {
                list.workspaces.sort_by_key(|workspace| workspace.organization);
                return Ok(list);
            }
        }
        Err(Outcome::Retry("identity's list ended early".to_owned()))
    }
}

fn assignment(membership: &Membership, position: i64) -> Result<Assignment, Outcome> {
    let Membership { user_id, organization_id, workspace_id, version, .. } = membership;
    let (scope, source_version) = match (organization_id.is_empty(), workspace_id.is_empty()) {
        (true, _) => (RoleScope::System, position),
        (false, true) => (RoleScope::Organization(convert::tenant(organization_id)?), *version),
        (false, false) => (RoleScope::Workspace(convert::tenant(organization_id)?, convert::id(workspace_id, "workspace_id")?), *version),
    };
    if membership.role() == BaseRole::Unspecified {
        return Err(Outcome::Poison("the member has no role".to_owned()));
    }
    let user_id = convert::id(user_id, "user_id")?;
    Ok(Assignment { user_id, scope, role: Some(membership.role()), source_version, source_position: position })
}

/// What has to be taken in so that `held` becomes `listed`, by organization. Rows that know of a later event than `position` refuse it.
fn news(listed: Vec<Assignment>, held: Vec<Assignment>, position: i64) -> BTreeMap<OrganizationId, Vec<Assignment>> {
    let place = |one: &Assignment| (one.organization_id(), one.workspace_id(), one.user_id);
    let mut held: HashMap<_, Assignment> = held.into_iter().map(|held| (place(&held), held)).collect();
    let mut news: BTreeMap<OrganizationId, Vec<Assignment>> = BTreeMap::new();
    let mut take = |one: Assignment| news.entry(one.organization_id()).or_default().push(one);
    for one in listed {
        let right = held.remove(&place(&one)).is_some_and(|held| {
            // The system tier has no versions of its own.
            held.role == one.role && (one.scope == RoleScope::System || held.source_version >= one.source_version)
        });
        if !right {
            take(one);
        }
    }
    for gone in held.into_values().filter(|held| held.role.is_some()) {
        take(Assignment { role: None, source_version: gone.source_version + 1, source_position: position, ..gone });
    }
    news
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn held(user: u128, role: Option<BaseRole>, source_version: i64, source_position: i64) -> Assignment {
        let scope = RoleScope::Organization(Uuid::from_u128(1).into());
        Assignment { user_id: Uuid::from_u128(user).into(), scope, role, source_version, source_position }
    }

    const OWNER: Option<BaseRole> = Some(BaseRole::Owner);
    const VIEWER: Option<BaseRole> = Some(BaseRole::Viewer);

    #[test]
    fn what_is_right_is_left_alone_and_the_rest_is_taken_over() {
        let listed = vec![held(2, OWNER, 3, 90), held(3, VIEWER, 2, 90), held(4, VIEWER, 1, 90)];
        let before = vec![held(2, OWNER, 3, 7), held(3, OWNER, 1, 8), held(5, OWNER, 4, 9), held(6, None, 2, 5)];
        let news = news(listed, before, 90);
        let told: Vec<Assignment> = news.into_values().flatten().collect();
        assert_eq!(told, [held(3, VIEWER, 2, 90), held(4, VIEWER, 1, 90), held(5, None, 5, 90)], "changed, new, and gone");
    }

    #[test]
    fn an_admin_of_the_system_is_known_without_a_version() {
        let admin = |role, position| Assignment { scope: RoleScope::System, ..held(2, role, position, position) };
        assert!(news(vec![admin(OWNER, 90)], vec![admin(OWNER, 7)], 90).is_empty());
        assert_eq!(news(vec![admin(OWNER, 90)], vec![admin(None, 7)], 90)[&OrganizationId::SYSTEM], [admin(OWNER, 90)]);
        let gone = news(vec![], vec![admin(OWNER, 7)], 90)[&OrganizationId::SYSTEM][0];
        assert_eq!((gone.role, gone.source_position), (None, 90));
    }
}
