//! Where a peer is, and a socket to it.
//!
//! A name may have several addresses (a headless service of Kubernetes has one for each ready pod), and the system's resolver may tell them in the same
//! order for ever. So connections to one peer take them in turns, and each the next one when its own can't be reached.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use http::uri::{Authority, Scheme};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// How long a peer's name may take to resolve, and its addresses together to be reached.
const CONNECT: Duration = Duration::from_secs(2);
/// The port of an address that names none.
const PORT: u16 = 80;

type Resolve = dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Who knows the addresses behind names. Asked for each connection anew. Cheap to clone.
#[derive(Clone)]
pub struct Names(Arc<Resolve>);

impl Names {
    /// The system's resolver.
    pub fn system() -> Self {
        Self::new(|host, port| async move { Ok(lookup_host((host, port)).await?.collect()) })
    }

    /// `resolve` tells the addresses of a host, at a port.
    pub fn new<F>(resolve: impl Fn(String, u16) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        Self(Arc::new(move |host, port| Box::pin(resolve(host, port))))
    }
}

/// The address of a peer. Cheap to clone.
#[derive(Clone)]
pub(super) struct Address {
    names: Names,
    authority: Authority,
    /// Which of several addresses comes first, counted through all of them again and again.
    turn: usize,
}

/// An address that is none: not `http://host` or `http://host:port`.
#[derive(Debug, thiserror::Error)]
#[error("no address of the form http://host:port")]
pub struct NoAddress;

impl Address {
    /// The one that `uri` names.
    pub(super) fn new(names: &Names, uri: &str, turn: usize) -> Result<Self, NoAddress> {
        let uri: Uri = uri.parse().map_err(|_| NoAddress)?;
        let authority = uri.authority().filter(|_| uri.scheme() == Some(&Scheme::HTTP)).ok_or(NoAddress)?;
        Ok(Self { names: names.clone(), authority: authority.clone(), turn })
    }

    /// As requests say it.
    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A socket to it, its name resolved anew.
    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        let host = self.authority.host().trim_matches(['[', ']']).to_owned();
        let mut addresses = timeout(CONNECT, (self.names.0)(host, self.authority.port_u16().unwrap_or(PORT))).await??;
        addresses.sort_unstable();
        addresses.dedup();
        let first = self.turn.checked_rem(addresses.len()).unwrap_or(0);
        addresses.rotate_left(first);
        let mut connected = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        for address in &addresses {
            // One that is silent leaves the others their part of the time.
            let part = CONNECT / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
            connected = timeout(part, TcpStream::connect(address)).await.unwrap_or_else(|late| Err(late.into()));
            if connected.is_ok() {
                break;
            }
        }
        let socket = connected?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }
}
