//! What one can do with products.

use db::{Db, Kind, Order, Page};
use rpc::Caller;
use runtime::{Ids, WorkspaceId};

use super::{NewProduct, Product, ProductId, store};
use crate::{error::Error, events};

/// The use cases of products.
#[derive(Clone)]
pub struct Ops {
    db: Db,
    ids: Ids,
}

impl Ops {
    /// Over `db`.
    pub fn new(db: Db, ids: Ids) -> Self {
        Ops { db, ids }
    }

    /// Creates a product.
    ///
    /// # Errors
    /// `PRODUCT_KEY_TAKEN`, `REQUEST_ID_REUSED`.
    /// # Emits
    /// `ProductCreated`, same transaction.
    pub async fn create(&self, caller: &Caller, new: NewProduct) -> Result<Product, Error> {
        let write = self.db.write(caller, async |tx| {
            let product = Product::new(self.ids.next_id(), tx.organization_id(), new, tx.now());
            store::insert(tx, &product).await?;
            tx.emit(events::product_created(&product));
            Ok(product)
        });
        write.await
    }

    /// One product of a workspace.
    ///
    /// # Errors
    /// `PRODUCT_NOT_FOUND`.
    pub async fn get(&self, caller: &Caller, workspace_id: WorkspaceId, product_id: ProductId) -> Result<Product, Error> {
        self.db.read(caller, async |tx| store::get(tx, workspace_id, product_id).await?.ok_or(Error::ProductNotFound)).await
    }

    /// A page of a workspace's products, oldest first.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID`.
    pub async fn list(&self, caller: &Caller, workspace_id: WorkspaceId, page_size: i32, page_token: &str) -> Result<Page<Product>, Error> {
        let order = Order::asc("create_time", Kind::Time, "product_id");
        let page = self.db.page(caller, page_size, page_token, order, &[&workspace_id.to_string()])?;
        Ok(self.db.read(caller, async |tx| store::list(tx, workspace_id, &page).await).await?)
    }
}
