//! The SMTP server of the suite under kills: it takes everything, and knows what it took.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// How often a mail came to its end, by the delivery that its Message-ID names.
pub(crate) type Taken = BTreeMap<String, usize>;

/// A server on a port of its own.
pub(crate) struct Sink {
    listener: TcpListener,
    address: SocketAddr,
    taken: RefCell<Taken>,
}

impl Sink {
    pub(crate) async fn bind() -> Sink {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        Sink { listener, address, taken: RefCell::default() }
    }

    /// The settings under which mails come here; what failed is soon tried again, also after the hundredth kill.
    pub(crate) fn settings(&self) -> [(&'static str, String); 5] {
        [
            ("MUSTER__NOTIFICATIONS__SMTP__HOST", self.address.ip().to_string()),
            ("MUSTER__NOTIFICATIONS__SMTP__PORT", self.address.port().to_string()),
            ("MUSTER__NOTIFICATIONS__SMTP__SECURITY", "none".to_owned()),
            ("MUSTER__NOTIFICATIONS__RETRY_DELAYS_MS", "[1000]".to_owned()),
            ("MUSTER__NOTIFICATIONS__ATTEMPT_MAX", "100".to_owned()),
        ]
    }

    /// Takes mails until `over` is; answers what that does.
    pub(crate) async fn during<T>(&self, over: impl Future<Output = T>) -> T {
        let mut connections = FuturesUnordered::new();
        tokio::pin!(over);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => connections.push(self.converse(accepted.unwrap().0)),
                // One that dies in the middle of it has said nothing.
                Some(_) = connections.next() => {}
                over = &mut over => return over,
            }
        }
    }

    /// What was taken so far.
    pub(crate) fn taken(&self) -> Taken {
        self.taken.borrow().clone()
    }

    async fn converse(&self, socket: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(socket);
        stream.write_all(b"220 sink\r\n").await?;
        let (mut line, mut message_of) = (String::new(), None);
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let answer: &[u8] = match (&mut message_of, line.trim_end()) {
                (Some(_), ".") => {
                    *self.taken.borrow_mut().entry(message_of.take().unwrap_or_default()).or_default() += 1;
                    b"250 taken\r\n"
                }
                (Some(delivery_id), line) => {
                    if let Some((id, _)) = line.strip_prefix("Message-ID: <").and_then(|id| id.split_once('@')) {
                        id.clone_into(delivery_id);
                    }
                    continue;
                }
                (None, "DATA") => {
                    message_of = Some(String::new());
                    b"354 go on\r\n"
                }
                (None, _) => b"250 fine\r\n",
            };
            stream.write_all(answer).await?;
        }
    }
}
