//! What actors do in these tests.

use contract::tasks::v1::product_service_client::ProductServiceClient;
use contract::tasks::v1::work_item_service_client::WorkItemServiceClient;
use contract::tasks::v1::{
    CreateProductRequest, CreateWorkItemRequest, DeleteWorkItemRequest, GetProductRequest, GetWorkItemRequest, ImportPlanRequest,
    ImportPlanResponse, ListWorkItemsRequest, ListWorkItemsResponse, Product, TransitionWorkItemRequest, UndeleteWorkItemRequest,
    UpdateWorkItemRequest, WatchWorkItemsRequest, WatchWorkItemsResponse, WorkItem, WorkItemState,
};
use tasks::Config;
use testkit::{Actor, App};
use tonic::{Status, Streaming};

/// The service as it comes.
pub(crate) async fn app() -> App {
    app_with(Config::default()).await
}

/// The service with other settings.
pub(crate) async fn app_with(config: Config) -> App {
    App::of(tasks::NAME, tasks::SCHEMA, &tasks::MIGRATIONS, async move |deps| tasks::build(deps, &config).await).await
}

/// A UUID that names nothing.
pub(crate) const NOTHING: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

pub(crate) trait Verbs {
    fn items(&self) -> WorkItemServiceClient<testkit::Channel>;
    fn products(&self) -> ProductServiceClient<testkit::Channel>;
    fn workspace(&self) -> String;

    async fn create_product(&self, key: &str) -> Result<Product, Status> {
        let (workspace_id, display_name) = (self.workspace(), format!("product {key}"));
        let request = CreateProductRequest { workspace_id, key: key.to_owned(), display_name, ..CreateProductRequest::default() };
        Ok(self.products().create_product(request).await?.into_inner().product.unwrap())
    }

    async fn get_product(&self, product_id: &str) -> Result<Product, Status> {
        let request = GetProductRequest { workspace_id: self.workspace(), product_id: product_id.to_owned() };
        Ok(self.products().get_product(request).await?.into_inner().product.unwrap())
    }

    async fn create_work_item(&self, product: &Product, title: &str) -> Result<WorkItem, Status> {
        self.create_work_item_with(product, title, |_| ()).await
    }

    async fn create_work_item_with(
        &self,
        product: &Product,
        title: &str,
        with: impl FnOnce(&mut CreateWorkItemRequest),
    ) -> Result<WorkItem, Status> {
        let (workspace_id, product_id) = (self.workspace(), product.product_id.clone());
        let mut request = CreateWorkItemRequest { workspace_id, product_id, title: title.to_owned(), ..CreateWorkItemRequest::default() };
        with(&mut request);
        Ok(self.items().create_work_item(request).await?.into_inner().work_item.unwrap())
    }

    async fn create_child(&self, parent: &WorkItem, r#type: i32, title: &str) -> Result<WorkItem, Status> {
        let product = Product { product_id: parent.product_id.clone(), ..Product::default() };
        let parent_id = parent.work_item_id.clone();
        self.create_work_item_with(&product, title, |request| (request.parent_id, request.r#type) = (parent_id, r#type)).await
    }

    async fn get_work_item(&self, work_item_id: &str) -> Result<WorkItem, Status> {
        let request = GetWorkItemRequest { workspace_id: self.workspace(), work_item_id: work_item_id.to_owned() };
        Ok(self.items().get_work_item(request).await?.into_inner().work_item.unwrap())
    }

    /// Sends `item` with its etag; the mask names `paths`.
    async fn update_work_item(&self, item: &WorkItem, paths: &[&str]) -> Result<WorkItem, Status> {
        let update_mask = Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
        let (workspace_id, work_item, etag) = (self.workspace(), Some(item.clone()), item.etag.clone());
        let request = UpdateWorkItemRequest { workspace_id, work_item, update_mask, etag, ..UpdateWorkItemRequest::default() };
        Ok(self.items().update_work_item(request).await?.into_inner().work_item.unwrap())
    }

    async fn transition_work_item(&self, item: &WorkItem, state: WorkItemState) -> Result<WorkItem, Status> {
        let (workspace_id, work_item_id, etag) = (self.workspace(), item.work_item_id.clone(), item.etag.clone());
        let request =
            TransitionWorkItemRequest { workspace_id, work_item_id, state: state.into(), etag, ..TransitionWorkItemRequest::default() };
        Ok(self.items().transition_work_item(request).await?.into_inner().work_item.unwrap())
    }

    async fn delete_work_item(&self, item: &WorkItem) -> Result<WorkItem, Status> {
        let (workspace_id, work_item_id, etag) = (self.workspace(), item.work_item_id.clone(), item.etag.clone());
        let request = DeleteWorkItemRequest { workspace_id, work_item_id, etag, ..DeleteWorkItemRequest::default() };
        Ok(self.items().delete_work_item(request).await?.into_inner().work_item.unwrap())
    }

    async fn undelete_work_item(&self, item: &WorkItem) -> Result<WorkItem, Status> {
        let (workspace_id, work_item_id) = (self.workspace(), item.work_item_id.clone());
        let request = UndeleteWorkItemRequest { workspace_id, work_item_id, ..UndeleteWorkItemRequest::default() };
        Ok(self.items().undelete_work_item(request).await?.into_inner().work_item.unwrap())
    }

    async fn list_work_items(&self, with: impl FnOnce(&mut ListWorkItemsRequest)) -> Result<ListWorkItemsResponse, Status> {
        let mut request = ListWorkItemsRequest { workspace_id: self.workspace(), ..ListWorkItemsRequest::default() };
        with(&mut request);
        Ok(self.items().list_work_items(request).await?.into_inner())
    }

    /// The titles of all pages of a list, `page_size` at a time.
    async fn titles(&self, page_size: i32, with: impl Fn(&mut ListWorkItemsRequest)) -> Vec<String> {
        let (mut titles, mut page_token) = (Vec::new(), String::new());
        loop {
            let page = self.list_work_items(|request| {
                with(request);
                (request.page_size, request.page_token) = (page_size, page_token);
            });
            let page = page.await.unwrap();
            titles.extend(page.work_items.into_iter().map(|item| item.title));
            if page.next_page_token.is_empty() {
                return titles;
            }
            page_token = page.next_page_token;
        }
    }

    async fn import_plan(&self, product: &Product, markdown: &str) -> Result<ImportPlanResponse, Status> {
        self.import_plan_with(product, markdown, |_| ()).await
    }

    async fn import_plan_with(
        &self,
        product: &Product,
        markdown: &str,
        with: impl FnOnce(&mut ImportPlanRequest),
    ) -> Result<ImportPlanResponse, Status> {
        let (workspace_id, product_id, markdown) = (self.workspace(), product.product_id.clone(), markdown.to_owned());
        let document = "plan.md".to_owned();
        let mut request = ImportPlanRequest { workspace_id, product_id, document, markdown, ..ImportPlanRequest::default() };
        with(&mut request);
        Ok(self.items().import_plan(request).await?.into_inner())
    }

    async fn watch(&self, resume_token: &str) -> Result<Streaming<WatchWorkItemsResponse>, Status> {
        let request = WatchWorkItemsRequest { workspace_id: self.workspace(), resume_token: resume_token.to_owned() };
        Ok(self.items().watch_work_items(request).await?.into_inner())
    }
}

impl Verbs for Actor {
    fn items(&self) -> WorkItemServiceClient<testkit::Channel> {
        WorkItemServiceClient::new(self.channel())
    }

    fn products(&self) -> ProductServiceClient<testkit::Channel> {
        ProductServiceClient::new(self.channel())
    }

    fn workspace(&self) -> String {
        self.workspace_id.to_string()
    }
}
