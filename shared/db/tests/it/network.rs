//! A network between a pool and its server, which can swallow everything.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// Leads to one server; ends with the test.
pub(crate) struct Network {
    pub(crate) port: u16,
    swallows: watch::Sender<bool>,
    delay: watch::Sender<Duration>,
}

impl Network {
    /// To the server that listens at `socket`.
    pub(crate) async fn to(socket: PathBuf) -> Network {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, (swallows, _)) = (listener.local_addr().unwrap().port(), watch::channel(false));
        let (delay, delayed) = watch::channel(Duration::ZERO);
        let told = swallows.clone();
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let wait = *delayed.borrow();
                let (socket, told) = (socket.clone(), told.subscribe());
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    carry(client, socket, told).await;
                });
            }
        });
        Network { port, swallows, delay }
    }

    /// Cuts every connection; those that are made from now on are never answered, not even when the server is back.
    pub(crate) fn swallow(&self) {
        self.swallows.send_replace(true);
    }

    /// Connections that are made from now on are answered after `time`.
    pub(crate) fn delay(&self, time: Duration) {
        self.delay.send_replace(time);
    }

    /// The server is back, for connections that are made from now on.
    pub(crate) fn is_back(&self) {
        self.swallows.send_replace(false);
    }
}

async fn carry(mut client: TcpStream, socket: PathBuf, mut swallows: watch::Receiver<bool>) {
    if *swallows.borrow_and_update() {
        // Its packets are lost, and it is not told.
        std::future::pending::<()>().await;
    }
    let mut server = UnixStream::connect(socket).await.unwrap();
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = swallows.changed() => {}
    }
}
