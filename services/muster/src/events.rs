//! `muster events`: a client of EventAdminService on the services' admin ports. It opens no database.

use anyhow::Context;
use clap::{Args, Subcommand, value_parser};
use contract::common::v1::{
    DeadLetter, DropDeadLetterRequest, GetEventStatusRequest, GetEventStatusResponse, ListDeadLettersRequest, ListLoggedEventsRequest,
    LoggedEvent, ReplayDeadLetterRequest, event_admin_service_client::EventAdminServiceClient,
};
use prost_reflect::{DescriptorPool, DynamicMessage};
use rpc::client::Channel;
use serde_json::{Value, json};

use crate::{client::refused, config::Config, keys, output::Output, table};

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
    #[command(flatten)]
    output: Output,
}

/// What is asked.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Where log, relay and consumers stand.
    Status,
    /// The log from a position, oldest first; with bodies when it is asked for as JSON.
    List {
        /// The first position.
        #[arg(long, default_value_t = 0, value_parser = value_parser!(i64).range(0..))]
        from: i64,
        /// At most so many of each service, 1..=1000.
        #[arg(long, default_value_t = 50, value_parser = value_parser!(i32).range(1..=1000))]
        count: i32,
    },
    /// What consumers gave up on.
    Dead,
    /// Hand dead letters to their consumer once more.
    Replay(Letters),
    /// Forget dead letters for good.
    Drop(Letters),
}

/// Dead letters of one service.
#[derive(Debug, Clone, Args)]
pub(crate) struct Letters {
    /// Their ids.
    #[arg(required_unless_present = "all")]
    dead_letter_ids: Vec<String>,
    /// All that there are now.
    #[arg(long, conflicts_with = "dead_letter_ids")]
    all: bool,
}

/// Asks the services of `target` and prints what they say.
///
/// # Errors
/// No such service, no key of the operator; the first call that is refused, with the service's name.
pub(crate) async fn run(config: &Config, target: Target, command: Command) -> anyhow::Result<()> {
    let addresses = addresses(config, &target)?;
    let keys = keys::operator(target.keys.as_ref().unwrap_or(&config.suite.key_directory))?;
    let mut clients = Vec::new();
    for (name, address) in addresses {
        let channel = rpc::client::channel(name, &address, &keys)?;
        clients.push((name, EventAdminServiceClient::new(channel)));
    }
    let output = target.output;
    match command {
        Command::Status => status(clients, output).await,
        Command::List { from, count } => list(clients, from, count, output).await,
        Command::Dead => dead(clients, output).await,
        Command::Replay(letters) => {
            let replay = async |client: &mut EventAdminServiceClient<Channel>, dead_letter_id| {
                client.replay_dead_letter(ReplayDeadLetterRequest { dead_letter_id }).await.map(drop)
            };
            each(the_one(clients)?, letters, output, "replayed", replay).await
        }
        Command::Drop(letters) => {
            let drop_it = async |client: &mut EventAdminServiceClient<Channel>, dead_letter_id| {
                client.drop_dead_letter(DropDeadLetterRequest { dead_letter_id }).await.map(drop)
            };
            each(the_one(clients)?, letters, output, "dropped", drop_it).await
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
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let missing = format!("there is no service {wanted} with an event log; there are {}", names.join(", "));
    let (name, configured) = all.into_iter().find(|(name, _)| name == wanted).context(missing)?;
    Ok(vec![(name, target.address.as_ref().map_or(configured, |address| format!("http://{address}")))])
}

fn the_one(clients: Vec<Client>) -> anyhow::Result<Client> {
    let mut clients = clients.into_iter();
    match (clients.next(), clients.next()) {
        (Some(client), None) => Ok(client),
        _ => anyhow::bail!("a dead letter belongs to one service: name it with --service"),
    }
}

async fn status(clients: Vec<Client>, output: Output) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for (name, mut client) in clients {
        let status = client.get_event_status(GetEventStatusRequest {}).await.map_err(refused).context(name)?.into_inner();
        all.push((name, status));
    }
    let services: Vec<Value> = all.iter().map(|(name, status)| status_json(name, status)).collect();
    output.answer(&json!({ "services": services }), || {
        let rows: Vec<[String; 6]> = all.iter().map(|(name, status)| status_row(name, status)).collect();
        table::render(["service", "outbox", "head", "published", "leader", "consumers"], &rows)
    })
}

fn status_json(name: &str, status: &GetEventStatusResponse) -> Value {
    let consumers =
        status.consumers.iter().map(|one| json!({ "consumer": one.consumer, "pending": one.pending, "dead_letters": one.dead_letters }));
    json!({
        "service": name,
        "outbox_rows": status.outbox_rows,
        "head_position": status.head_position,
        "published_position": status.published_position,
        "leader": status.leader,
        "consumers": consumers.collect::<Vec<_>>(),
    })
}

fn status_row(name: &str, status: &GetEventStatusResponse) -> [String; 6] {
    let consumers = status.consumers.iter().map(|one| {
        let pending = one.pending.map_or_else(|| "unknown".to_owned(), |pending| pending.to_string());
        format!("{} ({pending} pending, {} dead)", one.consumer, one.dead_letters)
    });
    let [outbox, head, published] = [status.outbox_rows, status.head_position, status.published_position].map(|count| count.to_string());
    let leader = if status.leader { "yes" } else { "no" };
    [name.to_owned(), outbox, head, published, leader.to_owned(), consumers.collect::<Vec<_>>().join(", ")]
}

async fn list(clients: Vec<Client>, from_position: i64, page_size: i32, output: Output) -> anyhow::Result<()> {
    let mut events = Vec::new();
    for (name, mut client) in clients {
        let request = ListLoggedEventsRequest { from_position, page_size };
        events.extend(client.list_logged_events(request).await.map_err(refused).context(name)?.into_inner().events);
    }
    let pool = DescriptorPool::decode(contract::DESCRIPTORS)?;
    // Bodies are read only where they are shown: one of a newer service is no fault of a table.
    let document =
        if output.json { events.iter().map(|event| event_json(&pool, event)).collect::<anyhow::Result<_>>()? } else { Vec::new() };
    output.answer(&json!({ "events": document }), || {
        let rows = events.into_iter().map(|event| {
            let envelope = event.envelope.unwrap_or_default();
            let actor = envelope.actor.unwrap_or_default().actor_id;
            [envelope.service, envelope.position.to_string(), envelope.r#type, envelope.aggregate_id, actor]
        });
        table::render(["service", "position", "type", "id", "actor"], &rows.collect::<Vec<_>>())
    })
}

/// The envelope's position and type, and the body as ProtoJSON.
fn event_json(pool: &DescriptorPool, event: &LoggedEvent) -> anyhow::Result<Value> {
    let envelope = event.envelope.clone().unwrap_or_default();
    let descriptor = pool.get_message_by_name(&envelope.r#type).with_context(|| format!("this build knows no {}", envelope.r#type))?;
    let body = DynamicMessage::decode(descriptor, event.body.clone())?;
    Ok(json!({
        "service": envelope.service,
        "position": envelope.position,
        "type": envelope.r#type,
        "event_id": envelope.event_id,
        "organization_id": envelope.organization_id,
        "body": serde_json::to_value(&body)?,
    }))
}

async fn dead(clients: Vec<Client>, output: Output) -> anyhow::Result<()> {
    let (mut document, mut rows) = (Vec::new(), Vec::new());
    for (name, mut client) in clients {
        for letter in letters_of(&mut client).await.context(name)? {
            let kind = letter.event.and_then(|event| event.envelope).map(|envelope| envelope.r#type).unwrap_or_default();
            document.push(json!({
                "service": name,
                "dead_letter_id": letter.dead_letter_id,
                "consumer": letter.consumer,
                "type": kind,
                "attempts": letter.attempts,
                "cause": letter.cause,
            }));
            rows.push([name.to_owned(), letter.dead_letter_id, letter.consumer, kind, letter.attempts.to_string(), letter.cause]);
        }
    }
    output.answer(&json!({ "dead_letters": document }), || {
        if rows.is_empty() {
            "no dead letters".to_owned()
        } else {
            table::render(["service", "id", "consumer", "type", "attempts", "cause"], &rows)
        }
    })
}

/// Every dead letter of one service.
async fn letters_of(client: &mut EventAdminServiceClient<Channel>) -> anyhow::Result<Vec<DeadLetter>> {
    let (mut letters, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListDeadLettersRequest { page_token, page_size: 1000, ..ListDeadLettersRequest::default() };
        let page = client.list_dead_letters(request).await.map_err(refused)?.into_inner();
        letters.extend(page.dead_letters);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(letters);
        }
    }
}

/// Does `work` with each of `letters`; `done` says what they are then. The first that fails ends it.
async fn each(
    (name, mut client): Client,
    letters: Letters,
    output: Output,
    done: &'static str,
    work: impl AsyncFn(&mut EventAdminServiceClient<Channel>, String) -> Result<(), tonic::Status>,
) -> anyhow::Result<()> {
    let ids = if letters.all {
        letters_of(&mut client).await.context(name)?.into_iter().map(|letter| letter.dead_letter_id).collect()
    } else {
        letters.dead_letter_ids
    };
    let mut progress = output.progress();
    for (number, id) in (1..).zip(&ids) {
        let what = format!("dead letter {number} of {}", ids.len());
        let worked = progress.during(&what, work(&mut client, id.clone())).await;
        worked.map_err(refused).with_context(|| format!("{name}: {id}, after {} {done}", number - 1))?;
    }
    output.answer(&json!({ done: ids }), || format!("{} {done}", ids.len()))
}
