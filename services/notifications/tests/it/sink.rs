//! An SMTP server of a test: a real socket that does as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use notifications::{Config, Security, SmtpConfig};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Who may send where somebody must say who they are.
pub(crate) const USER: &str = "muster";
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// What it does with a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Takes it.
    Takes,
    /// Answers the recipient so: `450 later`, `550 nobody`.
    SaysToRecipient(&'static str),
    /// Answers the whole message so.
    SaysToMessage(&'static str),
    /// Takes the message and says so half a second later.
    AnswersLate,
    /// Takes the message and hangs up without a word.
    DropsAfterDot,
    /// Takes the message and says nothing.
    HangsAfterDot,
    /// Says nothing from the first moment.
    Hangs,
    /// Lets a mail come as far as its message, and waits for another mood before it asks for that.
    HangsBeforeMessage,
    /// Takes one mail and hangs up while the connection lies idle.
    LeavesAfterEach,
    /// Is joined by somebody on the way, who answers in the clear, together with the answer to STARTTLS, what would be asked next.
    IsJoined,
    /// Knows nobody's credentials.
    KnowsNobody,
}

/// How one gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// In the clear.
    Open,
    /// In the clear, and by TLS when asked for.
    StartTls,
    /// By TLS from the first byte.
    Tls,
}

#[derive(Clone)]
struct State {
    door: Door,
    /// How one says who one is; empty when nobody has to.
    auth: &'static str,
    tls: TlsAcceptor,
    mood: Arc<Mutex<Mood>>,
    /// Every message that came to its dot.
    messages: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
    /// Every line that came in the clear.
    overheard: Arc<Mutex<String>>,
}

/// The server, until it is dropped.
pub(crate) struct Sink {
    address: SocketAddr,
    state: State,
    server: JoinHandle<()>,
    /// Where its certificate lies.
    folder: TempDir,
}

impl Sink {
    /// In the clear, for everybody.
    pub(crate) async fn start(mood: Mood) -> Sink {
        Self::behind(Door::Open, "", mood).await
    }

    /// With a certificate that it made itself; `auth` is the mechanism by which senders say who they are.
    #[expect(clippy::disallowed_methods, reason = "a fixture, not a part of the suite: it dies with its test")]
    pub(crate) async fn behind(door: Door, auth: &'static str, mood: Mood) -> Sink {
        let folder = tempfile::tempdir().unwrap();
        let tls = acceptor(&folder);
        let (mood, messages, connections, overheard) = (Arc::new(Mutex::new(mood)), Arc::default(), Arc::default(), Arc::default());
        let state = State { door, auth, tls, mood, messages, connections, overheard };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, served) = (listener.local_addr().unwrap(), state.clone());
        let server = tokio::spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                *served.connections.lock().unwrap() += 1;
                open.spawn(serve(socket, served.clone()));
            }
        });
        Sink { address, state, server, folder }
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

    /// What could be read on the way.
    pub(crate) fn overheard(&self) -> String {
        self.state.overheard.lock().unwrap().clone()
    }

    /// Settings under which mail goes here, with little patience.
    pub(crate) fn config(&self) -> Config {
        let (host, port) = (self.address.ip().to_string(), self.address.port());
        let smtp = SmtpConfig { host, port, security: Security::None, timeout_ms: 500, answer_ms: 500, ..SmtpConfig::default() };
        Config { smtp, poll_ms: 20, attempt_max: 3, retry_delays_ms: vec![60_000], ..Config::default() }
    }

    /// The same with TLS, and the patience that a handshake needs.
    pub(crate) fn secure_config(&self, security: Security) -> Config {
        let ca_file = self.folder.path().join("certificate.pem").display().to_string();
        let smtp = SmtpConfig { security, ca_file, timeout_ms: 10_000, answer_ms: 10_000, ..self.config().smtp };
        Config { smtp, ..self.config() }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// With a certificate of its own for 127.0.0.1, which is put into `folder`.
fn acceptor(folder: &TempDir) -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(folder.path().join("certificate.pem"), made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider())).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap()).into()
}

async fn serve(mut socket: TcpStream, state: State) -> std::io::Result<()> {
    if *state.mood.lock().unwrap() == Mood::Hangs {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
    }
    if state.door != Door::Tls {
        socket.write_all(b"220 sink\r\n").await?;
        let Some(plain) = converse(socket, &state, false).await? else { return Ok(()) };
        return converse(state.tls.accept(plain).await?, &state, true).await.map(drop);
    }
    let mut stream = state.tls.accept(socket).await?;
    stream.write_all(b"220 sink\r\n").await?;
    converse(stream, &state, true).await.map(drop)
}

/// Until the end, or until TLS is asked for: then the stream is given back.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(stream: S, state: &State, secure: bool) -> std::io::Result<Option<S>> {
    let mut stream = BufReader::new(stream);
    let mood = || *state.mood.lock().unwrap();
    let mut known = state.auth.is_empty();
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if !secure {
            *state.overheard.lock().unwrap() += &line;
        }
        let verb = line.split_whitespace().next().unwrap_or_default().to_uppercase();
        let answer = match (verb.as_str(), mood()) {
            ("EHLO", _) => capabilities(state, secure),
            ("STARTTLS", _) if state.door == Door::StartTls && !secure => {
                let injected = if mood() == Mood::IsJoined { "250-sink\r\n250 AUTH PLAIN\r\n" } else { "" };
                stream.write_all(format!("220 go on\r\n{injected}").as_bytes()).await?;
                return Ok(Some(stream.into_inner()));
            }
            ("AUTH", mood) => {
                known = credentials(&mut stream, &line).await? && mood != Mood::KnowsNobody;
                if known { "235 welcome".to_owned() } else { "535 5.7.8 nobody of that name".to_owned() }
            }
            ("MAIL", _) if !known => "530 who are you?".to_owned(),
            ("RCPT", Mood::SaysToRecipient(answer)) => answer.to_owned(),
            ("DATA", _) => {
                while mood() == Mood::HangsBeforeMessage {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                stream.write_all(b"354 go on\r\n").await?;
                let Some(message) = message(&mut stream).await? else { return Ok(None) };
                state.messages.lock().unwrap().push(message);
                match mood() {
                    Mood::DropsAfterDot => return Ok(None),
                    Mood::HangsAfterDot => return std::future::pending().await,
                    Mood::SaysToMessage(answer) => answer.to_owned(),
                    Mood::LeavesAfterEach => return stream.write_all(b"250 taken\r\n").await.map(|()| None),
                    Mood::AnswersLate => {
                        tokio::time::sleep(Duration::from_millis(500)).await;
                        "250 taken".to_owned()
                    }
                    _ => "250 taken".to_owned(),
                }
            }
            ("QUIT", _) => return stream.write_all(b"221 bye\r\n").await.map(|()| None),
            _ => "250 fine".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
        stream.flush().await?;
    }
}

fn capabilities(state: &State, secure: bool) -> String {
    let starttls = if state.door == Door::StartTls && !secure { "250-STARTTLS\r\n" } else { "" };
    let auth = if state.auth.is_empty() { String::new() } else { format!("250-AUTH {}\r\n", state.auth) };
    format!("250-sink\r\n{starttls}{auth}250 fine")
}

/// Whether the credentials of `AUTH PLAIN` or `AUTH LOGIN` are right.
async fn credentials<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, line: &str) -> std::io::Result<bool> {
    let said = |text: &str| String::from_utf8(BASE64.decode(text.trim()).unwrap_or_default()).unwrap_or_default();
    if let Some(said_at_once) = line.trim().strip_prefix("AUTH PLAIN ") {
        return Ok(said(said_at_once) == format!("\0{USER}\0{PASSWORD}"));
    }
    let mut answers = Vec::new();
    for question in ["Username:", "Password:"] {
        stream.write_all(format!("334 {}\r\n", BASE64.encode(question)).as_bytes()).await?;
        stream.flush().await?;
        let mut answer = String::new();
        stream.read_line(&mut answer).await?;
        answers.push(said(&answer));
    }
    Ok(answers == [USER, PASSWORD])
}

/// Up to the dot, with doubled dots made single; `None` when it ends before.
async fn message<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> std::io::Result<Option<String>> {
    let (mut message, mut line) = (String::new(), String::new());
    loop {
        line.clear();
        match (stream.read_line(&mut line).await?, line.as_str()) {
            (0, _) => return Ok(None),
            (_, ".\r\n") => return Ok(Some(message)),
            _ => {}
        }
        message += line.strip_prefix('.').unwrap_or(&line);
    }
}
