//! What the hop through the edge costs: the empty RPC through the gateway, beside the same RPC asked directly.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use contract::audit::v1::audit_service_client::AuditServiceClient;
use tonic::transport::Channel;

use super::{
    empty,
    figures::{CONNECTIONS, IN_FLIGHT, Run, figure},
    load,
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
    /// Throughput of the hop, and what it adds to a call.
    pub(super) async fn gateway(&self) -> anyhow::Result<Vec<Figure>> {
        let (_stack, direct_address) = self.empty_server("stack").await?;
        let (_edge, edge_address) = self.edge(direct_address).await?;
        let channels = |address| (0..CONNECTIONS).map(|_| suite::channel(address)).collect::<anyhow::Result<Vec<_>>>();
        let ways = [channels(direct_address)?, channels(edge_address)?];
        let mut measured = [Way::default(), Way::default()];
        for _ in 0..self.rounds {
            for (way, channels) in measured.iter_mut().zip(&ways) {
                way.rates.push(self.hop(IN_FLIGHT, channels).await?.per_second);
                way.alone.push(self.hop(1, channels).await?.p50.as_secs_f64());
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

    async fn hop(&self, in_flight: usize, channels: &[Channel]) -> anyhow::Result<load::Outcome> {
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
