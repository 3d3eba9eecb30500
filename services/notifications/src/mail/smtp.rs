//! The way of a mail over SMTP.
//!
//! Why not lettre's transport: it does not tell an error before the message from one after it, and that is the difference between trying again
//! and nobody knowing. The dialog is ours, command by command on lettre's connection. What fails before the message was handed over is tried
//! again; once its last byte may have gone out, only an answer says what became of it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use lettre::Message;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use crate::config::{Security, SmtpConfig};

/// What became of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The server took it.
    Taken(u16),
    /// Not now: refused with 4xx, or the server is away.
    PutOff(Option<u16>),
    /// Never: refused with 5xx.
    Refused(u16),
    /// The message may have been taken: no answer came to its end.
    Unknown,
}

/// One SMTP server, and connections to it that wait for the next mail.
pub(crate) struct Smtp {
    config: SmtpConfig,
    tls: Option<TlsParameters>,
    credentials: Option<Credentials>,
    idle: Mutex<Vec<AsyncSmtpConnection>>,
    idle_max: usize,
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
        Ok(Smtp { config: config.clone(), tls, credentials, idle: Mutex::default(), idle_max })
    }

    /// Sends `message`. It takes at most twice `smtp.timeout_ms`.
    pub(crate) async fn send(&self, message: &Message) -> Sent {
        let envelope = message.envelope();
        let (at_most, bytes) = (Duration::from_millis(self.config.timeout_ms), message.formatted());
        let mut connection = match timeout(at_most, self.begin(envelope)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(outcome)) => return outcome,
            Err(_) => return Sent::PutOff(None),
        };
        match timeout(at_most, connection.message(&bytes)).await {
            Ok(Ok(response)) => {
                self.keep(connection);
                Sent::Taken(response.code().into())
            }
            Ok(Err(error)) => answered(&error).unwrap_or(Sent::Unknown),
            Err(_) => Sent::Unknown,
        }
    }

    /// A connection on which the server waits for the message. One that lay idle may be gone: then a new one is made.
    async fn begin(&self, envelope: &Envelope) -> Result<AsyncSmtpConnection, Sent> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(mut connection) = idle {
            match announce(&mut connection, envelope).await {
                Ok(()) => return Ok(connection),
                Err(error) => {
                    if let Some(outcome) = answered(&error).filter(|outcome| *outcome != Sent::PutOff(Some(421))) {
                        return Err(outcome);
                    }
                }
            }
        }
        let mut connection = self.connect().await.map_err(|error| {
            tracing::warn!(error = %chain(&error), "the SMTP server can't be reached");
            Sent::PutOff(None)
        })?;
        match announce(&mut connection, envelope).await {
            Ok(()) => Ok(connection),
            Err(error) => Err(answered(&error).unwrap_or(Sent::PutOff(None))),
        }
    }

    /// Whatever goes wrong here says nothing about the mail.
    async fn connect(&self) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
        let (server, name) = ((self.config.host.as_str(), self.config.port), ClientId::Domain(self.config.hello.clone()));
        let wrapper = self.tls.clone().filter(|_| self.config.security == Security::Tls);
        let mut connection = AsyncSmtpConnection::connect_tokio1(server, None, &name, wrapper, None).await?;
        if let Some(tls) = self.tls.clone().filter(|_| self.config.security == Security::Starttls) {
            connection.starttls(tls, &name).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.idle_max {
            idle.push(connection);
        }
    }
}

/// Up to the server's word that it waits for the message.
async fn announce(connection: &mut AsyncSmtpConnection, envelope: &Envelope) -> Result<(), lettre::transport::smtp::Error> {
    connection.command(Mail::new(envelope.from().cloned(), Vec::new())).await?;
    for to in envelope.to() {
        connection.command(Rcpt::new(to.clone(), Vec::new())).await?;
    }
    connection.command(Data).await?;
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
