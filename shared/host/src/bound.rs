//! A service's two ports, taken before anything else: peers can be told where it will answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Context;
use tokio::net::TcpListener;

use crate::{Hosted, ServiceConfig};

/// The ports of a service that does not serve yet.
#[derive(Debug)]
pub struct Bound {
    pub(crate) name: &'static str,
    pub(crate) listener: TcpListener,
    pub(crate) admin_listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Takes the ports of `hosted` for the service `name`.
    ///
    /// # Errors
    /// A port is in use or may not be taken.
    pub async fn bind<C: ServiceConfig>(name: &'static str, hosted: &Hosted<C>) -> anyhow::Result<Bound> {
        let listen = async |port: u16| {
            let address = SocketAddr::new(hosted.address, port);
            TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))
        };
        let (listener, admin_listener) = (listen(hosted.port).await?, listen(hosted.admin_port).await?);
        let address = listener.local_addr()?;
        Ok(Bound { name, listener, admin_listener, address })
    }

    /// The service.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a process on this machine reaches it: a wildcard address becomes the loopback one.
    pub fn reachable(&self) -> SocketAddr {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        SocketAddr::new(ip, self.address.port())
    }
}
