//! An SMTP server of a test: a real socket that does as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notifications::{Config, Security, SmtpConfig};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it does with a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Takes it.
    Takes,
    /// Answers the recipient so: `450 later`, `550 nobody`.
    SaysToRecipient(&'static str),
    /// Answers the whole message so.
    SaysToMessage(&'static str),
    /// Takes the message and hangs up without a word.
    DropsAfterDot,
    /// Takes the message and says nothing.
    HangsAfterDot,
    /// Says nothing from the first moment.
    Hangs,
    /// Takes one mail and hangs up while the connection lies idle.
    LeavesAfterEach,
}

#[derive(Clone)]
struct State {
    mood: Arc<Mutex<Mood>>,
    /// Every message that came to its dot.
    messages: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

/// The server, until it is dropped.
pub(crate) struct Sink {
    address: SocketAddr,
    state: State,
    server: JoinHandle<()>,
}

impl Sink {
    #[expect(clippy::disallowed_methods, reason = "a fixture, not a part of the suite: it dies with its test")]
    pub(crate) async fn start(mood: Mood) -> Sink {
        let state = State { mood: Arc::new(Mutex::new(mood)), messages: Arc::default(), connections: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, served) = (listener.local_addr().unwrap(), state.clone());
        let server = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                *served.connections.lock().unwrap() += 1;
                open.spawn(converse(socket, served.clone()));
            }
        });
        Sink { address, state, server }
    }

    /// What it does from now on.
    pub(crate) fn becomes(&self, mood: Mood) {
        *self.state.mood.lock().unwrap() = mood;
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        self.state.messages.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.state.connections.lock().unwrap()
    }

    /// Settings under which mail goes here, with little patience.
    pub(crate) fn config(&self) -> Config {
        let (host, port) = (self.address.ip().to_string(), self.address.port());
        let smtp = SmtpConfig { host, port, security: Security::None, timeout_ms: 500, ..SmtpConfig::default() };
        Config { smtp, poll_ms: 20, attempt_max: 3, retry_delays_ms: vec![60_000], ..Config::default() }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn converse(socket: TcpStream, state: State) -> std::io::Result<()> {
    let mut stream = BufReader::new(socket);
    let mood = || *state.mood.lock().unwrap();
    if mood() == Mood::Hangs {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
    }
    stream.write_all(b"220 sink\r\n").await?;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let verb = line.split_whitespace().next().unwrap_or_default().to_uppercase();
        let answer = match (verb.as_str(), mood()) {
            ("RCPT", Mood::SaysToRecipient(answer)) => answer.to_owned(),
            ("DATA", _) => {
                stream.write_all(b"354 go on\r\n").await?;
                let message = message(&mut stream).await?;
                state.messages.lock().unwrap().push(message);
                match mood() {
                    Mood::DropsAfterDot => return Ok(()),
                    Mood::HangsAfterDot => return std::future::pending().await,
                    Mood::SaysToMessage(answer) => answer.to_owned(),
                    Mood::LeavesAfterEach => return stream.write_all(b"250 taken\r\n").await,
                    _ => "250 taken".to_owned(),
                }
            }
            ("QUIT", _) => return stream.write_all(b"221 bye\r\n").await,
            _ => "250 fine".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

/// Up to the dot, with doubled dots made single.
async fn message(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let (mut message, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 || line == ".\r\n" {
            return Ok(message);
        }
        message += line.strip_prefix('.').unwrap_or(&line);
    }
}
