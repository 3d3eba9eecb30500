//! WorkItemService: decode, do, encode.

use contract::tasks::v1::work_item_service_server::WorkItemService;
use contract::tasks::v1::{
    CreateWorkItemRequest, CreateWorkItemResponse, DeleteWorkItemRequest, DeleteWorkItemResponse, GetWorkItemRequest, GetWorkItemResponse,
    ImportPlanRequest, ImportPlanResponse, ListWorkItemsRequest, ListWorkItemsResponse, TransitionWorkItemRequest,
    TransitionWorkItemResponse, UndeleteWorkItemRequest, UndeleteWorkItemResponse, UpdateWorkItemRequest, UpdateWorkItemResponse,
    WatchWorkItemsRequest, WatchWorkItemsResponse,
};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tonic::{Request, Response, Status};

use super::convert::{change, id, state};
use super::{ops::Ops, watch::Watcher};
use crate::plan;

/// Serves work items.
#[derive(Clone)]
pub struct Grpc {
    ops: Ops,
    plans: plan::ops::Ops,
    watcher: Watcher,
}

impl Grpc {
    /// Over the use cases of items, of plans, and over the watcher.
    pub fn new(ops: Ops, plans: plan::ops::Ops, watcher: Watcher) -> Self {
        Grpc { ops, plans, watcher }
    }
}

#[tonic::async_trait]
impl WorkItemService for Grpc {
    type WatchWorkItemsStream = BoxStream<'static, Result<WatchWorkItemsResponse, Status>>;

    async fn create_work_item(&self, req: Request<CreateWorkItemRequest>) -> Result<Response<CreateWorkItemResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let item = self.ops.create(&caller, req.try_into()?).await?;
        Ok(Response::new(CreateWorkItemResponse { work_item: Some((&item).into()) }))
    }

    async fn get_work_item(&self, req: Request<GetWorkItemRequest>) -> Result<Response<GetWorkItemResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let (workspace, item) = (id("workspace_id", &req.workspace_id)?, id("work_item_id", &req.work_item_id)?);
        let item = self.ops.get(&caller, workspace, item).await?;
        Ok(Response::new(GetWorkItemResponse { work_item: Some((&item).into()) }))
    }

    async fn list_work_items(&self, req: Request<ListWorkItemsRequest>) -> Result<Response<ListWorkItemsResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let (page, total) = self.ops.list(&caller, &req.try_into()?).await?;
        let work_items = page.items.iter().map(Into::into).collect();
        let (next_page_token, total_size) = (page.next_page_token, total.unwrap_or_default());
        Ok(Response::new(ListWorkItemsResponse { work_items, next_page_token, total_size }))
    }

    async fn update_work_item(&self, req: Request<UpdateWorkItemRequest>) -> Result<Response<UpdateWorkItemResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let (workspace, etag) = (id("workspace_id", &req.workspace_id)?, req.etag.clone());
        let (item, change) = change(req)?;
        let item = self.ops.update(&caller, workspace, item, change, &etag).await?;
        Ok(Response::new(UpdateWorkItemResponse { work_item: Some((&item).into()) }))
    }

    async fn transition_work_item(&self, req: Request<TransitionWorkItemRequest>) -> Result<Response<TransitionWorkItemResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let (workspace, item) = (id("workspace_id", &req.workspace_id)?, id("work_item_id", &req.work_item_id)?);
        let item = self.ops.transition(&caller, workspace, item, state(req.state())?, &req.etag).await?;
        Ok(Response::new(TransitionWorkItemResponse { work_item: Some((&item).into()) }))
    }

    async fn delete_work_item(&self, req: Request<DeleteWorkItemRequest>) -> Result<Response<DeleteWorkItemResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let (workspace, item) = (id("workspace_id", &req.workspace_id)?, id("work_item_id", &req.work_item_id)?);
        let item = self.ops.delete(&caller, workspace, item, &req.etag).await?;
        Ok(Response::new(DeleteWorkItemResponse { work_item: Some((&item).into()) }))
    }

    async fn undelete_work_item(&self, req: Request<UndeleteWorkItemRequest>) -> Result<Response<UndeleteWorkItemResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let (workspace, item) = (id("workspace_id", &req.workspace_id)?, id("work_item_id", &req.work_item_id)?);
        let item = self.ops.undelete(&caller, workspace, item).await?;
        Ok(Response::new(UndeleteWorkItemResponse { work_item: Some((&item).into()) }))
    }

    async fn import_plan(&self, req: Request<ImportPlanRequest>) -> Result<Response<ImportPlanResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let report = self.plans.import(&caller, req.try_into()?).await?;
        Ok(Response::new(report.into()))
    }

    async fn watch_work_items(&self, req: Request<WatchWorkItemsRequest>) -> Result<Response<Self::WatchWorkItemsStream>, Status> {
        let (caller, req) = rpc::open(req)?;
        let changes = self.watcher.watch(&caller, id("workspace_id", &req.workspace_id)?, &req.resume_token).await?;
        Ok(Response::new(changes.map_err(Status::from).boxed()))
    }
}
