//! Health as a kubelet, a load balancer and an operator's grpcurl see it: every service, on both its ports.

use std::{collections::BTreeMap, time::Duration};

use contract::grpc::health::v1::{HealthCheckRequest, HealthListRequest, health_client::HealthClient};
use contract::{Exposure, MethodPolicy};
use muster::{migrate::SCHEMAS, serve::SERVICES};
use muster_tests::Suite;
use rpc::health::{LIVENESS, READINESS, ServingStatus};
use sqlx::AssertSqlSafe;
use tonic::transport::{Channel, Endpoint};

const POSTGRES: &str = "dep.postgres";
const NATS: &str = "dep.nats";

/// Health on both ports of `service`.
fn health(suite: &Suite, service: &str) -> [HealthClient<Channel>; 2] {
    let place = &suite.places()[service];
    [place.address, place.admin_address].map(|address| {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        HealthClient::new(endpoint.connect_lazy())
    })
}

async fn listed(client: &mut HealthClient<Channel>) -> BTreeMap<String, ServingStatus> {
    let statuses = client.list(HealthListRequest {}).await.unwrap().into_inner().statuses;
    statuses.into_iter().map(|(name, answer)| (name, answer.status())).collect()
}

/// Waits until health says `expected` of `name`, which is looked at every two seconds.
async fn becomes(client: &mut HealthClient<Channel>, name: &str, expected: ServingStatus) {
    for _ in 0..1_200 {
        if listed(client).await.get(name) == Some(&expected) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{name} does not become {expected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_lists_its_names_and_no_other_on_both_ports() {
    let suite = Suite::start().await;
    for service in SERVICES {
        // The edge keeps nothing and leans on no server; it answers for what it shows.
        let keeps = SCHEMAS.iter().any(|(keeper, ..)| *keeper == service);
        let is_named = |policy: &&MethodPolicy| policy.owner == service || (!keeps && policy.exposure == Exposure::Edge);
        let own = contract::METHODS.iter().filter(is_named).map(|policy| policy.service);
        let dependencies = [POSTGRES, NATS].into_iter().filter(|_| keeps);
        let names = own.chain(["", LIVENESS, READINESS]).chain(dependencies);
        let expected: BTreeMap<String, ServingStatus> = names.map(|name| (name.to_owned(), ServingStatus::Serving)).collect();
        for mut client in health(&suite, service) {
            for name in expected.keys() {
                becomes(&mut client, name, ServingStatus::Serving).await;
            }
            assert_eq!(listed(&mut client).await, expected, "{service}");
            for name in expected.keys() {
                let answer = client.check(HealthCheckRequest { service: name.clone() }).await.unwrap().into_inner();
                assert_eq!(answer.status(), ServingStatus::Serving, "{service}: {name:?}");
            }
        }
    }
    suite.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_database_is_away_says_so_and_stays_ready() {
    let suite = Suite::start().await;
    let mut conn = suite.database().await;
    let [mut client, _] = health(&suite, "audit");
    becomes(&mut client, POSTGRES, ServingStatus::Serving).await;
    let mut let_in = async |at_most: i32| {
        let limit = format!("ALTER ROLE audit_worker CONNECTION LIMIT {at_most}");
        sqlx::raw_sql(AssertSqlSafe(limit)).execute(&mut conn).await.unwrap();
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'audit_worker'";
        sqlx::raw_sql(end).execute(&mut conn).await.unwrap();
    };
    let_in(0).await;
    becomes(&mut client, POSTGRES, ServingStatus::NotServing).await;
    let names = listed(&mut client).await;
    assert!(["", READINESS, LIVENESS].iter().all(|name| names[*name] == ServingStatus::Serving), "{names:?}");
    let_in(-1).await;
    becomes(&mut client, POSTGRES, ServingStatus::Serving).await;
    suite.settle().await;
    suite.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_of_a_name_that_no_service_has_stays_open_and_says_unknown() {
    let suite = Suite::start().await;
    for mut client in health(&suite, "tasks") {
        let mut watch = client.watch(HealthCheckRequest { service: "muster.tasks.v1.Nothing".into() }).await.unwrap().into_inner();
        let first = watch.message().await.unwrap().expect("a first answer at once");
        assert_eq!(first.status(), ServingStatus::ServiceUnknown);
        let further = tokio::time::timeout(Duration::from_millis(300), watch.message()).await;
        assert!(further.is_err(), "it stays open and says no more: {further:?}");
    }
    suite.finish().await;
}
