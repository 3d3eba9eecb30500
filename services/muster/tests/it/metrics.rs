//! What a scraper finds on the admin port of each service.

use contract::audit::v1::ListEventsRequest;
use contract::notifications::v1::{GetUnreadCountRequest, inbox_service_client::InboxServiceClient};
use muster::{migrate::SCHEMAS, serve::SERVICES};
use tokio::time::{Instant, sleep};

use crate::suite::{AT_MOST, PERIOD, Suite};
use crate::up::alone;
use crate::world::World;

/// Of every service: its calls.
const OF_SERVICE: [&str; 5] = [
    "muster_rpc_requests_total",
    "muster_rpc_duration_seconds_bucket",
    "muster_rpc_in_flight",
    "muster_rpc_shed_total",
    "muster_rpc_deadline_refused_total",
];
/// Of every service that keeps something: pools, the way of its events to the bus, its copies of revocations and permissions.
const OF_KEEPER: [&str; 11] = [
    "muster_db_pool_in_use",
    "muster_db_pool_wait_seconds_bucket",
    "muster_db_transaction_seconds_bucket",
    "muster_outbox_rows",
    "muster_outbox_oldest_age_seconds",
    "muster_event_unpublished",
    "muster_event_head_position",
    "muster_event_published_position",
    "muster_feed_position",
    "muster_feed_staleness_seconds",
    "muster_feed_resyncs_total",
];
/// Of every service that takes events of others.
const OF_CONSUMER: [&str; 3] = ["muster_inbox_handled_total", "muster_inbox_position", "muster_inbox_lag"];
/// Of identity: its hashing threads, and what a hash costs.
const OF_IDENTITY: [&str; 4] =
    ["identity_hash_queue_length", "identity_hash_seconds_bucket", "identity_hash_threads", "identity_hash_ceiling_per_second"];
/// What a hash costs, as it is set by default. Source: `identity::config::HashingConfig`.
const OF_HASHES: [&str; 3] = [
    "identity_hash_parameter{parameter=\"memory_kib\"} 19456",
    "identity_hash_parameter{parameter=\"passes\"} 2",
    "identity_hash_parameter{parameter=\"lanes\"} 1",
];
/// Of every process.
const OF_PROCESS: [&str; 5] =
    ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds", "muster_build_info"];

/// What `service` does not show of what it should.
fn missing(service: &str, shown: &str) -> Vec<&'static str> {
    let label = format!("service=\"{service}\"");
    let has = |family: &str, label: &str| {
        let mut lines = shown.lines().filter_map(|line| line.strip_prefix(family));
        lines.any(|rest| rest.starts_with([' ', '{']) && rest.contains(label))
    };
    let consumes = [authorization::NAME, audit::NAME, notifications::NAME].contains(&service);
    let keeps = SCHEMAS.iter().any(|(keeper, ..)| *keeper == service);
    let of_service =
        OF_SERVICE.into_iter().chain(OF_KEEPER.into_iter().filter(|_| keeps)).chain(OF_CONSUMER.into_iter().filter(|_| consumes));
    let of_process = OF_PROCESS.into_iter().chain(OF_IDENTITY.into_iter().filter(|_| service == identity::NAME));
    let of_hashes = OF_HASHES.into_iter().filter(|line| service == identity::NAME && !shown.lines().any(|shown| shown == *line));
    of_service.filter(|family| !has(family, &label)).chain(of_process.filter(|family| !has(family, ""))).chain(of_hashes).collect()
}

#[test]
fn every_service_shows_its_calls_pools_events_copies_and_process() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let suite = Suite::new().await;
        let mut processes = SERVICES.map(|service| suite.start(&[service], &[]));
        for (process, service) in processes.iter_mut().zip(SERVICES) {
            suite.ready(process, service).await;
        }
        let world = World::make(&suite).await;
        let request = world.request(&world.ids.next().to_string(), ListEventsRequest::default()).await;
        // Counted even if it is refused: audit may not have heard of the role yet.
        let _ = world.trail.clone().list_events(request).await;
        let request = world.request(&world.ids.next().to_string(), GetUnreadCountRequest::default()).await;
        // Through the edge, which counts it too.
        let _ = InboxServiceClient::new(suite.channel(gateway::NAME)).get_unread_count(request).await;
        for service in SERVICES {
            let began = Instant::now();
            loop {
                let missing = missing(service, &suite.admin(service, "/metrics").await.unwrap());
                if missing.is_empty() {
                    break;
                }
                // Some are measured every few seconds only.
                assert!(began.elapsed() < AT_MOST / 4, "{service} does not show {missing:?}");
                sleep(PERIOD).await;
            }
        }
        drop(processes);
        suite.stop().await;
    });
}
