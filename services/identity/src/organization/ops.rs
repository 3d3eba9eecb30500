//! Use cases of organizations.

use std::time::Duration;

use db::{Db, Kind, Order, Page, Tx};
use rpc::Caller;
use runtime::{OrganizationId, UserId};
use uuid::Uuid;

use super::{Organization, store};
use crate::error::Error;
use crate::events;
use crate::member::{Member, Role, store as members};

/// Oldest first.
const ORDER: Order = Order::asc("create_time", Kind::Time, "organization_id");

/// Organizations.
#[derive(Clone)]
pub struct Ops {
    /// The service's tables.
    pub db: Db,
    /// How long a creation waits for its owner to be known to the authorizer.
    pub propagation_wait: Duration,
}

impl Ops {
    /// Creates an organization with the caller as its OWNER. The call acts in the new organization: its rows, its events and its stored
    /// answer belong there.
    ///
    /// # Errors
    /// `SLUG_TAKEN`, `REQUEST_ID_REUSED`.
    /// # Emits
    /// `OrganizationCreated`, `OrganizationMemberCreated`; same transaction.
    pub async fn create(&self, caller: &Caller, slug: String, display_name: String) -> Result<Organization, Error> {
        let user_id = caller.user_id()?;
        let id = self.new_id(caller, user_id);
        let caller = caller.with_organization(id);
        let organization = self
            .db
            .write(&caller, async |tx: &mut Tx| {
                let now = tx.now();
                let organization = Organization { id, slug, display_name, version: 1, create_time: now, update_time: now };
                let (organization_id, role) = (id, Role::Owner);
                let owner = Member { organization_id, workspace_id: None, user_id, role, version: 1, create_time: now, update_time: now };
                store::insert(tx, &organization).await?;
                members::insert(tx, &owner).await?;
                tx.emit(events::organization_created(&organization));
                events::emit_member_created(tx, &owner);
                Ok::<_, Error>(organization)
            })
            .await?;
        // The next call of the owner should find them in force; if not, it is told so by being refused for a moment.
        let at_most = self.propagation_wait.min(caller.deadline().remaining() / 2);
        caller.authorizer().wait_for(user_id, id, None, 1, at_most).await;
        Ok(organization)
    }

    /// A repeat must land in the organization that the first call made, to find its answer there: so the id is derived from the request id,
    /// under the user's own id as namespace. Without a request id it is new.
    fn new_id(&self, caller: &Caller, user_id: UserId) -> OrganizationId {
        match caller.request() {
            Some(key) => Uuid::new_v5(&user_id.uuid(), key.request_id.as_bytes()).into(),
            None => self.db.ids().next_id(),
        }
    }

    /// The organization of the call.
    ///
    /// # Errors
    /// `ORGANIZATION_NOT_FOUND`.
    pub async fn get(&self, caller: &Caller) -> Result<Organization, Error> {
        let organization = self.db.read(caller, async |tx: &mut Tx| store::find(tx, caller.organization_id()).await).await?;
        organization.ok_or_else(|| rpc::Error::OrganizationNotFound.into())
    }

    /// A page of the organizations the caller is a member of, oldest first.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID`.
    pub async fn list(&self, caller: &Caller, page_size: i32, page_token: &str) -> Result<Page<Organization>, Error> {
        let user_id = caller.user_id()?.to_string();
        let page = self.db.page(caller, page_size, page_token, ORDER, &[&user_id])?;
        self.db.read(caller, async |tx: &mut Tx| store::list_mine(tx, &page).await).await
    }
}
