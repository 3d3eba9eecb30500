//! What people do with a second factor, with an authenticator app that is not the service's own code.

use std::ops::Deref;

use contract::identity::v1::continue_session_request::Code;
use contract::identity::v1::factor_service_client::FactorServiceClient;
use contract::identity::v1::organization_service_client::OrganizationServiceClient;
use contract::identity::v1::session_service_client::SessionServiceClient;
use contract::identity::v1::*;
use contract::time::timestamp;
use testkit::{Actor, App, Authenticator};
use time::OffsetDateTime;
use tonic::Status;

use super::{Door, PASSWORD, Person, address};

/// Somebody with a second factor, in the session that confirmed it.
#[derive(Clone, Debug)]
pub(crate) struct Guarded {
    pub(crate) actor: Actor,
    /// As the session was opened.
    pub(crate) person: Person,
    pub(crate) factor: Factor,
    pub(crate) app: Authenticator,
    pub(crate) recovery_codes: Vec<String>,
}

impl Deref for Guarded {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.actor
    }
}

/// The verbs of people with a session.
pub(crate) trait Factors {
    async fn enroll_totp(&self) -> Result<EnrollTotpResponse, Status>;
    async fn confirm_totp(&self, factor: &Factor, code: &str) -> Result<ConfirmTotpResponse, Status>;
    async fn list_factors(&self) -> Result<ListFactorsResponse, Status>;
    async fn delete_factor(&self, factor: &Factor) -> Result<DeleteFactorResponse, Status>;
    async fn regenerate_recovery_codes(&self) -> Result<Vec<String>, Status>;
    async fn reset_user_factors(&self, user: &str) -> Result<(), Status>;
    async fn step_up_by(&self, request: StepUpSessionRequest) -> Result<StepUpSessionResponse, Status>;
    async fn step_up_by_password(&self, password: &str) -> Result<StepUpSessionResponse, Status>;
    async fn step_up_by_code(&self, code: &str) -> Result<StepUpSessionResponse, Status>;
    /// Asks members of the organization for a second factor from then on, or for none.
    async fn require_mfa(&self, from: Option<OffsetDateTime>) -> Result<OrganizationSettings, Status>;
}

impl Factors for Actor {
    async fn enroll_totp(&self) -> Result<EnrollTotpResponse, Status> {
        let request = EnrollTotpRequest { display_name: "my phone".to_owned() };
        Ok(FactorServiceClient::new(self.channel()).enroll_totp(request).await?.into_inner())
    }

    async fn confirm_totp(&self, factor: &Factor, code: &str) -> Result<ConfirmTotpResponse, Status> {
        let request = ConfirmTotpRequest { factor_id: factor.factor_id.clone(), totp_code: code.to_owned() };
        Ok(FactorServiceClient::new(self.channel()).confirm_totp(request).await?.into_inner())
    }

    async fn list_factors(&self) -> Result<ListFactorsResponse, Status> {
        Ok(FactorServiceClient::new(self.channel()).list_factors(ListFactorsRequest {}).await?.into_inner())
    }

    async fn delete_factor(&self, factor: &Factor) -> Result<DeleteFactorResponse, Status> {
        let request = DeleteFactorRequest { factor_id: factor.factor_id.clone() };
        Ok(FactorServiceClient::new(self.channel()).delete_factor(request).await?.into_inner())
    }

    async fn regenerate_recovery_codes(&self) -> Result<Vec<String>, Status> {
        let answer = FactorServiceClient::new(self.channel()).regenerate_recovery_codes(RegenerateRecoveryCodesRequest {}).await?;
        Ok(answer.into_inner().recovery_codes)
    }

    async fn reset_user_factors(&self, user: &str) -> Result<(), Status> {
        let request = ResetUserFactorsRequest { user_id: user.to_owned() };
        FactorServiceClient::new(self.channel()).reset_user_factors(request).await.map(drop)
    }

    async fn step_up_by(&self, request: StepUpSessionRequest) -> Result<StepUpSessionResponse, Status> {
        Ok(SessionServiceClient::new(self.channel()).step_up_session(request).await?.into_inner())
    }

    async fn step_up_by_password(&self, password: &str) -> Result<StepUpSessionResponse, Status> {
        self.step_up_by(StepUpSessionRequest { password: password.to_owned(), code: None }).await
    }

    async fn step_up_by_code(&self, code: &str) -> Result<StepUpSessionResponse, Status> {
        let code = Some(step_up_session_request::Code::TotpCode(code.to_owned()));
        self.step_up_by(StepUpSessionRequest { password: String::new(), code }).await
    }

    async fn require_mfa(&self, from: Option<OffsetDateTime>) -> Result<OrganizationSettings, Status> {
        let settings = OrganizationSettings { mfa_required_time: from.map(timestamp), ..OrganizationSettings::default() };
        let request = UpdateOrganizationSettingsRequest {
            organization_id: self.organization_id.to_string(),
            organization_settings: Some(settings),
            update_mask: Some(prost_types::FieldMask { paths: vec!["mfa_required_time".to_owned()] }),
            etag: String::new(),
        };
        let answer = OrganizationServiceClient::new(self.channel()).update_organization_settings(request).await?;
        Ok(answer.into_inner().organization_settings.unwrap())
    }
}

/// The verbs of people who wait for their second factor, and shortcuts to have one.
pub(crate) trait Waits {
    /// Registers `name`, who signs in and enrols an app with the code that it shows now. Whatever is done next by code is a step later.
    async fn guarded(&self, name: &str) -> Guarded;
    /// The challenge of a sign-in of somebody with a second factor.
    async fn challenge(&self, name: &str) -> Challenge;
    async fn answer(&self, challenge: &Challenge, code: Code) -> Result<ContinueSessionResponse, Status>;
    async fn answer_by_code(&self, challenge: &Challenge, code: &str) -> Result<ContinueSessionResponse, Status>;
    async fn answer_by_recovery(&self, challenge: &Challenge, code: &str) -> Result<ContinueSessionResponse, Status>;
    /// A code that the app does not show for a while: none of the steps nearby.
    fn wrong_code(&self, who: &Guarded) -> String;
    /// `who` enrols an app with the code that it shows now; gives the token that says so.
    async fn enrolling(&self, who: &Actor) -> (Actor, ConfirmTotpResponse, Authenticator);
    /// What the app of `who` shows now.
    fn code_of(&self, who: &Guarded) -> String;
    /// Time goes on by one step of the app.
    fn next_step(&self);
}

impl Waits for App {
    async fn guarded(&self, name: &str) -> Guarded {
        let person = self.person(name).await;
        let (actor, confirmed, app) = self.enrolling(&person).await;
        self.next_step();
        Guarded { actor, person, factor: confirmed.factor.unwrap(), app, recovery_codes: confirmed.recovery_codes }
    }

    async fn enrolling(&self, who: &Actor) -> (Actor, ConfirmTotpResponse, Authenticator) {
        let enrolled = who.enroll_totp().await.unwrap();
        let app = Authenticator::of(&enrolled.otpauth_uri);
        let confirmed = who.confirm_totp(&enrolled.factor.unwrap(), &app.code_at(self.now())).await.unwrap();
        (who.with_token(&confirmed.access_token), confirmed, app)
    }

    async fn challenge(&self, name: &str) -> Challenge {
        self.create_session(&address(name), PASSWORD).await.unwrap().challenge.unwrap()
    }

    async fn answer(&self, challenge: &Challenge, code: Code) -> Result<ContinueSessionResponse, Status> {
        let request = ContinueSessionRequest { challenge_token: challenge.challenge_token.clone(), code: Some(code) };
        Ok(SessionServiceClient::new(self.anonymous().channel()).continue_session(request).await?.into_inner())
    }

    async fn answer_by_code(&self, challenge: &Challenge, code: &str) -> Result<ContinueSessionResponse, Status> {
        self.answer(challenge, Code::TotpCode(code.to_owned())).await
    }

    async fn answer_by_recovery(&self, challenge: &Challenge, code: &str) -> Result<ContinueSessionResponse, Status> {
        self.answer(challenge, Code::RecoveryCode(code.to_owned())).await
    }

    fn wrong_code(&self, who: &Guarded) -> String {
        let near: Vec<String> = (-3..=3).map(|step| who.app.code_at(self.now() + time::Duration::seconds(30 * step))).collect();
        (0..).map(|number| format!("{number:06}")).find(|code| !near.contains(code)).unwrap()
    }

    fn code_of(&self, who: &Guarded) -> String {
        who.app.code_at(self.now())
    }

    fn next_step(&self) {
        self.clock().advance(std::time::Duration::from_secs(30));
    }
}
