//! What the hop through the edge costs: the empty RPC through the gateway, beside the same RPC asked directly, through nginx, and in gRPC-Web.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use contract::audit::v1::audit_service_client::AuditServiceClient;
use tonic::transport::Channel;

use super::{
    empty,
    figures::{CONNECTIONS, IN_FLIGHT, Run, figure},
    frames::{self, Lane},
    load, nginx,
    process::Process,
    report::Figure,
    suite,
};

/// The rounds of one way: calls a second with many in flight, and the median time of a call that is alone.
#[derive(Default)]
struct Way {
    rates: Vec<f64>,
    alone: Vec<f64>,
}

impl Run<'_> {
    /// Throughput of the hop, what it adds to a call, and what other ways make of it.
    pub(super) async fn gateway(&self) -> anyhow::Result<Vec<Figure>> {
        let (_stack, direct_address) = self.empty_server("stack").await?;
        let (_edge, edge_address) = self.edge(direct_address).await?;
        let (direct, edge) = (channels(direct_address)?, channels(edge_address)?);
        let mut figures = self.hop(&direct, &edge).await?;
        figures.push(self.beside_nginx(direct_address, &edge).await?);
        figures.push(self.web(&edge).await?);
        Ok(figures)
    }

    async fn hop(&self, direct: &[Channel], edge: &[Channel]) -> anyhow::Result<Vec<Figure>> {
        let mut measured = [Way::default(), Way::default()];
        for _ in 0..self.rounds {
            for (way, channels) in measured.iter_mut().zip([direct, edge]) {
                way.rates.push(self.empties(IN_FLIGHT, channels).await?.per_second);
                way.alone.push(self.empties(1, channels).await?.p50.as_secs_f64());
            }
        }
        let [direct, through] = measured.map(|way| (load::median(way.rates), load::median(way.alone)));
        let (ratio, added) = (through.0 / direct.0, through.1 - direct.1);
        let time = |seconds: f64| format!("{:.0?}", Duration::from_secs_f64(seconds.max(0.0)));
        Ok(vec![
            figure(
                "gateway: the empty RPC through it",
                format!("{:.0}/s, ratio {ratio:.2}", through.0),
                format!("asked directly, {:.0}/s; {IN_FLIGHT} calls in flight, all on the same cores", direct.0),
                "≥ 0.5",
                ratio >= 0.5,
            ),
            figure(
                "gateway: what it adds to a call, median",
                time(added),
                format!("asked directly, {}; one call in flight", time(direct.1)),
                "≤ one direct",
                added <= direct.1,
            ),
        ])
    }

    /// The same hop through nginx, which passes gRPC on and logs each call, and does nothing else of what an edge does.
    async fn beside_nginx(&self, upstream: SocketAddr, edge: &[Channel]) -> anyhow::Result<Figure> {
        const NAME: &str = "gateway beside nginx grpc_pass";
        let Some((_nginx, address)) = nginx::start(&self.suite.folder("nginx"), upstream).await? else {
            return Ok(figure(NAME, "not measured".into(), "nginx is not installed (`make bench` brings it)".into(), "≥ 0.85", false));
        };
        let nginx = channels(address)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            theirs.push(self.empties(IN_FLIGHT, &nginx).await?.per_second);
            ours.push(self.empties(IN_FLIGHT, edge).await?.per_second);
        }
        let (ours, theirs) = (load::median(ours), load::median(theirs));
        let ratio = ours / theirs;
        Ok(figure(NAME, format!("{ours:.0}/s, ratio {ratio:.2}"), format!("nginx, one process, {theirs:.0}/s"), "≥ 0.85", ratio >= 0.85))
    }

    /// gRPC-Web against gRPC: the same bytes from the same client, in one dress and in the other.
    async fn web(&self, edge: &[Channel]) -> anyhow::Result<Figure> {
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..self.rounds {
            for (rates, lane) in rates.iter_mut().zip([Lane::Grpc, Lane::GrpcWeb]) {
                let call = async |place: usize| frames::call(edge[place % CONNECTIONS].clone(), lane, &self.actor.authorization).await;
                rates.push(load::keep(IN_FLIGHT, self.duration, call).await?.per_second);
            }
        }
        let [grpc, web] = rates.map(load::median);
        let (ratio, against) = (web / grpc, format!("gRPC, {grpc:.0}/s; both as bare frames through the gateway"));
        Ok(figure("gateway: gRPC-Web", format!("{web:.0}/s, ratio {ratio:.2}"), against, "≥ 0.95", ratio >= 0.95))
    }

    async fn empties(&self, in_flight: usize, channels: &[Channel]) -> anyhow::Result<load::Outcome> {
        let call = async |place: usize| {
            empty::call(AuditServiceClient::new(channels[place % CONNECTIONS].clone()), &self.actor.authorization).await
        };
        load::keep(in_flight, self.duration, call).await
    }

    /// A gateway of its own, which takes the server at `upstream` for audit.
    async fn edge(&self, upstream: SocketAddr) -> anyhow::Result<(Process, SocketAddr)> {
        let (port, admin_port) = (suite::free_port()?, suite::free_port()?);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let settings =
            [format!("suite.peers.audit=http://{upstream}"), format!("gateway.port={port}"), format!("gateway.admin_port={admin_port}")];
        let mut arguments = vec!["serve", "gateway"];
        for setting in &settings {
            arguments.extend(["--set", setting]);
        }
        let process = self.suite.start(&arguments)?;
        suite::serving(address).await?;
        Ok((process, address))
    }
}

fn channels(address: SocketAddr) -> anyhow::Result<Vec<Channel>> {
    (0..CONNECTIONS).map(|_| suite::channel(address)).collect()
}
