//! The figures themselves.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context;
use authz::{Assignment, Authorizer, Delta, Query, Resource, RoleScope, Snapshot, Workspace};
use contract::{
    Permission,
    audit::v1::audit_service_client::AuditServiceClient,
    authorization::v1::{CheckRequest, Question, authorization_service_client::AuthorizationServiceClient},
    identity::v1::{RevokeSessionRequest, SwitchContextRequest, session_service_client::SessionServiceClient},
    tasks::v1::{
        CreateWorkItemRequest, ListProductsRequest, product_service_client::ProductServiceClient,
        work_item_service_client::WorkItemServiceClient,
    },
};
use runtime::{Ids, OrganizationId, UserId, WorkspaceId};
use sqlx::{Connection, PgConnection};

use super::{
    actor::{Actor, Channels, sign_in, signed},
    empty, floors, load, open,
    report::Figure,
};

/// Calls in flight where throughput is measured.
const IN_FLIGHT: usize = 64;
/// Connections that they share.
const CONNECTIONS: usize = 4;
/// Sessions that are revoked to see how soon they are refused.
const REVOCATIONS: usize = 40;

/// What the figures are measured on.
pub(super) struct Run {
    pub(super) duration: Duration,
    pub(super) rounds: usize,
    pub(super) actor: Actor,
    pub(super) channels: Channels,
    pub(super) stack: SocketAddr,
    pub(super) bare: SocketAddr,
    pub(super) connections: u32,
    pub(super) hashing: (u32, u32),
    pub(super) url: String,
    pub(super) ready: Duration,
}

impl Run {
    /// Every figure, in the order of the issue that asks for them.
    pub(super) async fn all(&self) -> anyhow::Result<Vec<Figure>> {
        let memory = resident_mib();
        let mut figures = Vec::new();
        let (empty_rate, empty_figures) = self.empty().await.context("the empty RPC")?;
        figures.extend(empty_figures);
        figures.push(self.create(64).await.context("creating work items")?);
        figures.push(self.create(1).await.context("creating work items of one product")?);
        figures.extend(self.told().await.context("events")?);
        figures.push(self.sign_in().await.context("sign-in")?);
        figures.push(self.check(empty_rate).await.context("remote Check")?);
        figures.push(embedded());
        figures.push(self.revoked().await.context("revocation")?);
        figures.push(figure(
            "memory at rest, all services in one process",
            format!("{memory:.0} MiB"),
            "resident set".into(),
            "≤ 150 MiB",
            memory <= 150.0,
        ));
        let ready = self.ready.as_secs_f64();
        figures.push(figure(
            "time to ready, servers running, schemas migrated",
            format!("{ready:.2} s"),
            "all services".into(),
            "≤ 5 s",
            ready <= 5.0,
        ));
        Ok(figures)
    }

    /// T, and its ratio to bare tonic.
    async fn empty(&self) -> anyhow::Result<(f64, Vec<Figure>)> {
        let channels = |address| (0..CONNECTIONS).map(|_| open(address)).collect::<anyhow::Result<Vec<_>>>();
        let (stack, bare) = (channels(self.stack)?, channels(self.bare)?);
        let call = async |channels: &Vec<tonic::transport::Channel>, place: usize| {
            empty::call(AuditServiceClient::new(channels[place % CONNECTIONS].clone()), &self.actor.authorization).await
        };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            theirs.push(load::keep(IN_FLIGHT, self.duration, async |place| call(&bare, place).await).await?);
            ours.push(load::keep(IN_FLIGHT, self.duration, async |place| call(&stack, place).await).await?);
        }
        let rate = |outcomes: &[load::Outcome]| load::median(outcomes.iter().map(|outcome| outcome.per_second).collect());
        let cpu = |outcomes: &[load::Outcome]| load::median(outcomes.iter().map(|outcome| outcome.cpu.as_secs_f64() * 1e6).collect());
        let (ratio, cost) = (rate(&ours) / rate(&theirs), cpu(&ours) / cpu(&theirs));
        let quickest = ours.iter().min_by_key(|outcome| outcome.p99).context("a round was run")?;
        let (p50, p99) = (quickest.p50, quickest.p99);
        let against = format!("bare tonic {:.0}/s; load on the same cores", rate(&theirs));
        let figures = vec![
            figure(
                "T: empty RPC through the stack",
                format!("{:.0}/s, p50 {p50:.1?}, p99 {p99:.1?}, ratio {ratio:.2}", rate(&ours)),
                against,
                "≥ 0.55",
                ratio >= 0.55,
            ),
            figure(
                "CPU per empty RPC, client and server",
                format!("{:.0} µs, ratio {cost:.2}", cpu(&ours)),
                format!("bare tonic {:.0} µs", cpu(&theirs)),
                "≤ 2.5",
                cost <= 2.5,
            ),
        ];
        Ok((rate(&ours), figures))
    }

    /// CreateWorkItem against P, the statements it sends, over `products` products.
    async fn create(&self, products: usize) -> anyhow::Result<Figure> {
        let parse = |ids: &[String]| ids.iter().map(|id| id.parse()).collect::<Result<Vec<uuid::Uuid>, _>>();
        let chosen = &self.actor.products[..products];
        let [organization, workspace, user] =
            parse(&[self.actor.organization_id.clone(), self.actor.workspace_id.clone(), self.actor.user_id.clone()])?
                .try_into()
                .map_err(|_| anyhow::anyhow!("three ids"))?;
        let statements = floors::Statements::new(&self.url, self.connections, organization, workspace, user, parse(chosen)?).await?;
        let ids = runtime::Ids::system();
        let client = WorkItemServiceClient::new(self.channels.tasks.clone());
        let in_flight = usize::try_from(self.connections)? * 2;
        let (mut ours, mut floor) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            floor.push(load::keep(in_flight, self.duration, async |place| statements.create(place, &ids).await).await?.per_second);
            let created = load::keep(in_flight, self.duration, async |place| {
                let request = CreateWorkItemRequest {
                    workspace_id: self.actor.workspace_id.clone(),
                    product_id: chosen[place % products].clone(),
                    title: "paint the shed".into(),
                    ..Default::default()
                };
                client.clone().create_work_item(signed(request, &self.actor.authorization)?).await?;
                Ok(())
            });
            ours.push(created.await?.per_second);
        }
        statements.close().await;
        let (ours, floor) = (load::median(ours), load::median(floor));
        let ratio = ours / floor;
        let name = if products == 1 { "create work item, one product" } else { "create work item, 64 products" };
        let goal = if products == 1 { "against its own floor" } else { "≥ 0.6" };
        Ok(figure(
            name,
            format!("{ours:.0}/s, ratio {ratio:.2}"),
            format!("P: its statements alone, {floor:.0}/s"),
            goal,
            products == 1 || ratio >= 0.6,
        ))
    }

    /// What the load before told the others: how fast the log moved, and how long an event took to be recorded by audit.
    async fn told(&self) -> anyhow::Result<Vec<Figure>> {
        let mut conn = PgConnection::connect(&self.url).await?;
        let began = Instant::now();
        let (before,): (i64,) = sqlx::query_as("SELECT count(*) FROM audit.record").fetch_one(&mut conn).await?;
        let recorded = loop {
            let (left,): (i64,) = sqlx::query_as(
                "SELECT (SELECT count(*) FROM tasks.outbox) + (SELECT position FROM tasks.event_head)
                      - (SELECT count(*) FROM audit.record WHERE service = 'tasks')",
            )
            .fetch_one(&mut conn)
            .await?;
            let (recorded,): (i64,) = sqlx::query_as("SELECT count(*) FROM audit.record").fetch_one(&mut conn).await?;
            if left == 0 || began.elapsed() > Duration::from_secs(120) {
                break recorded;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let drained = (recorded - before) as f64 / began.elapsed().as_secs_f64().max(0.001);
        let client = WorkItemServiceClient::new(self.channels.tasks.clone());
        let (mark,): (i64,) = sqlx::query_as("SELECT position FROM tasks.event_head").fetch_one(&mut conn).await?;
        for place in 0..200_usize {
            let request = CreateWorkItemRequest {
                workspace_id: self.actor.workspace_id.clone(),
                product_id: self.actor.products[place % self.actor.products.len()].clone(),
                title: "paint the shed".into(),
                ..Default::default()
            };
            client.clone().create_work_item(signed(request, &self.actor.authorization)?).await?;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (p50, p99): (f64, f64) = sqlx::query_as(
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took), percentile_cont(0.99) WITHIN GROUP (ORDER BY took) FROM
             (SELECT extract(epoch FROM record_time - create_time)::float8 * 1000 AS took FROM audit.record
              WHERE service = 'tasks' AND source_position > $1) AS t",
        )
        .bind(mark)
        .fetch_one(&mut conn)
        .await?;
        conn.close().await?;
        Ok(vec![
            figure(
                "sequencer, relay and audit together, draining a backlog",
                format!("{drained:.0} events/s"),
                "recorded with before and after".into(),
                "stated",
                true,
            ),
            figure(
                "change to audit record, 100 changes/s",
                format!("p50 {p50:.0} ms, p99 {p99:.0} ms"),
                "through JetStream".into(),
                "p99 ≤ 100 ms",
                p99 <= 100.0,
            ),
        ])
    }

    /// Sign-in against H.
    async fn sign_in(&self) -> anyhow::Result<Figure> {
        let (memory_kib, passes) = self.hashing;
        let (mut ours, mut floor) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let duration = self.duration;
            floor.push(tokio::task::spawn_blocking(move || floors::hashes(memory_kib, passes, duration)).await??);
            let signed_in = load::keep(8, self.duration, async |_| sign_in(&self.channels.identity).await.map(|_| ()));
            ours.push(signed_in.await?.per_second);
        }
        let (ours, floor) = (load::median(ours), load::median(floor));
        let ratio = ours / floor;
        let against = format!("H: argon2id {memory_kib} KiB, t={passes}, all cores, {floor:.0}/s");
        Ok(figure("sign-in", format!("{ours:.0}/s, ratio {ratio:.2}"), against, "≥ 0.85", ratio >= 0.85))
    }

    /// Remote Check against T.
    async fn check(&self, empty_rate: f64) -> anyhow::Result<Figure> {
        let client = AuthorizationServiceClient::new(self.channels.authorization.clone());
        let mut rates = Vec::new();
        for _ in 0..self.rounds {
            let checked = load::keep(IN_FLIGHT, self.duration, async |_| {
                let question = Question {
                    permission: "tasks.work_item.get".into(),
                    workspace_id: self.actor.workspace_id.clone(),
                    ..Default::default()
                };
                client.clone().check(signed(CheckRequest { question: Some(question) }, &self.actor.authorization)?).await?;
                Ok(())
            });
            rates.push(checked.await?.per_second);
        }
        let rate = load::median(rates);
        let ratio = rate / empty_rate;
        Ok(figure("remote Check", format!("{rate:.0}/s, ratio {ratio:.2}"), format!("T {empty_rate:.0}/s"), "≥ 0.75", ratio >= 0.75))
    }

    /// From the answer of RevokeSession to the first refusal by tasks, whose cache knows the token.
    async fn revoked(&self) -> anyhow::Result<Figure> {
        let mut sessions = SessionServiceClient::new(self.channels.identity.clone());
        let mut products = ProductServiceClient::new(self.channels.tasks.clone());
        let mut times = Vec::new();
        for _ in 0..REVOCATIONS {
            let (session_id, _, outside) = sign_in(&self.channels.identity).await?;
            let switch = SwitchContextRequest { organization_id: self.actor.organization_id.clone(), ..Default::default() };
            let token = sessions.switch_context(signed(switch, &outside)?).await?.into_inner().access_token;
            let authorization = format!("Bearer {token}");
            let list = ListProductsRequest { workspace_id: self.actor.workspace_id.clone(), page_size: 1, ..Default::default() };
            products.list_products(signed(list.clone(), &authorization)?).await?;
            sessions.revoke_session(signed(RevokeSessionRequest { session_id }, &authorization)?).await?;
            let answered = Instant::now();
            while products.list_products(signed(list.clone(), &authorization)?).await.is_ok() {
                anyhow::ensure!(answered.elapsed() < Duration::from_secs(5), "a revoked token is still taken after 5 s");
            }
            times.push(answered.elapsed());
        }
        times.sort();
        let (p50, p99) = (load::percentile(&times, 50), load::percentile(&times, 99));
        let value = format!("p50 {p50:.1?}, p99 {p99:.1?}");
        Ok(figure(
            "revoke to refused by another service",
            value,
            format!("{REVOCATIONS} sessions"),
            "p99 ≤ 1 s",
            p99 <= Duration::from_secs(1),
        ))
    }
}

/// The embedded engine over 10,000 organizations, each with 3 workspaces and 20 people.
fn embedded() -> Figure {
    const ROUNDS: usize = 2_000_000;
    let ids = Ids::system();
    let mut state = Delta::default();
    let mut questions: Vec<(UserId, OrganizationId, WorkspaceId)> = Vec::new();
    for _ in 0..10_000 {
        let organization: OrganizationId = ids.next_id();
        let workspaces: [WorkspaceId; 3] = std::array::from_fn(|_| ids.next_id());
        state.workspaces.extend(workspaces.map(|workspace| Workspace { organization, workspace }));
        for person in 0..20 {
            let (user, workspace) = (ids.next_id(), workspaces[person % 3]);
            let scope = if person % 3 == 0 { RoleScope::Organization(organization) } else { RoleScope::Workspace(organization, workspace) };
            state.assignments.push(Assignment { user, scope, role: Some(authz::ROLES[person % 4]), version: 1 });
            questions.push((user, organization, workspaces[person % 2]));
        }
    }
    let authorizer = Authorizer::new();
    authorizer.install(Snapshot::of(1, &state));
    let began = Instant::now();
    let mut allowed = 0_usize;
    for round in 0..ROUNDS {
        // A step that is prime to the number of questions: people of all organizations, in no order a cache likes.
        let (user, organization, workspace) = questions[round * 7_919 % questions.len()];
        let permission = Permission::ALL[round % Permission::COUNT];
        let query = Query { user, permission, organization, workspace: Some(workspace), resource: &Resource::NONE };
        allowed += usize::from(authorizer.check(std::hint::black_box(&query)).allowed);
    }
    let ns = began.elapsed().as_nanos() as f64 / ROUNDS as f64;
    let against = format!("10,000 organizations, all of them in turn; {:.0} % allowed", 100.0 * allowed as f64 / ROUNDS as f64);
    figure("embedded check", format!("{ns:.0} ns"), against, "≤ 300 ns", ns <= 300.0)
}

fn figure(name: &'static str, value: String, against: String, goal: &'static str, met: bool) -> Figure {
    Figure { name, value, against, goal, met }
}

/// The resident set of this process, in MiB.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}
