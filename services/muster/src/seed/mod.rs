//! Development data, made through the services' own RPCs once they are ready.
//!
//! A seed is a client like any other: what it makes is validated, audited and told to the other services. Running it again changes nothing.

mod organizations;

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use contract::identity::v1::create_session_request::Identifier;
use contract::identity::v1::{
    CreateSessionRequest, IssueVerificationTokenRequest, ListUsersRequest, RegisterUserRequest, User, UserState, VerifyEmailRequest,
    account_service_client::AccountServiceClient, session_service_client::SessionServiceClient, user_service_client::UserServiceClient,
};
use rpc::client::Channel;

use crate::{
    client::{Target, refused},
    config::Config,
    keys,
    output::Output,
};

/// The system admin of a development suite; identity makes it at its start.
pub const ADMIN: &str = "admin@muster.example";

/// People who exist after a seed, beside the system admin: address and name.
pub const PEOPLE: [(&str, &str); 3] =
    [("ana@muster.example", "Ana Almeida"), ("ben@muster.example", "Ben Okafor"), ("vic@muster.example", "Vic Larsen")];

/// The password of everybody in a development suite.
pub const PASSWORD: &str = "correct horse battery staple";

/// What `muster seed` is told.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Where identity answers, when it is not the configured address: a person's address is proved there, by the operator's key.
    #[arg(long, value_name = "ADDRESS")]
    identity: Option<String>,
    /// The folder of keys, when it is not the configured one.
    #[arg(long)]
    keys: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// Makes people and organizations in the suite that `arguments` names, and says what is there.
///
/// # Errors
/// Nobody answers; no key of the operator; the first call that is refused.
pub(crate) async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let operator = keys::operator(arguments.keys.as_ref().unwrap_or(&config.suite.key_directory))?;
    let identity = arguments.identity.map_or_else(|| config.identity_address(), |address| format!("http://{address}"));
    let channel = arguments.target.channel().await?;
    let (mut progress, people) = (arguments.output.progress(), organizations::people());
    let registered = register(rpc::client::channel(identity::NAME, &identity, &operator)?, ADMIN, &people);
    progress.during("people", registered).await?;
    let sown = organizations::make(channel, &mut progress).await?;
    arguments.output.answer(&sown, || sown.shown())
}

/// Registers and verifies [`PEOPLE`], signed in as the system admin `admin_email`.
///
/// # Errors
/// The first RPC that is refused, with the person it was for.
pub async fn people(identity: Channel, admin_email: &str) -> anyhow::Result<()> {
    register(identity, admin_email, &PEOPLE).await
}

/// Registers and verifies `people`, address and name, with [`PASSWORD`]; signed in as the system admin `admin_email`.
///
/// # Errors
/// The first RPC that is refused, with the person it was for.
pub async fn register<T: AsRef<str>>(identity: Channel, admin_email: &str, people: &[(T, T)]) -> anyhow::Result<()> {
    let mut accounts = AccountServiceClient::new(identity.clone());
    let request = CreateSessionRequest {
        identifier: Some(Identifier::Email(admin_email.into())),
        password: PASSWORD.into(),
        device_token: String::new(),
    };
    let session = SessionServiceClient::new(identity.clone()).create_session(request).await.map_err(refused)?.into_inner();
    let token = session.tokens.map(|tokens| tokens.access_token).unwrap_or_default();
    let mut users = UserServiceClient::new(identity);
    for (email, display_name) in people.iter().map(|(email, display_name)| (email.as_ref(), display_name.as_ref())) {
        let username = String::new();
        let request = RegisterUserRequest { email: email.into(), password: PASSWORD.into(), display_name: display_name.into(), username };
        accounts.register_user(request).await.map_err(refused).context(email.to_owned())?;
        let user = find(&mut users, &token, email).await?;
        if user.state() == UserState::Pending {
            let request = IssueVerificationTokenRequest { user_id: user.user_id };
            let issued = accounts.issue_verification_token(request).await.map_err(refused).context(email.to_owned())?;
            let verification_token = issued.into_inner().verification_token;
            let proof = VerifyEmailRequest { verification_token, password: PASSWORD.into() };
            accounts.verify_email(proof).await.map_err(refused).context(email.to_owned())?;
        }
    }
    Ok(())
}

/// The account at `email`, or the last registration that waits when none was proved yet.
async fn find(users: &mut UserServiceClient<Channel>, token: &str, email: &str) -> anyhow::Result<User> {
    let mut request = tonic::Request::new(ListUsersRequest { filter: format!("email = \"{email}\""), ..ListUsersRequest::default() });
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    let found = users.list_users(request).await.map_err(refused)?.into_inner().users;
    let proved = found.iter().position(|user| user.state() == UserState::Active);
    let place = proved.unwrap_or(found.len().saturating_sub(1));
    found.into_iter().nth(place).ok_or_else(|| anyhow::anyhow!("{email} was registered and can't be found"))
}
