//! Our validators against protovalidate's own implementation: `golden/validation.json`, written by `golden/generate.py`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use contract::{DESCRIPTORS, RequestMessage, audit, authorization, common, identity, notifications, tasks};
use prost_reflect::DescriptorPool;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    message: String,
    case: String,
    body: Vec<Run>,
    violations: BTreeSet<(String, String)>,
}

/// Hex, or hex so many times.
#[derive(Deserialize)]
#[serde(untagged)]
enum Run {
    Once(String),
    Times(String, usize),
}

impl Run {
    fn bytes(&self) -> Vec<u8> {
        let (hex, times) = match self {
            Self::Once(hex) => (hex, 1),
            Self::Times(hex, times) => (hex, *times),
        };
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>().repeat(times)
    }
}

type Validate = fn(&[u8]) -> BTreeSet<(String, String)>;

/// What our code finds, but for the rules that are ours alone.
fn validate<M: RequestMessage>(body: &[u8]) -> BTreeSet<(String, String)> {
    let found = M::decode(body).unwrap().validate().into_iter();
    found.filter(|v| !["string.control", "string.bidi"].contains(&v.rule)).map(|v| (v.field, v.rule.to_owned())).collect()
}

macro_rules! requests {
    ($($package:ident: $($message:ident)+;)+) => {
        BTreeMap::from([$($((
            concat!("muster.", stringify!($package), ".v1.", stringify!($message)),
            validate::<$package::v1::$message> as Validate,
        )),+),+])
    };
}

fn requests() -> BTreeMap<&'static str, Validate> {
    requests! {
        audit: GetEventRequest ListEventsRequest;
        authorization: BatchCheckRequest CheckRequest GetSnapshotRequest ListPermissionsRequest ListRolesRequest WatchRequest;
        common: DropDeadLetterRequest GetEventStatusRequest ListDeadLettersRequest ListLoggedEventsRequest ReplayDeadLetterRequest;
        identity: AcceptInvitationAsNewUserRequest AcceptInvitationRequest ChangePasswordRequest CheckPasswordRequest ConfirmEmailChangeRequest ConfirmTotpRequest ContinueSessionRequest CreateInvitationRequest CreateOrganizationMemberRequest
            CreateOrganizationRequest CreateSessionRequest CreateWorkspaceMemberRequest CreateWorkspaceRequest DeclineInvitationRequest
            DeleteFactorRequest DeleteOrganizationMemberRequest DeleteWorkspaceMemberRequest EnrollTotpRequest GetInvitationRequest GetJsonWebKeySetRequest
            GetOpenIdConfigurationRequest GetOrganizationRequest GetOrganizationSettingsRequest GetUserRequest GetWorkspaceRequest ImportUsersRequest IntrospectTokenRequest
            IssueVerificationTokenRequest ListFactorsRequest ListInvitationsRequest
            ListMembershipsRequest ListOrganizationMembersRequest ListOrganizationsRequest ListRevocationsRequest ListSessionsRequest
            ListSigningKeysRequest ListUsersRequest ListWorkspaceMembersRequest ListWorkspacesRequest PreviewInvitationRequest
            RefreshSessionRequest RegenerateRecoveryCodesRequest RegisterUserRequest RequestEmailChangeRequest RequestPasswordResetRequest ResendInvitationRequest ResendVerificationRequest
            ResetPasswordRequest ResetUserFactorsRequest ResolveRecipientRequest RevokeInvitationRequest RevokeOtherSessionsRequest RevokeSessionRequest
            RevokeTokenRequest RevokeUserSessionsRequest RotateSigningKeyRequest SetUsernameRequest StepUpSessionRequest SwitchContextRequest
            UnlockSignInRequest UpdateOrganizationMemberRequest UpdateOrganizationSettingsRequest UpdateWorkspaceMemberRequest VerifyEmailRequest
            WatchRevocationsRequest;
        notifications: ArchiveInboxItemRequest GetDeliveryRequest GetMailRequest GetPreferencesRequest GetUnreadCountRequest ListDeliveriesRequest ListInboxItemsRequest
            ListMailsRequest MarkAllReadRequest MarkReadRequest RedriveDeliveryRequest UpdatePreferencesRequest
            WatchInboxRequest;
        tasks: CreateProductRequest CreateWorkItemRequest DeleteWorkItemRequest GetProductRequest GetWorkItemRequest ImportPlanRequest
            ListProductsRequest ListWorkItemsRequest TransitionWorkItemRequest UndeleteWorkItemRequest UpdateWorkItemRequest
            WatchWorkItemsRequest;
    }
}

fn cases() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/validation.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_case_is_judged_as_protovalidate_judges_it() {
    let requests = requests();
    for Case { message, case, body, violations } in cases() {
        let body: Vec<u8> = body.iter().flat_map(Run::bytes).collect();
        assert_eq!(requests[message.as_str()](&body), violations, "{message}: {case}");
    }
}

#[test]
fn every_request_has_a_case_that_is_taken() {
    let taken: BTreeSet<_> = cases().into_iter().filter(|case| case.violations.is_empty()).map(|case| case.message).collect();
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let methods = pool
        .services()
        .filter(|service| service.package_name().starts_with("muster."))
        .flat_map(|service| service.methods().collect::<Vec<_>>());
    for method in methods {
        assert!(taken.contains(method.input().full_name()), "{}: run golden/generate.py", method.input().full_name());
    }
}
