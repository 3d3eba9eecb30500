//! The figures themselves.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::Context;
use contract::{
    audit::v1::audit_service_client::AuditServiceClient,
    authorization::v1::{CheckRequest, Question, authorization_service_client::AuthorizationServiceClient},
    tasks::v1::{CreateWorkItemRequest, work_item_service_client::WorkItemServiceClient},
};
use tokio::net::TcpStream;
use tonic::transport::Channel;

use super::{
    Group,
    actor::{Actor, signed},
    empty, engine, floors, isolation, load,
    process::Process,
    report::Figure,
    suite::{self, Suite},
};

/// Calls in flight where throughput is measured.
pub(super) const IN_FLIGHT: usize = 64;
/// Connections that they share.
pub(super) const CONNECTIONS: usize = 4;

/// What the figures are measured on: a process for each service, somebody who calls, and how long and how often.
pub(super) struct Run<'a> {
    pub(super) duration: Duration,
    pub(super) rounds: usize,
    pub(super) suite: &'a Suite,
    pub(super) services: BTreeMap<&'static str, Process>,
    pub(super) actor: Actor,
    /// The way to tasks.
    pub(super) tasks: Channel,
    pub(super) connections: u32,
    pub(super) hashing: (u32, u32),
}

impl Run<'_> {
    /// The figures of running services that `wants` asks for, in the order of the issue that names them.
    pub(super) async fn all(&self, wants: impl Fn(Group) -> bool) -> anyhow::Result<Vec<Figure>> {
        let mut figures = Vec::new();
        if wants(Group::Calls) {
            figures.extend(self.calls().await.context("calls")?);
        }
        if wants(Group::Gateway) {
            figures.extend(self.gateway().await.context("the gateway")?);
        }
        if wants(Group::Create) {
            figures.push(self.create(64).await.context("creating work items")?);
            figures.push(self.create(1).await.context("creating work items of one product")?);
        }
        if wants(Group::Isolation) {
            figures.extend(isolation::figures(&self.suite.database_url(), &self.tasks, &self.actor).await.context("row security")?);
        }
        if wants(Group::Events) {
            figures.extend(self.events().await.context("events")?);
        }
        if wants(Group::Notifications) {
            figures.extend(self.notifications().await.context("notifications")?);
        }
        if wants(Group::SignIn) {
            figures.extend(self.sign_in().await.context("sign-in")?);
        }
        if wants(Group::Identity) {
            figures.extend(self.identity().await.context("identity")?);
        }
        if wants(Group::Engine) {
            // It answers in less time than a context switch takes.
            load::rest().await;
            figures.push(engine::embedded());
        }
        if wants(Group::Revocation) {
            figures.push(self.revoked().await.context("revocation")?);
        }
        Ok(figures)
    }

    /// The empty RPC, and remote Check against it.
    async fn calls(&self) -> anyhow::Result<Vec<Figure>> {
        let (rate, mut figures) = self.empty().await?;
        figures.push(self.check(rate).await?);
        Ok(figures)
    }

    /// How long calls of `call` take, and the CPU time that `server` spends on each.
    async fn measured(
        &self,
        server: &Process,
        call: impl AsyncFn(usize) -> anyhow::Result<()>,
    ) -> anyhow::Result<(load::Outcome, Duration)> {
        let before = server.cpu();
        let outcome = load::keep(IN_FLIGHT, self.duration, call).await?;
        let cpu = (server.cpu() - before) / outcome.calls;
        Ok((outcome, cpu))
    }

    /// T, and its ratio to bare tonic.
    pub(super) async fn empty(&self) -> anyhow::Result<(f64, Vec<Figure>)> {
        let (stack, stack_address) = self.empty_server("stack").await?;
        let (bare, bare_address) = self.empty_server("bare").await?;
        let channels = |address| (0..CONNECTIONS).map(|_| suite::channel(address)).collect::<anyhow::Result<Vec<_>>>();
        let (to_stack, to_bare) = (channels(stack_address)?, channels(bare_address)?);
        let call = async |channels: &Vec<Channel>, place: usize| {
            empty::call(AuditServiceClient::new(channels[place % CONNECTIONS].clone()), &self.actor.authorization).await
        };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            theirs.push(self.measured(&bare, async |place| call(&to_bare, place).await).await?);
            ours.push(self.measured(&stack, async |place| call(&to_stack, place).await).await?);
        }
        let rate = |rounds: &[(load::Outcome, Duration)]| load::median(rounds.iter().map(|(outcome, _)| outcome.per_second).collect());
        let cpu = |rounds: &[(load::Outcome, Duration)]| load::median(rounds.iter().map(|(_, cpu)| cpu.as_secs_f64() * 1e6).collect());
        let (ratio, cost) = (rate(&ours) / rate(&theirs), cpu(&ours) / cpu(&theirs));
        let time = |of: fn(&load::Outcome) -> Duration| load::median_time(ours.iter().map(|(outcome, _)| of(outcome)).collect());
        let (p50, p99) = (time(|outcome| outcome.p50), time(|outcome| outcome.p99));
        let figures = vec![
            figure(
                "T: empty RPC through the stack, log on",
                format!("{:.0}/s, p50 {p50:.1?}, p99 {p99:.1?}, ratio {ratio:.2}", rate(&ours)),
                format!("bare tonic {:.0}/s; {IN_FLIGHT} calls in flight, load on the same cores", rate(&theirs)),
                "≥ 0.55",
                ratio >= 0.55,
            ),
            figure(
                "CPU of the server per empty RPC",
                format!("{:.0} µs, ratio {cost:.2}", cpu(&ours)),
                format!("bare tonic {:.0} µs", cpu(&theirs)),
                "≤ 2.5",
                cost <= 2.5,
            ),
        ];
        Ok((rate(&ours), figures))
    }

    /// A process of [`empty::serve`] that takes calls.
    pub(super) async fn empty_server(&self, kind: &str) -> anyhow::Result<(Process, SocketAddr)> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, suite::free_port()?));
        let process = self.suite.start(&["bench-server", kind, &address.to_string()])?;
        let began = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            anyhow::ensure!(began.elapsed() < Duration::from_secs(10), "the empty server ({kind}) does not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok((process, address))
    }

    /// CreateWorkItem against P, the statements it sends, over `products` products.
    async fn create(&self, products: usize) -> anyhow::Result<Figure> {
        let parse = |ids: &[String]| ids.iter().map(|id| id.parse()).collect::<Result<Vec<uuid::Uuid>, _>>();
        let chosen = &self.actor.products[..products];
        let [organization, workspace, user] =
            parse(&[self.actor.organization_id.clone(), self.actor.workspace_id.clone(), self.actor.user_id.clone()])?
                .try_into()
                .map_err(|_| anyhow::anyhow!("three ids"))?;
        let statements =
            floors::Statements::new(&self.suite.database_url(), self.connections, organization, workspace, user, parse(chosen)?).await?;
        let ids = runtime::Ids::system();
        let client = WorkItemServiceClient::new(self.tasks.clone());
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

    /// Remote Check against T.
    async fn check(&self, empty_rate: f64) -> anyhow::Result<Figure> {
        let client = AuthorizationServiceClient::new(self.suite.channel(authorization::NAME)?);
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
}

pub(super) fn figure(name: &'static str, value: String, against: String, goal: &'static str, met: bool) -> Figure {
    Figure { name, value, against, goal, met }
}
