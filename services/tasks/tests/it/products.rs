use contract::tasks::v1::{ListProductsRequest, ProductCreated};
use testkit::assert_fault;

use crate::verbs::{NOTHING, Verbs, app};

#[tokio::test]
async fn a_member_creates_a_product_and_the_world_is_told() {
    let app = app().await;
    let ana = app.member("ana").await;
    let product = ana.create_product("SHED").await.unwrap();
    assert_eq!(ana.get_product(&product.product_id).await.unwrap(), product);
    assert_eq!((&*product.key, &*product.etag, &product.workspace_id), ("SHED", "1", &ana.workspace()));
    assert_eq!(app.emitted().await, [format!("muster.tasks.v1.product.created.{}", ana.organization_id)]);
    assert_eq!(app.events::<ProductCreated>().await[0].after.as_ref(), Some(&product));
}

#[tokio::test]
async fn a_key_is_given_once_in_a_workspace() {
    let app = app().await;
    let ana = app.member("ana").await;
    ana.create_product("SHED").await.unwrap();
    assert_fault!(ana.create_product("SHED").await, AlreadyExists, "PRODUCT_KEY_TAKEN");
    let elsewhere = ana.in_workspace(app.add_workspace().await);
    elsewhere.create_product("SHED").await.unwrap();
}

#[tokio::test]
async fn a_viewer_sees_products_and_makes_none_and_an_outsider_sees_no_workspace() {
    let app = app().await;
    let product = app.member("ana").await.create_product("SHED").await.unwrap();
    let vic = app.viewer("vic").await;
    assert_eq!(vic.get_product(&product.product_id).await.unwrap(), product);
    assert_fault!(vic.create_product("BARN").await, PermissionDenied, "PERMISSION_DENIED");
    assert_fault!(vic.get_product(NOTHING).await, NotFound, "PRODUCT_NOT_FOUND");
    let eve = app.outsider("eve").await;
    assert_fault!(eve.get_product(&product.product_id).await, NotFound, "PRODUCT_NOT_FOUND");
    let eve = eve.in_workspace(vic.workspace_id);
    assert_fault!(eve.get_product(&product.product_id).await, NotFound, "WORKSPACE_NOT_FOUND");
}

#[tokio::test]
async fn products_are_listed_oldest_first_page_by_page() {
    let app = app().await;
    let ana = app.member("ana").await;
    for key in ["CC", "AA", "BB"] {
        ana.create_product(key).await.unwrap();
    }
    let list = async |page_token: String| {
        let request = ListProductsRequest { workspace_id: ana.workspace(), page_size: 2, page_token };
        let page = ana.products().list_products(request).await.unwrap().into_inner();
        (page.products.into_iter().map(|product| product.key).collect::<Vec<_>>(), page.next_page_token)
    };
    let (first, token) = list(String::new()).await;
    assert_eq!((first, list(token).await), (vec!["CC".to_owned(), "AA".to_owned()], (vec!["BB".to_owned()], String::new())));
}
