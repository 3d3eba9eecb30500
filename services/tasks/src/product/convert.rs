//! Products on the wire and back.

use contract::tasks::v1 as pb;
use contract::time::timestamp;

use super::{NewProduct, Product};
use crate::error::Error;
use crate::work_item::convert::id;

impl From<&Product> for pb::Product {
    fn from(product: &Product) -> Self {
        pb::Product {
            product_id: product.product_id.to_string(),
            workspace_id: product.workspace_id.to_string(),
            key: product.key.clone(),
            display_name: product.display_name.clone(),
            etag: product.version.to_string(),
            create_time: Some(timestamp(product.create_time)),
            update_time: Some(timestamp(product.update_time)),
        }
    }
}

impl TryFrom<pb::CreateProductRequest> for NewProduct {
    type Error = Error;

    fn try_from(request: pb::CreateProductRequest) -> Result<Self, Error> {
        let workspace_id = id("workspace_id", &request.workspace_id)?;
        Ok(NewProduct { workspace_id, key: request.key, display_name: request.display_name })
    }
}
