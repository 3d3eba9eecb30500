//! The way of a mail over SMTP.
//!
//! Why not lettre's transport: it does not tell an error before the message from one after it, and that is the difference between trying again
//! and nobody knowing. The dialog is ours, command by command on lettre's connection. What fails before the message was handed over is tried
//! again; once its last byte may have gone out, only an answer says what became of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use lettre::Message;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use runtime::Shutdown;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::by_line::ByLine;
use crate::config::{Security, SmtpConfig};

/// How long the answer to a message that was handed over is waited for once the process stops. What became of it has to be written after
/// that, within the five seconds that a host gives its tasks.
const ANSWER_AT_STOP: Duration = Duration::from_secs(3);
/// How long a connection may lie idle: one that a firewall between forgot answers nothing and costs the time of a mail.
const IDLE_AT_MOST: Duration = Duration::from_secs(60);

/// What became of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The server took it.
    Taken(u16),
    /// Not now: refused with 4xx, the server is away, or it refuses us and not the mail.
    PutOff(Option<u16>),
    /// Never: refused with 5xx.
    Refused(u16),
    /// The message may have been taken: no answer came to its end.
    Unknown,
}

/// A connection on which the server waits for the message, and the message. Dropped, it hands nothing over.
pub(crate) struct Ready<'a> {
    smtp: &'a Smtp,
    connection: Box<AsyncSmtpConnection>,
    message: Vec<u8>,
}

/// One SMTP server, and connections to it that wait for the next mail.
pub(crate) struct Smtp {
    config: SmtpConfig,
    tls: Option<TlsParameters>,
    credentials: Option<Credentials>,
    state: Mutex<State>,
    idle_max: usize,
}

#[derive(Default)]
struct State {
    /// With the moment each was laid aside, the latest last.
    idle: Vec<(Instant, AsyncSmtpConnection)>,
    /// Until when nothing is sent, because the server refuses us; it stays until a connection succeeds.
    refused_until: Option<Instant>,
}

/// Why there is no connection.
enum Unconnected {
    /// Nobody is there.
    Unreached(std::io::Error),
    /// The server is away or busy.
    Away(lettre::transport::smtp::Error),
    /// It does not want us, or we not it: the credentials, no TLS where there must be, a certificate that does not hold.
    Refused(lettre::transport::smtp::Error),
}

/// Why the server does not wait for the message.
enum Unannounced {
    /// It takes no mail of ours: whatever goes wrong before it heard of a recipient says nothing about the mail.
    Us(lettre::transport::smtp::Error),
    /// It does not take this one.
    Mail(lettre::transport::smtp::Error),
}

impl Smtp {
    /// To the server of `config`; at most `idle_max` connections are kept open.
    ///
    /// # Errors
    /// A file of certificates that can't be read.
    pub(crate) fn new(config: &SmtpConfig, idle_max: usize) -> anyhow::Result<Self> {
        let tls = if config.security == Security::None { None } else { Some(tls(config)?) };
        let password = config.password.expose();
        let credentials = (!config.user.is_empty()).then(|| Credentials::new(config.user.clone(), password.to_owned()));
        Ok(Smtp { config: config.clone(), tls, credentials, state: Mutex::default(), idle_max })
    }

    /// How many of `idle` senders may send: none for `smtp.refusal_pause_ms` after the server refused us, then one in each such time, until it
    /// takes us again. What it refuses is the same for every mail: to try them all would use up their attempts, and lock the account.
    pub(crate) fn room(&self, idle: usize) -> usize {
        let mut state = self.state();
        match state.refused_until {
            None => idle,
            Some(until) if idle == 0 || Instant::now() < until => 0,
            Some(_) => {
                state.refused_until = Some(self.paused());
                1
            }
        }
    }

    /// A connection on which the server waits for `message`. Until then nothing was handed over: it may be cut off.
    ///
    /// # Errors
    /// What became of the mail instead. It takes at most `smtp.timeout_ms`.
    pub(crate) async fn begin(&self, message: &Message) -> Result<Ready<'_>, Sent> {
        let begun = timeout(Duration::from_millis(self.config.timeout_ms), self.announced(message.envelope())).await;
        let connection = begun.unwrap_or_else(|_| {
            tracing::warn!(timeout_ms = self.config.timeout_ms, "the SMTP server did not wait for a mail in time");
            Err(Sent::PutOff(None))
        })?;
        Ok(Ready { smtp: self, connection: Box::new(connection), message: message.formatted() })
    }

    /// One that lay idle may be gone, or the server tired of it: then a new one is made.
    async fn announced(&self, envelope: &Envelope) -> Result<AsyncSmtpConnection, Sent> {
        if let Some(mut connection) = self.idle() {
            match announce(&mut connection, envelope).await {
                Ok(()) => return Ok(connection),
                Err(Unannounced::Us(_)) => {}
                Err(Unannounced::Mail(error)) => {
                    if let Some(outcome) = answered(&error).filter(|outcome| *outcome != Sent::PutOff(Some(421))) {
                        return Err(outcome);
                    }
                }
            }
        }
        let mut connection = self.connect().await.map_err(|error| self.unconnected(&error))?;
        let outcome = match announce(&mut connection, envelope).await {
            Ok(()) => Ok(connection),
            Err(Unannounced::Us(error)) => return Err(self.unconnected(&Unconnected::of(error))),
            Err(Unannounced::Mail(error)) => Err(answered(&error).unwrap_or(Sent::PutOff(None))),
        };
        self.state().refused_until = None;
        outcome
    }

    /// The connection that was laid aside last, if none between can have forgotten it.
    fn idle(&self) -> Option<AsyncSmtpConnection> {
        let mut state = self.state();
        state.idle.retain(|(since, _)| since.elapsed() < IDLE_AT_MOST);
        state.idle.pop().map(|(_, connection)| connection)
    }

    /// Whatever goes wrong here says nothing about the mail.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Unconnected> {
        let (server, name) = ((self.config.host.as_str(), self.config.port), ClientId::Domain(self.config.hello.clone()));
        let security = self.config.security;
        let connected = match security {
            Security::Starttls | Security::Opportunistic => {
                let stream = TcpStream::connect(server).await.map_err(Unconnected::Unreached)?;
                AsyncSmtpConnection::connect_with_transport(Box::new(ByLine(stream)), &name).await
            }
            Security::Tls => AsyncSmtpConnection::connect_tokio1(server, None, &name, self.tls.clone(), None).await,
            Security::None => AsyncSmtpConnection::connect_tokio1(server, None, &name, None, None).await,
        };
        let mut connection = connected.map_err(Unconnected::of)?;
        let upgraded = match security {
            Security::Starttls => true,
            Security::Opportunistic => connection.can_starttls(),
            Security::Tls | Security::None => false,
        };
        if let Some(tls) = self.tls.clone().filter(|_| upgraded) {
            connection.starttls(tls, &name).await.map_err(Unconnected::of)?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await.map_err(Unconnected::of)?;
        }
        Ok(connection)
    }

    /// Says so where an operator reads it, and lets all mails wait where none would fare better.
    fn unconnected(&self, error: &Unconnected) -> Sent {
        match error {
            Unconnected::Unreached(error) => {
                tracing::warn!(%error, "the SMTP server can't be reached");
                Sent::PutOff(None)
            }
            Unconnected::Away(error) => {
                tracing::warn!(error = %chain(error), "the SMTP server can't be reached");
                answered(error).unwrap_or(Sent::PutOff(None))
            }
            Unconnected::Refused(error) => {
                self.state().refused_until = Some(self.paused());
                let settings = "smtp.user, smtp.password, smtp.security, smtp.ca_file";
                tracing::error!(error = %chain(error), settings, "the SMTP server and this service do not agree: no mail is sent");
                Sent::PutOff(error.status().map(u16::from))
            }
        }
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut state = self.state();
        if state.idle.len() < self.idle_max {
            state.idle.push((Instant::now(), connection));
        }
    }

    fn paused(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.config.refusal_pause_ms)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ready<'_> {
    /// Hands the message over and waits for the answer: at most `smtp.answer_ms`, and once `stop` is raised no longer than a stop allows.
    pub(crate) async fn hand_over(self, stop: &Shutdown) -> Sent {
        let Ready { smtp, mut connection, message } = self;
        let stopped = async {
            stop.requested().await;
            sleep(ANSWER_AT_STOP).await;
        };
        let answer = tokio::select! {
            biased;
            answer = timeout(Duration::from_millis(smtp.config.answer_ms), connection.message(&message)) => answer,
            () = stopped => return Sent::Unknown,
        };
        match answer {
            Ok(Ok(response)) => {
                smtp.keep(*connection);
                Sent::Taken(response.code().into())
            }
            Ok(Err(error)) => answered(&error).unwrap_or(Sent::Unknown),
            Err(_) => Sent::Unknown,
        }
    }
}

impl Unconnected {
    fn of(error: lettre::transport::smtp::Error) -> Self {
        // What our side finds missing (STARTTLS, a way to authenticate), what the server says for good, and a handshake that fails.
        let refused = error.is_client() || error.is_permanent() || error.is_tls() || is_certificate(&error);
        if refused { Unconnected::Refused(error) } else { Unconnected::Away(error) }
    }
}

/// Whether a TLS handshake failed by what one side thinks of the other: lettre tells it as a failed connection.
fn is_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let within = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        if error.is::<rustls::Error>() || within.is_some_and(|error| error.is::<rustls::Error>()) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Up to the server's word that it waits for the message.
async fn announce(connection: &mut AsyncSmtpConnection, envelope: &Envelope) -> Result<(), Unannounced> {
    connection.command(Mail::new(envelope.from().cloned(), Vec::new())).await.map_err(Unannounced::Us)?;
    for to in envelope.to() {
        connection.command(Rcpt::new(to.clone(), Vec::new())).await.map_err(Unannounced::Mail)?;
    }
    connection.command(Data).await.map_err(Unannounced::Mail)?;
    Ok(())
}

/// What the server said, when it is that which failed.
fn answered(error: &lettre::transport::smtp::Error) -> Option<Sent> {
    let code = error.status().map(u16::from)?;
    if error.is_permanent() { Some(Sent::Refused(code)) } else { Some(Sent::PutOff(Some(code))) }
}

/// An error with what led to it. None of it names a person: it is from before the first command of a mail.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        told = format!("{told}: {error}");
        source = error.source();
    }
    told
}

fn tls(config: &SmtpConfig) -> anyhow::Result<TlsParameters> {
    let mut builder = TlsParameters::builder(config.host.clone());
    if !config.ca_file.is_empty() {
        let pem = std::fs::read(&config.ca_file).with_context(|| format!("smtp.ca_file {} can't be read", config.ca_file))?;
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).context("smtp.ca_file holds no certificate")?);
    }
    builder.build_rustls().context("TLS can't be set up")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_refusal_one_mail_finds_out_however_many_senders_ask() {
        let smtp = Smtp::new(&SmtpConfig { security: Security::None, ..SmtpConfig::default() }, 8).unwrap();
        assert_eq!(smtp.room(8), 8);
        smtp.state().refused_until = Some(Instant::now());
        assert_eq!(smtp.room(0), 0, "nobody is there to find out");
        assert_eq!([smtp.room(8), smtp.room(8), smtp.room(8)], [1, 0, 0]);
    }
}
