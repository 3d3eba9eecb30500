//! MailboxService: decode, do, encode.

use contract::notifications::v1::mailbox_service_server::MailboxService;
use contract::notifications::v1::{self as pb, GetMailRequest, GetMailResponse, ListMailsRequest, ListMailsResponse};
use contract::time::timestamp;
use tonic::{Request, Response, Status};

use super::{Content, Kept, ops::Ops};
use crate::error::Error;

/// Serves the development mailbox.
#[derive(Clone)]
pub(crate) struct Grpc {
    ops: Ops,
}

impl Grpc {
    /// Over `ops`.
    pub(crate) fn new(ops: Ops) -> Self {
        Grpc { ops }
    }
}

#[tonic::async_trait]
impl MailboxService for Grpc {
    async fn list_mails(&self, req: Request<ListMailsRequest>) -> Result<Response<ListMailsResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let page = self.ops.list(&caller, &req.filter, req.page_size, &req.page_token).await?;
        let without_text = |mail| pb::Mail { text: String::new(), html: String::new(), ..whole(mail) };
        let mails = page.items.into_iter().map(without_text).collect();
        Ok(Response::new(ListMailsResponse { mails, next_page_token: page.next_page_token }))
    }

    async fn get_mail(&self, req: Request<GetMailRequest>) -> Result<Response<GetMailResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let id = req.mail_id.parse().map_err(|_| Error::MailNotFound)?;
        Ok(Response::new(GetMailResponse { mail: Some(whole(self.ops.get(&caller, id).await?)) }))
    }
}

fn whole((kept, content): (Kept, Content)) -> pb::Mail {
    pb::Mail {
        mail_id: kept.mail_id.to_string(),
        delivery_id: kept.delivery_id.to_string(),
        organization_id: kept.organization_id.to_string(),
        template: kept.template,
        to: content.to,
        subject: content.subject,
        text: content.text,
        html: content.html,
        create_time: Some(timestamp(kept.create_time)),
    }
}
