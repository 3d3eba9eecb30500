//! `muster token`: signs in and prints an access token, for a shell's `$(…)` and for the commands that take `--token`.

use std::io::{BufRead, IsTerminal};

use anyhow::Context;
use clap::Args;
use contract::identity::v1::{CreateSessionRequest, create_session_request::Identifier, session_service_client::SessionServiceClient};
use runtime::SecretString;
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::{
    client::{Client, Target, refused},
    output::Output,
};

/// Whose token, and for what.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// The address or username of the account.
    identifier: String,
    /// An organization to enter: its id or slug.
    #[arg(long)]
    organization: Option<String>,
    /// A workspace to narrow the token to: its id or slug.
    #[arg(long, requires = "organization")]
    workspace: Option<String>,
    /// The password; without it, or with an empty one, the first line of standard input is.
    #[arg(long, env = "MUSTER_PASSWORD", hide = true)]
    password: Option<SecretString>,
    #[command(flatten)]
    output: Output,
}

/// What is answered.
#[derive(Debug, Serialize)]
struct Token<'a> {
    access_token: &'a str,
}

/// Signs in, enters what was named, and prints the access token alone.
///
/// # Errors
/// `SIGN_IN_REFUSED` and what else the calls answer; no such organization or workspace; no password.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let given = arguments.password.filter(|password| !password.expose_secret().is_empty());
    let password = match given {
        Some(password) => password,
        None => from_standard_input()?,
    };
    let channel = arguments.target.channel().await?;
    let mut client = sign_in(&Client::new(channel, String::new()), &arguments.identifier, &password).await?;
    if let Some(name) = &arguments.organization {
        let organization_id = client.organization(name).await?.organization_id;
        client = client.enter(&organization_id, "").await?;
        if let Some(name) = &arguments.workspace {
            let workspace_id = client.workspace(name).await?.workspace_id;
            client = client.enter(&organization_id, &workspace_id).await?;
        }
    }
    arguments.output.answer(&Token { access_token: client.token() }, || client.token().to_owned())
}

/// The session of who has `identifier`, an address or a username, and `password`, in no organization yet.
///
/// # Errors
/// `SIGN_IN_REFUSED`, `HASHING_OVERLOADED`.
pub(crate) async fn sign_in(nobody: &Client, identifier: &str, password: &SecretString) -> anyhow::Result<Client> {
    // No username has an @, and every address has one.
    let by = if identifier.contains('@') { Identifier::Email } else { Identifier::Username };
    let request = CreateSessionRequest {
        identifier: Some(by(identifier.to_owned())),
        password: password.expose_secret().to_owned(),
        device_token: String::new(),
    };
    let answer = SessionServiceClient::new(nobody.channel()).create_session(request).await.map_err(refused)?.into_inner();
    let tokens = answer.tokens.context("the account has a second factor, which this command does not ask for")?;
    Ok(Client::new(nobody.channel(), tokens.access_token))
}

fn from_standard_input() -> anyhow::Result<SecretString> {
    let input = std::io::stdin();
    // What is typed would be shown.
    anyhow::ensure!(!input.is_terminal(), "set MUSTER_PASSWORD, or give the password on standard input");
    let mut line = String::new();
    input.lock().read_line(&mut line).context("standard input can't be read")?;
    let password = line.trim_end_matches(['\r', '\n']);
    anyhow::ensure!(!password.is_empty(), "there is no password on standard input");
    Ok(password.to_owned().into())
}
