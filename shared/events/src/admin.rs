//! `muster.common.v1.EventAdminService`: an operator's view of the log, the relay, and the dead letters. For the admin port.
//!
//! Deliberately absent: publishing again from a chosen position. The relay compares the stream with the log after every connection and fills
//! what is missing by itself; a second copy of what is there would be dropped by the server or by the inboxes.

use contract::common::v1 as pb;
use contract::common::v1::event_admin_service_server::{EventAdminService, EventAdminServiceServer};
use contract::time::timestamp;
use db::{Cursor, Kind, Order, Sealer};
use sqlx::AssertSqlSafe;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::inbox::{Letter, counts, letters, pending};
use crate::{Error, Log, Logged};

/// Events of a page, unless the request says.
const PAGE_SIZE: i64 = 50;

/// The service over one log.
#[derive(Clone)]
pub struct EventAdmin {
    log: Log,
}

impl EventAdmin {
    /// The service over `log`.
    pub fn new(log: Log) -> Self {
        Self { log }
    }

    /// The same, ready to be added to the admin port's routes.
    pub fn server(log: Log) -> EventAdminServiceServer<Self> {
        EventAdminServiceServer::new(Self::new(log))
    }

    async fn event_status(&self) -> Result<pb::GetEventStatusResponse, Error> {
        let outbox = self.log.db().work_read_one(AssertSqlSafe(self.log.sql().outbox.as_str()), |query| query);
        let (outbox_rows, _): (i64, Option<time::OffsetDateTime>) = outbox.await?;
        let (head_position, published_position) = self.log.positions().await?;
        let leader = self.log.is_leader();
        Ok(pb::GetEventStatusResponse { outbox_rows, head_position, published_position, leader, consumers: self.consumers().await? })
    }

    /// The consumers this process runs, and those that have dead letters from before.
    async fn consumers(&self) -> Result<Vec<pb::ConsumerStatus>, Error> {
        let mut buried = counts(&self.log).await?;
        let mut consumers = Vec::new();
        for (consumer, sources) in self.log.consumers() {
            let mut all = Some(0);
            for source in sources {
                let some = pending(&self.log, consumer, source).await.and_then(|some| i64::try_from(some).ok());
                all = all.zip(some).map(|(all, some)| all + some);
            }
            let letters = buried.iter().position(|(name, _)| name == consumer).map_or(0, |index| buried.swap_remove(index).1);
            consumers.push(pb::ConsumerStatus { consumer: consumer.to_owned(), pending: all, dead_letters: letters });
        }
        consumers.extend(buried.into_iter().map(|(consumer, dead_letters)| pb::ConsumerStatus { consumer, pending: None, dead_letters }));
        Ok(consumers)
    }

    async fn logged_events(&self, request: pb::ListLoggedEventsRequest) -> Result<pb::ListLoggedEventsResponse, Error> {
        let size = if request.page_size == 0 { PAGE_SIZE } else { i64::from(request.page_size) };
        let mut events = self.log.read(request.from_position.max(1) - 1, size + 1).await?;
        let more = i64::try_from(events.len()).unwrap_or(0) > size;
        let next_position = if more { events.pop().map_or(0, |event| event.position()) } else { 0 };
        Ok(pb::ListLoggedEventsResponse { events: events.into_iter().map(logged).collect(), next_position })
    }

    async fn dead_letters(&self, caller: &rpc::Caller, request: &pb::ListDeadLettersRequest) -> Result<pb::ListDeadLettersResponse, Error> {
        let order = Order::asc("create_time", Kind::Time, "dead_letter_id");
        let page = self.log.db().page(caller, request.page_size, &request.page_token, order, &[&request.consumer])?;
        let rows = letters(&self.log, &request.consumer, (page.after_time(), page.after_id()), page.limit()).await?;
        let page = page
            .finish(rows, |letter| Cursor::time(letter.create_time, letter.dead_letter_id))
            .map(|letter| dead_letter(letter, self.log.db().sealer()));
        Ok(pb::ListDeadLettersResponse { dead_letters: page.items, next_page_token: page.next_page_token })
    }

    /// Marks a dead letter; its consumer tries it within a second.
    async fn replay(&self, caller: &rpc::Caller, dead_letter_id: Uuid) -> Result<(), Error> {
        let sql = self.log.sql();
        let mark = async |tx: &mut db::Tx| {
            let letter = self.lock_letter(tx, dead_letter_id).await?;
            if letter.replayed {
                return Ok(());
            }
            let now = tx.now();
            let marked = sqlx::query(AssertSqlSafe(sql.replay.as_str())).bind(dead_letter_id).bind(now).execute(tx.conn()).await;
            marked.map_err(db::Error::from)?;
            let Locked { consumer, event_id, organization_id, .. } = letter;
            let (dead_letter_id, event_id) = (dead_letter_id.to_string(), event_id.to_string());
            tx.emit(pb::DeadLetterReplayed { dead_letter_id, consumer, event_id, organization_id: organization_id.to_string() });
            Ok(())
        };
        self.log.db().write_unrecorded(caller, mark).await
    }

    async fn drop_letter(&self, caller: &rpc::Caller, dead_letter_id: Uuid) -> Result<(), Error> {
        let sql = self.log.sql();
        let delete = async |tx: &mut db::Tx| {
            let Locked { consumer, event_id, organization_id, .. } = self.lock_letter(tx, dead_letter_id).await?;
            let deleted = sqlx::query(AssertSqlSafe(sql.drop_letter.as_str())).bind(dead_letter_id).execute(tx.conn()).await;
            deleted.map_err(db::Error::from)?;
            let (dead_letter_id, event_id) = (dead_letter_id.to_string(), event_id.to_string());
            tx.emit(pb::DeadLetterDropped { dead_letter_id, consumer, event_id, organization_id: organization_id.to_string() });
            Ok(())
        };
        self.log.db().write_unrecorded(caller, delete).await
    }

    async fn lock_letter(&self, tx: &mut db::Tx, dead_letter_id: Uuid) -> Result<Locked, Error> {
        let query = sqlx::query_as(AssertSqlSafe(self.log.sql().letter.as_str())).bind(dead_letter_id);
        query.fetch_optional(tx.conn()).await.map_err(db::Error::from)?.ok_or(Error::DeadLetterNotFound)
    }
}

/// A dead letter that nobody else changes until the transaction ends.
#[derive(sqlx::FromRow)]
struct Locked {
    consumer: String,
    event_id: Uuid,
    organization_id: Uuid,
    replayed: bool,
}

#[tonic::async_trait]
impl EventAdminService for EventAdmin {
    async fn get_event_status(&self, req: Request<pb::GetEventStatusRequest>) -> Result<Response<pb::GetEventStatusResponse>, Status> {
        rpc::open(req)?;
        Ok(Response::new(self.event_status().await?))
    }

    async fn list_logged_events(
        &self,
        req: Request<pb::ListLoggedEventsRequest>,
    ) -> Result<Response<pb::ListLoggedEventsResponse>, Status> {
        let (_, req) = rpc::open(req)?;
        Ok(Response::new(self.logged_events(req).await?))
    }

    async fn list_dead_letters(&self, req: Request<pb::ListDeadLettersRequest>) -> Result<Response<pb::ListDeadLettersResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        Ok(Response::new(self.dead_letters(&caller, &req).await?))
    }

    async fn replay_dead_letter(
        &self,
        req: Request<pb::ReplayDeadLetterRequest>,
    ) -> Result<Response<pb::ReplayDeadLetterResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        self.replay(&caller, letter_id(&req.dead_letter_id)?).await?;
        Ok(Response::new(pb::ReplayDeadLetterResponse {}))
    }

    async fn drop_dead_letter(&self, req: Request<pb::DropDeadLetterRequest>) -> Result<Response<pb::DropDeadLetterResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        self.drop_letter(&caller, letter_id(&req.dead_letter_id)?).await?;
        Ok(Response::new(pb::DropDeadLetterResponse {}))
    }
}

/// `rpc::open` has checked that it is a UUID.
fn letter_id(text: &str) -> Result<Uuid, Error> {
    text.parse().map_err(|_| Error::DeadLetterNotFound)
}

fn logged(event: Logged) -> pb::LoggedEvent {
    pb::LoggedEvent { envelope: Some(event.envelope), body: event.body }
}

fn dead_letter(letter: Letter, sealer: &Sealer) -> pb::DeadLetter {
    pb::DeadLetter {
        dead_letter_id: letter.dead_letter_id.to_string(),
        event: Some(logged(letter.event(sealer))),
        consumer: letter.consumer,
        cause: letter.cause,
        attempts: letter.attempts,
        create_time: Some(timestamp(letter.create_time)),
    }
}
