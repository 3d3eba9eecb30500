//! `muster events`: a client of EventAdminService on the services' admin ports. It opens no database.

use anyhow::Context;
use clap::{Args, Subcommand};
use contract::common::v1::{
    DropDeadLetterRequest, GetEventStatusRequest, ListDeadLettersRequest, ListLoggedEventsRequest, LoggedEvent, ReplayDeadLetterRequest,
    event_admin_service_client::EventAdminServiceClient,
};
use prost_reflect::{DescriptorPool, DynamicMessage};
use rpc::client::Channel;

use crate::{cli::say, config::Config, keys, table};

/// Which service is asked.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// One service; all unless said.
    #[arg(long, global = true)]
    service: Option<String>,
    /// The service's admin address, when it is not the configured one.
    #[arg(long, global = true)]
    address: Option<String>,
    /// The folder of keys, when it is not the configured one.
    #[arg(long, global = true)]
    keys: Option<std::path::PathBuf>,
}

/// What is asked.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Where log, relay and consumers stand.
    Status,
    /// The log from a position, oldest first.
    List {
        /// The first position.
        #[arg(long, default_value_t = 0)]
        from: i64,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        count: i32,
        /// With bodies, as JSON.
        #[arg(long)]
        json: bool,
    },
    /// What consumers gave up on.
    Dead,
    /// Hand a dead letter to its consumer once more.
    Replay {
        /// Its id.
        dead_letter_id: String,
    },
    /// Forget a dead letter for good.
    Drop {
        /// Its id.
        dead_letter_id: String,
    },
}

/// Asks the services of `target` and prints what they say.
pub(crate) async fn run(config: &Config, target: Target, command: Command) -> anyhow::Result<()> {
    let directory = target.keys.clone().unwrap_or_else(|| config.suite.key_directory.clone());
    let keys = keys::operator(&directory).with_context(|| format!("the keys in {}", directory.display()))?;
    let mut clients = Vec::new();
    for (name, address) in addresses(config, &target)? {
        let channel = rpc::client::channel(name, &address, &keys)?;
        clients.push((name, EventAdminServiceClient::new(channel)));
    }
    match command {
        Command::Status => status(clients).await,
        Command::List { from, count, json } => list(clients, from, count, json).await,
        Command::Dead => dead(clients).await,
        Command::Replay { dead_letter_id } => {
            let (_, mut client) = the_one(clients)?;
            client.replay_dead_letter(ReplayDeadLetterRequest { dead_letter_id }).await?;
            Ok(())
        }
        Command::Drop { dead_letter_id } => {
            let (_, mut client) = the_one(clients)?;
            client.drop_dead_letter(DropDeadLetterRequest { dead_letter_id }).await?;
            Ok(())
        }
    }
}

type Client = (&'static str, EventAdminServiceClient<Channel>);

fn addresses(config: &Config, target: &Target) -> anyhow::Result<Vec<(&'static str, String)>> {
    let all = config.admin_addresses();
    let Some(wanted) = &target.service else {
        anyhow::ensure!(target.address.is_none(), "--address needs --service");
        return Ok(all);
    };
    let (name, configured) = all.into_iter().find(|(name, _)| name == wanted).with_context(|| format!("there is no service {wanted}"))?;
    Ok(vec![(name, target.address.as_ref().map_or(configured, |address| format!("http://{address}")))])
}

fn the_one(clients: Vec<Client>) -> anyhow::Result<Client> {
    let mut clients = clients.into_iter();
    match (clients.next(), clients.next()) {
        (Some(client), None) => Ok(client),
        _ => anyhow::bail!("a dead letter belongs to one service: name it with --service"),
    }
}

async fn status(clients: Vec<Client>) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for (name, mut client) in clients {
        let status = client.get_event_status(GetEventStatusRequest {}).await.with_context(|| name.to_owned())?.into_inner();
        let consumers: Vec<String> = status
            .consumers
            .iter()
            .map(|consumer| {
                let pending = consumer.pending.map_or_else(|| "unknown".to_owned(), |pending| pending.to_string());
                format!("{} ({pending} pending, {} dead)", consumer.consumer, consumer.dead_letters)
            })
            .collect();
        let leader = if status.leader { "yes" } else { "no" };
        let counts = [status.outbox_rows, status.head_position, status.published_position].map(|count| count.to_string());
        let [outbox, head, published] = counts;
        rows.push([name.to_owned(), outbox, head, published, leader.to_owned(), consumers.join(", ")]);
    }
    say(table::render(["service", "outbox", "head", "published", "leader", "consumers"], &rows).trim_end());
    Ok(())
}

async fn list(clients: Vec<Client>, from_position: i64, page_size: i32, json: bool) -> anyhow::Result<()> {
    let pool = DescriptorPool::decode(contract::DESCRIPTORS)?;
    let mut rows = Vec::new();
    for (name, mut client) in clients {
        let request = ListLoggedEventsRequest { from_position, page_size };
        for event in client.list_logged_events(request).await.with_context(|| name.to_owned())?.into_inner().events {
            if json {
                say(&as_json(&pool, &event)?);
                continue;
            }
            let envelope = event.envelope.unwrap_or_default();
            let actor = envelope.actor.unwrap_or_default().actor_id;
            rows.push([name.to_owned(), envelope.position.to_string(), envelope.r#type, envelope.aggregate_id, actor]);
        }
    }
    if !json {
        say(table::render(["service", "position", "type", "id", "actor"], &rows).trim_end());
    }
    Ok(())
}

/// One line: the envelope's position and type, and the body as ProtoJSON.
fn as_json(pool: &DescriptorPool, event: &LoggedEvent) -> anyhow::Result<String> {
    let envelope = event.envelope.clone().unwrap_or_default();
    let descriptor = pool.get_message_by_name(&envelope.r#type).with_context(|| format!("this build knows no {}", envelope.r#type))?;
    let body = DynamicMessage::decode(descriptor, event.body.clone())?;
    let line = serde_json::json!({
        "service": envelope.service,
        "position": envelope.position,
        "type": envelope.r#type,
        "event_id": envelope.event_id,
        "organization_id": envelope.organization_id,
        "body": serde_json::to_value(&body)?,
    });
    Ok(line.to_string())
}

async fn dead(clients: Vec<Client>) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for (name, mut client) in clients {
        let mut page_token = String::new();
        loop {
            let request = ListDeadLettersRequest { page_token, page_size: 1000, ..ListDeadLettersRequest::default() };
            let page = client.list_dead_letters(request).await.with_context(|| name.to_owned())?.into_inner();
            rows.extend(page.dead_letters.into_iter().map(|letter| {
                let kind = letter.event.and_then(|event| event.envelope).map(|envelope| envelope.r#type).unwrap_or_default();
                [name.to_owned(), letter.dead_letter_id, letter.consumer, kind, letter.attempts.to_string(), letter.cause]
            }));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
    }
    say(table::render(["service", "id", "consumer", "type", "attempts", "cause"], &rows).trim_end());
    Ok(())
}
