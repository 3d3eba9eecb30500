//! How soon people hear of it: a change to the inbox of who watches it, and mails to an SMTP server on the same machine.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use contract::{
    BaseRole,
    identity::v1::{
        CreateOrganizationMemberRequest, create_organization_member_request::Subject,
        organization_member_service_client::OrganizationMemberServiceClient,
    },
    notifications::v1::{WatchInboxRequest, WatchInboxResponse, inbox_service_client::InboxServiceClient},
    tasks::v1::{CreateWorkItemRequest, work_item_service_client::WorkItemServiceClient},
};
use futures::{StreamExt, stream::FuturesUnordered};
use sqlx::{Connection, PgConnection};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::{MissedTickBehavior, interval},
};
use tonic::Streaming;

use super::{
    actor::{sign_in, signed, switch},
    events::until,
    figures::{Run, figure},
    load::{self, percentile},
    process::Process,
    report::Figure,
    suite,
};
use crate::seed;

/// Assignments of the run that measures the way of one, and the time between two.
const ASSIGNMENTS: usize = 300;
const EVERY: Duration = Duration::from_millis(20);
/// Mails that lie ready when the senders start.
const MAILS: usize = 3_000;

/// Whoever is told.
struct Listener {
    user_id: String,
    watch: Streaming<WatchInboxResponse>,
}

impl Run<'_> {
    /// The way of one change to a watcher, and the rate of mails.
    pub(super) async fn notifications(&self) -> anyhow::Result<Vec<Figure>> {
        let listener = self.listener().await?;
        let user_id = listener.user_id.clone();
        let told = self.told(listener).await?;
        load::rest().await;
        Ok(vec![told, self.mails(&user_id).await?])
    }

    /// A member of the organization who watches the own inbox.
    async fn listener(&self) -> anyhow::Result<Listener> {
        let identity = self.suite.channel(identity::NAME)?;
        let (_, user_id, outside) = sign_in(&identity, seed::PEOPLE[1].0).await?;
        let member = CreateOrganizationMemberRequest {
            organization_id: self.actor.organization_id.clone(),
            subject: Some(Subject::UserId(user_id.clone())),
            role: BaseRole::Member.into(),
            ..Default::default()
        };
        let mut members = OrganizationMemberServiceClient::new(identity.clone());
        members.create_organization_member(signed(member, &self.actor.authorization)?).await?;
        let authorization = switch(&identity, &outside, &self.actor.organization_id).await?;
        let mut inbox = InboxServiceClient::new(self.suite.channel(notifications::NAME)?);
        let watch = inbox.watch_inbox(signed(WatchInboxRequest::default(), &authorization)?).await?.into_inner();
        let mut backoff = runtime::Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
        while let Err(error) = self.assign(&user_id).await {
            // The membership is on its way to tasks.
            anyhow::ensure!(backoff.attempt() < 20, error);
            backoff.wait().await;
        }
        Ok(Listener { user_id, watch })
    }

    /// Creates a work item for `user_id`.
    async fn assign(&self, user_id: &str) -> anyhow::Result<()> {
        let request = CreateWorkItemRequest {
            workspace_id: self.actor.workspace_id.clone(),
            product_id: self.actor.products[0].clone(),
            title: "paint the shed".into(),
            assignee_ids: vec![user_id.to_owned()],
            ..Default::default()
        };
        WorkItemServiceClient::new(self.tasks.clone()).create_work_item(signed(request, &self.actor.authorization)?).await?;
        Ok(())
    }

    /// From the answer of the change to the message on the watcher's stream, at fifty assignments a second.
    async fn told(&self, mut listener: Listener) -> anyhow::Result<Figure> {
        // That of the assignment by which the membership was found out.
        heard(&mut listener.watch).await?;
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let assigning = async {
            let mut answered = Vec::with_capacity(ASSIGNMENTS);
            for _ in 0..ASSIGNMENTS {
                ticks.tick().await;
                // One after the other: the log tells of them in this order.
                self.assign(&listener.user_id).await?;
                answered.push(Instant::now());
            }
            anyhow::Ok(answered)
        };
        let hearing = async {
            let mut arrived = Vec::with_capacity(ASSIGNMENTS);
            for _ in 0..ASSIGNMENTS {
                heard(&mut listener.watch).await?;
                arrived.push(Instant::now());
            }
            anyhow::Ok(arrived)
        };
        let (answered, arrived) = tokio::try_join!(assigning, hearing)?;
        let mut took: Vec<Duration> =
            arrived.iter().zip(&answered).map(|(arrived, answered)| arrived.saturating_duration_since(*answered)).collect();
        took.sort();
        let (p50, p99) = (percentile(&took, 50), percentile(&took, 99));
        Ok(figure(
            "assignment answered to told on the assignee's inbox stream",
            format!("p50 {p50:.1?}, p99 {p99:.1?}"),
            format!("{ASSIGNMENTS} assignments, one every {EVERY:?}, a mail of each"),
            "p99 ≤ 200 ms",
            p99 <= Duration::from_millis(200),
        ))
    }

    /// How many mails a second one process hands over, with identity asked for each address.
    async fn mails(&self, user_id: &str) -> anyhow::Result<Figure> {
        let sink = Sink::bind().await?;
        let mut conn = PgConnection::connect(&self.suite.database_url()).await?;
        let usual = &self.services[notifications::NAME];
        usual.pause()?;
        let sent = self.sent(&sink, &mut conn, user_id).await;
        usual.wake()?;
        conn.close().await?;
        Ok(figure(
            "mails to an SMTP server on the same machine, one process",
            format!("{:.0}/s", sent?),
            format!("a backlog of {MAILS}, each of a person whom identity is asked for"),
            "stated",
            true,
        ))
    }

    /// Mails a second, from the first to the last.
    async fn sent(&self, sink: &Sink, conn: &mut PgConnection, user_id: &str) -> anyhow::Result<f64> {
        sqlx::query(
            "INSERT INTO notifications.delivery (organization_id, delivery_id, recipient_id, event_id, channel, category, template, data, state,
                 attempt_count, attempt_limit, unknown_count, due_time, create_time, update_time)
             SELECT $1, gen_random_uuid(), $2, gen_random_uuid(), 1, 3, 'assigned',
                 '{\"key\": \"B000-1\", \"title\": \"paint the shed\", \"work_item_id\": \"1\"}', 1, 0, 10, 0, now(), now(), now()
             FROM generate_series(1, $3)",
        )
        .bind(self.actor.organization_id.parse::<uuid::Uuid>()?)
        .bind(user_id.parse::<uuid::Uuid>()?)
        .bind(i32::try_from(MAILS)?)
        .execute(&mut *conn)
        .await?;
        let _sender = self.sender(sink.address)?;
        let written = until(conn, "SELECT NOT EXISTS (SELECT FROM notifications.delivery WHERE state IN (1, 2))");
        sink.rate(written).await
    }

    /// A notifications of its own, which sends to `sink`.
    fn sender(&self, sink: SocketAddr) -> anyhow::Result<Process> {
        let (port, admin_port) = (suite::free_port()?, suite::free_port()?);
        let settings = [
            format!("notifications.port={port}"),
            format!("notifications.admin_port={admin_port}"),
            format!("notifications.smtp.host={}", sink.ip()),
            format!("notifications.smtp.port={}", sink.port()),
            "notifications.smtp.security=none".to_owned(),
        ];
        let mut arguments = vec!["serve", "notifications"];
        for setting in &settings {
            arguments.extend(["--set", setting]);
        }
        self.suite.start(&arguments)
    }
}

/// Waits for the next change; bookmarks are passed over.
async fn heard(watch: &mut Streaming<WatchInboxResponse>) -> anyhow::Result<()> {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(30), watch.message()).await??.context("a watch does not end")?;
        if message.change.is_some_and(|change| change.inbox_item.is_some()) {
            return Ok(());
        }
    }
}

/// An SMTP server that takes everything and keeps nothing.
struct Sink {
    listener: TcpListener,
    address: SocketAddr,
    /// When each mail was taken.
    taken: Mutex<Vec<Instant>>,
}

impl Sink {
    async fn bind() -> anyhow::Result<Sink> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        Ok(Sink { listener, address, taken: Mutex::default() })
    }

    /// Serves until `written` says that all is over; answers how many mails a second came, from the first to the last.
    async fn rate(&self, written: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<f64> {
        let mut connections = FuturesUnordered::new();
        tokio::pin!(written);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => connections.push(self.converse(accepted?.0)),
                Some(ended) = connections.next() => ended?,
                over = &mut written => {
                    over?;
                    break;
                }
            }
        }
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, last) = taken.first().zip(taken.last()).context("a mail came")?;
        anyhow::ensure!(taken.len() == MAILS, "{} mails came of {MAILS}", taken.len());
        Ok((taken.len() - 1) as f64 / (*last - *first).as_secs_f64())
    }

    async fn converse(&self, socket: TcpStream) -> anyhow::Result<()> {
        let mut stream = BufReader::new(socket);
        stream.write_all(b"220 sink\r\n").await?;
        let (mut line, mut in_message) = (String::new(), false);
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let answer: &[u8] = match (in_message, line.trim_end()) {
                (true, ".") => {
                    in_message = false;
                    self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
                    b"250 taken\r\n"
                }
                (true, _) => continue,
                (false, "DATA") => {
                    in_message = true;
                    b"354 go on\r\n"
                }
                (false, _) => b"250 fine\r\n",
            };
            stream.write_all(answer).await?;
        }
    }
}
