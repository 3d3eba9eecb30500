//! Questions from the contract, answers to it.

use authz::Decision;
use contract::authorization::v1 as pb;
use contract::{BaseRole, Permission, Reach};
use runtime::{UserId, WorkspaceId};

use super::{At, Question, Role};
use crate::Error;

/// The question in the request's field `field`.
///
/// # Errors
/// `PERMISSION_UNKNOWN`, `FIELD_VIOLATION`.
pub fn question(question: pb::Question, field: &str) -> Result<Question, Error> {
    let permission = Permission::from_name(&question.permission);
    Ok(Question {
        user_id: id(&question.user_id, || format!("{field}.user_id"))?,
        permission: permission.ok_or_else(|| Error::PermissionUnknown { field: format!("{field}.permission") })?,
        workspace_id: id(&question.workspace_id, || format!("{field}.workspace_id"))?,
        owner_id: id(&question.owner_id, || format!("{field}.owner_id"))?,
        assignee_ids: assignees(&question.assignee_ids, field)?,
    })
}

/// The questions of a batch, each named by its place.
///
/// # Errors
/// As [`question`], for the first that can't be asked.
pub fn questions(questions: Vec<pb::Question>) -> Result<Vec<Question>, Error> {
    questions.into_iter().enumerate().map(|(n, one)| question(one, &format!("questions[{n}]"))).collect()
}

/// Whose permissions, and where.
///
/// # Errors
/// `FIELD_VIOLATION`.
pub fn whose(request: &pb::ListPermissionsRequest) -> Result<(Option<UserId>, Option<WorkspaceId>), Error> {
    Ok((id(&request.user_id, || "user_id".to_owned())?, id(&request.workspace_id, || "workspace_id".to_owned())?))
}

/// The answer to one question.
pub fn check(at: At<Decision>) -> pb::CheckResponse {
    pb::CheckResponse { decision: Some(decision(at.value)), revision: at.revision, staleness_ms: milliseconds(at.staleness) }
}

/// The answers to many questions.
pub fn batch_check(at: At<Vec<Decision>>) -> pb::BatchCheckResponse {
    let decisions = at.value.into_iter().map(decision).collect();
    pb::BatchCheckResponse { decisions, revision: at.revision, staleness_ms: milliseconds(at.staleness) }
}

/// What a subject holds.
pub fn permissions(at: At<Vec<(Permission, Reach)>>) -> pb::ListPermissionsResponse {
    pb::ListPermissionsResponse { permissions: at.value.into_iter().map(held).collect(), revision: at.revision }
}

/// A built-in role.
pub fn role(role: Role) -> pb::Role {
    let permissions = role.permissions.into_iter().map(held).collect();
    pb::Role { tier: role.tier.into(), name: role_name(role.role).to_owned(), permissions }
}

fn decision(decision: Decision) -> pb::Decision {
    let role = decision.role.map(|(tier, role)| format!("{}/{}", tier_name(tier), role_name(role))).unwrap_or_default();
    pb::Decision { allowed: decision.allowed, cause: decision.cause.into(), role }
}

fn held((permission, reach): (Permission, Reach)) -> pb::HeldPermission {
    pb::HeldPermission { permission: permission.name().to_owned(), reach: reach.into() }
}

fn tier_name(tier: pb::RoleTier) -> &'static str {
    match tier {
        pb::RoleTier::System => "system",
        pb::RoleTier::Organization => "organization",
        pb::RoleTier::Workspace => "workspace",
        pb::RoleTier::Unspecified => "",
    }
}

fn role_name(role: BaseRole) -> &'static str {
    match role {
        BaseRole::Owner => "OWNER",
        BaseRole::Admin => "ADMIN",
        BaseRole::Member => "MEMBER",
        BaseRole::Viewer => "VIEWER",
        BaseRole::Unspecified => "",
    }
}

fn milliseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn assignees(ids: &[String], field: &str) -> Result<Vec<UserId>, Error> {
    let parsed = ids.iter().enumerate().map(|(n, text)| id(text, || format!("{field}.assignee_ids[{n}]")));
    Ok(parsed.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

/// The id in a field that may be empty. `rpc::open` has checked it; this says so again rather than to trust from afar.
fn id<T: std::str::FromStr>(text: &str, field: impl FnOnce() -> String) -> Result<Option<T>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| rpc::Error::invalid_field(field(), "string.uuid", "must be a UUID").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::authorization::v1::{DecisionCause, RoleTier};

    fn asked(permission: &str) -> pb::Question {
        pb::Question { permission: permission.to_owned(), ..pb::Question::default() }
    }

    #[test]
    fn an_unknown_permission_of_a_batch_is_named_by_its_place() {
        let known = Permission::TasksWorkItemGet.name();
        let error = questions(vec![asked(known), asked("tasks.work_item.levitate")]).unwrap_err();
        assert!(matches!(error, Error::PermissionUnknown { field } if field == "questions[1].permission"));
    }

    #[test]
    fn empty_ids_mean_the_caller_the_organization_and_nobody() {
        let question = question(asked("tasks.work_item.get"), "question").unwrap();
        assert_eq!((question.user_id, question.workspace_id, question.owner_id), (None, None, None));
        assert_eq!(question.permission, Permission::TasksWorkItemGet);
    }

    #[test]
    fn the_role_that_decided_is_named_with_its_tier() {
        let given = |role| decision(Decision { allowed: true, cause: DecisionCause::Role, role }).role;
        assert_eq!(given(Some((RoleTier::Workspace, BaseRole::Viewer))), "workspace/VIEWER");
        assert_eq!(given(Some((RoleTier::System, BaseRole::Admin))), "system/ADMIN");
        assert_eq!(given(None), "");
    }
}
