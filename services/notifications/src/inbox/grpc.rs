//! InboxService: decode, do, encode.

use contract::notifications::v1::inbox_service_server::InboxService;
use contract::notifications::v1::{
    ArchiveInboxItemRequest, ArchiveInboxItemResponse, GetUnreadCountRequest, GetUnreadCountResponse, ListInboxItemsRequest,
    ListInboxItemsResponse, MarkAllReadRequest, MarkAllReadResponse, MarkReadRequest, MarkReadResponse, WatchInboxRequest,
    WatchInboxResponse,
};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tonic::{Request, Response, Status};

use super::{ops::Ops, watch::Watcher};
use crate::error::Error;

/// Serves inboxes.
#[derive(Clone)]
pub(crate) struct Grpc {
    ops: Ops,
    watcher: Watcher,
}

impl Grpc {
    /// Over the use cases and the watcher.
    pub(crate) fn new(ops: Ops, watcher: Watcher) -> Self {
        Grpc { ops, watcher }
    }
}

#[tonic::async_trait]
impl InboxService for Grpc {
    type WatchInboxStream = BoxStream<'static, Result<WatchInboxResponse, Status>>;

    async fn list_inbox_items(&self, req: Request<ListInboxItemsRequest>) -> Result<Response<ListInboxItemsResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let page = self.ops.list(&caller, &req.filter, req.show_archived, req.page_size, &req.page_token).await?;
        let inbox_items = page.items.iter().map(Into::into).collect();
        Ok(Response::new(ListInboxItemsResponse { inbox_items, next_page_token: page.next_page_token }))
    }

    async fn get_unread_count(&self, req: Request<GetUnreadCountRequest>) -> Result<Response<GetUnreadCountResponse>, Status> {
        let (caller, _) = rpc::open(req)?;
        let count = self.ops.unread_count(&caller).await?;
        Ok(Response::new(GetUnreadCountResponse { unread_count: i32::try_from(count).unwrap_or(i32::MAX) }))
    }

    async fn mark_read(&self, req: Request<MarkReadRequest>) -> Result<Response<MarkReadResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let id = req.inbox_item_id.parse().map_err(|_| Error::InboxItemNotFound)?;
        let item = self.ops.mark_read(&caller, id).await?;
        Ok(Response::new(MarkReadResponse { inbox_item: Some((&item).into()) }))
    }

    async fn mark_all_read(&self, req: Request<MarkAllReadRequest>) -> Result<Response<MarkAllReadResponse>, Status> {
        let (caller, _) = rpc::open(req)?;
        let count = self.ops.mark_all_read(&caller).await?;
        Ok(Response::new(MarkAllReadResponse { read_count: i64::try_from(count).unwrap_or(i64::MAX) }))
    }

    async fn archive_inbox_item(&self, req: Request<ArchiveInboxItemRequest>) -> Result<Response<ArchiveInboxItemResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let id = req.inbox_item_id.parse().map_err(|_| Error::InboxItemNotFound)?;
        let item = self.ops.archive(&caller, id).await?;
        Ok(Response::new(ArchiveInboxItemResponse { inbox_item: Some((&item).into()) }))
    }

    async fn watch_inbox(&self, req: Request<WatchInboxRequest>) -> Result<Response<Self::WatchInboxStream>, Status> {
        let (caller, req) = rpc::open(req)?;
        let changes = self.watcher.watch(&caller, &req.resume_token).await?;
        Ok(Response::new(changes.map_err(Status::from).boxed()))
    }
}
