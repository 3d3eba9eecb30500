//! What people do who have no session, shortcuts to get one, and what services ask.

use contract::BaseRole;
use contract::identity::v1::account_service_client::AccountServiceClient;
use contract::identity::v1::create_session_request::Identifier;
use contract::identity::v1::key_service_client::KeyServiceClient;
use contract::identity::v1::recipient_service_client::RecipientServiceClient;
use contract::identity::v1::revocation_service_client::RevocationServiceClient;
use contract::identity::v1::session_service_client::SessionServiceClient;
use contract::identity::v1::*;
use identity::retention::Retention;
use runtime::{OrganizationId, UserId, WorkspaceId};
use testkit::{Actor, App, Channel};
use tonic::{Status, Streaming};

use super::{Acts, HEARD, PASSWORD, Person, ROOT, address, until};

/// The verbs of people who have no session, and shortcuts to get one.
pub(crate) trait Door {
    async fn register_user(&self, email: &str, password: &str, display_name: &str) -> Result<RegisterUserResponse, Status>;
    /// Asks for a username too.
    async fn register_as(&self, name: &str, username: &str) -> Result<RegisterUserResponse, Status>;
    async fn issue_verification_token(&self, user: &str) -> Result<String, Status>;
    async fn verify_email(&self, token: &str, password: &str) -> Result<String, Status>;
    async fn create_session(&self, email: &str, password: &str) -> Result<CreateSessionResponse, Status>;
    /// The same by address or username.
    async fn create_session_as(&self, identifier: Identifier, password: &str) -> Result<CreateSessionResponse, Status>;
    /// For the registration that `register_user` answered.
    async fn resend_verification(&self, email: &str, registration_id: &str) -> Result<ResendVerificationResponse, Status>;
    async fn request_password_reset(&self, email: &str) -> Result<RequestPasswordResetResponse, Status>;
    async fn reset_password(&self, token: &str, password: &str) -> Result<ResetPasswordResponse, Status>;
    async fn check_password(&self, request: CheckPasswordRequest) -> Result<CheckPasswordResponse, Status>;
    /// What the service that sends mail is told, as that service.
    async fn resolve_recipient(&self, request: ResolveRecipientRequest) -> Result<ResolveRecipientResponse, Status>;
    async fn refresh_session(&self, refresh_token: &str) -> Result<TokenPair, Status>;
    async fn key_set(&self) -> serde_json::Value;

    /// Registers `name`, whose address stays unproved.
    async fn pending(&self, name: &str) -> UserId;
    /// Registers `name` and proves the address.
    async fn verified(&self, name: &str) -> UserId;
    /// A new session of somebody who can sign in.
    async fn sign_in(&self, email: &str) -> Person;
    /// Registers `name`, proves the address and signs in.
    async fn person(&self, name: &str) -> Person;
    /// The system admin of [`with_root`], signed in and known as one to the authority.
    async fn root(&self) -> Person;
    /// `who` creates an organization, is known as its owner to the authority, and enters it.
    async fn founded(&self, who: &Person, slug: &str) -> Actor;
    /// `owner` adds a new person to their organization, who is known to the authority and enters it.
    async fn joined(&self, owner: &Actor, name: &str, role: BaseRole) -> Actor;
    /// Says to the authority which role `who` holds in the organization they are in.
    async fn known_as(&self, who: &Actor, role: BaseRole);
    /// `owner` creates a workspace that is known to the authority.
    async fn with_workspace(&self, owner: &Actor, slug: &str) -> WorkspaceId;
    /// Deletes what no longer matters, as the service does once a minute.
    async fn retention_round(&self);
    /// A client of the revocation service, as the service `tasks`.
    fn revocations(&self) -> RevocationServiceClient<Channel>;
}

impl Door for App {
    async fn register_user(&self, email: &str, password: &str, display_name: &str) -> Result<RegisterUserResponse, Status> {
        let (email, password, display_name) = (email.to_owned(), password.to_owned(), display_name.to_owned());
        let request = RegisterUserRequest { email, password, display_name, ..Default::default() };
        Ok(AccountServiceClient::new(self.anonymous().channel()).register_user(request).await?.into_inner())
    }

    async fn register_as(&self, name: &str, username: &str) -> Result<RegisterUserResponse, Status> {
        let (email, password, display_name) = (address(name), PASSWORD.to_owned(), name.to_owned());
        let request = RegisterUserRequest { email, password, display_name, username: username.to_owned() };
        Ok(AccountServiceClient::new(self.anonymous().channel()).register_user(request).await?.into_inner())
    }

    async fn issue_verification_token(&self, user: &str) -> Result<String, Status> {
        let request = IssueVerificationTokenRequest { user_id: user.to_owned() };
        let mut client = AccountServiceClient::new(self.service("operator").channel());
        Ok(client.issue_verification_token(request).await?.into_inner().verification_token)
    }

    async fn verify_email(&self, token: &str, password: &str) -> Result<String, Status> {
        let request = VerifyEmailRequest { verification_token: token.to_owned(), password: password.to_owned() };
        Ok(AccountServiceClient::new(self.anonymous().channel()).verify_email(request).await?.into_inner().user_id)
    }

    async fn create_session(&self, email: &str, password: &str) -> Result<CreateSessionResponse, Status> {
        self.create_session_as(Identifier::Email(email.to_owned()), password).await
    }

    async fn create_session_as(&self, identifier: Identifier, password: &str) -> Result<CreateSessionResponse, Status> {
        let request = CreateSessionRequest { identifier: Some(identifier), password: password.to_owned(), device_token: String::new() };
        Ok(SessionServiceClient::new(self.anonymous().channel()).create_session(request).await?.into_inner())
    }

    async fn resend_verification(&self, email: &str, registration_id: &str) -> Result<ResendVerificationResponse, Status> {
        let request = ResendVerificationRequest { email: email.to_owned(), registration_id: registration_id.to_owned() };
        Ok(AccountServiceClient::new(self.anonymous().channel()).resend_verification(request).await?.into_inner())
    }

    async fn request_password_reset(&self, email: &str) -> Result<RequestPasswordResetResponse, Status> {
        let request = RequestPasswordResetRequest { email: email.to_owned() };
        Ok(AccountServiceClient::new(self.anonymous().channel()).request_password_reset(request).await?.into_inner())
    }

    async fn reset_password(&self, token: &str, password: &str) -> Result<ResetPasswordResponse, Status> {
        let request = ResetPasswordRequest { password_reset_token: token.to_owned(), password: password.to_owned() };
        Ok(AccountServiceClient::new(self.anonymous().channel()).reset_password(request).await?.into_inner())
    }

    async fn check_password(&self, request: CheckPasswordRequest) -> Result<CheckPasswordResponse, Status> {
        Ok(AccountServiceClient::new(self.anonymous().channel()).check_password(request).await?.into_inner())
    }

    async fn resolve_recipient(&self, request: ResolveRecipientRequest) -> Result<ResolveRecipientResponse, Status> {
        Ok(RecipientServiceClient::new(self.service("notifications").channel()).resolve_recipient(request).await?.into_inner())
    }

    async fn refresh_session(&self, refresh_token: &str) -> Result<TokenPair, Status> {
        let request = RefreshSessionRequest { refresh_token: refresh_token.to_owned() };
        Ok(SessionServiceClient::new(self.anonymous().channel()).refresh_session(request).await?.into_inner().tokens.unwrap())
    }

    async fn key_set(&self) -> serde_json::Value {
        let answer = KeyServiceClient::new(self.anonymous().channel()).get_json_web_key_set(GetJsonWebKeySetRequest {}).await.unwrap();
        serde_json::from_str(&answer.into_inner().json_web_key_set).unwrap()
    }

    async fn pending(&self, name: &str) -> UserId {
        self.register_user(&address(name), PASSWORD, name).await.unwrap();
        // As quick as it can be had: waiting for the event takes longer, and most tests register somebody.
        let newest = "SELECT user_id FROM identity.user_account ORDER BY user_id DESC LIMIT 1";
        sqlx::query_scalar(newest).fetch_one(&mut self.sql().await).await.unwrap()
    }

    async fn verified(&self, name: &str) -> UserId {
        let user = self.pending(name).await;
        let token = self.issue_verification_token(&user.to_string()).await.unwrap();
        assert_eq!(self.verify_email(&token, PASSWORD).await.unwrap(), user.to_string());
        user
    }

    async fn sign_in(&self, email: &str) -> Person {
        let answer = self.create_session(email, PASSWORD).await.unwrap();
        let (session, tokens) = (answer.session.unwrap(), answer.tokens.unwrap());
        let mut actor = self.bearer(email, session.user_id.parse().unwrap(), OrganizationId::SYSTEM, &tokens.access_token);
        actor.session_id = session.session_id.parse().unwrap();
        Person { actor, session, tokens }
    }

    async fn person(&self, name: &str) -> Person {
        self.verified(name).await;
        self.sign_in(&address(name)).await
    }

    async fn root(&self) -> Person {
        let root = self.sign_in(ROOT).await;
        self.authority().make_system_admin(root.user_id);
        let knows = async || self.deps().authorizer.is_system_admin(root.user_id);
        until("the system admin is known", knows).await;
        root
    }

    async fn founded(&self, who: &Person, slug: &str) -> Actor {
        let organization: OrganizationId = who.create_organization(slug, "").await.unwrap().organization_id.parse().unwrap();
        let owner = who.entering(organization).await;
        self.known_as(&owner, BaseRole::Owner).await;
        owner
    }

    async fn joined(&self, owner: &Actor, name: &str, role: BaseRole) -> Actor {
        let person = self.person(name).await;
        owner.add_member(person.user_id, role).await.unwrap();
        let actor = person.entering(owner.organization_id).await;
        self.known_as(&actor, role).await;
        actor
    }

    async fn known_as(&self, who: &Actor, role: BaseRole) {
        self.assign(who.user_id, who.organization_id, None, Some(role)).await;
    }

    async fn with_workspace(&self, owner: &Actor, slug: &str) -> WorkspaceId {
        let id: WorkspaceId = owner.create_workspace(slug, "").await.unwrap().workspace_id.parse().unwrap();
        self.authority().add_workspace(owner.organization_id, id);
        assert!(self.deps().authorizer.wait_for_workspace(owner.organization_id, id, HEARD).await, "the workspace is never heard of");
        id
    }

    async fn retention_round(&self) {
        let retention = Retention { db: self.deps().db.clone(), pending_kept: time::Duration::days(7), password_history: 0 };
        retention.round(true).await.unwrap();
    }

    fn revocations(&self) -> RevocationServiceClient<Channel> {
        RevocationServiceClient::new(self.service("tasks").channel())
    }
}

/// What a service that verifies tokens asks.
pub(crate) trait Watches {
    async fn list(&mut self) -> Result<ListRevocationsResponse, Status>;
    async fn watch(&mut self, from_position: i64) -> Result<Streaming<WatchRevocationsResponse>, Status>;
}

impl Watches for RevocationServiceClient<Channel> {
    async fn list(&mut self) -> Result<ListRevocationsResponse, Status> {
        Ok(self.list_revocations(ListRevocationsRequest {}).await?.into_inner())
    }

    async fn watch(&mut self, from_position: i64) -> Result<Streaming<WatchRevocationsResponse>, Status> {
        Ok(self.watch_revocations(WatchRevocationsRequest { from_position }).await?.into_inner())
    }
}
