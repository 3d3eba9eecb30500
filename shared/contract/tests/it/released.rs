//! What was released holds: `proto/released/v1` against today's protos, and each kind of loosening shown to be found.

use contract::diff::loosened;
use prost_reflect::DescriptorPool;

use crate::protos::Sources;

const RELEASED: &str = "released/v1";
const ACCOUNTS: &str = "muster/identity/v1/account_service.proto";
const FACTORS: &str = "muster/identity/v1/factor_service.proto";
const WORK_ITEMS: &str = "muster/tasks/v1/work_item_service.proto";
const PRODUCTS: &str = "muster/tasks/v1/product_service.proto";
const MEMBERS: &str = "muster/identity/v1/organization_member_service.proto";
const REVOCATIONS: &str = "muster/identity/v1/revocation_service.proto";

/// Changes the released protos and expects this finding.
#[track_caller]
fn found(file: &str, from: &str, to: &str, finding: &str) {
    let today = Sources::read(RELEASED).edit(file, from, to).pool();
    let findings: Vec<_> = loosened(&Sources::read(RELEASED).pool(), &today).iter().map(ToString::to_string).collect();
    assert!(findings.iter().any(|found| found == finding), "{findings:#?}");
}

/// Changes the released protos and expects no finding.
#[track_caller]
fn taken(file: &str, from: &str, to: &str) {
    let today = Sources::read(RELEASED).edit(file, from, to).pool();
    assert_eq!(loosened(&Sources::read(RELEASED).pool(), &today), []);
}

#[test]
fn today_takes_nothing_away_from_what_was_released() {
    let today = DescriptorPool::decode(contract::DESCRIPTORS).unwrap();
    let findings: Vec<_> = loosened(&Sources::read(RELEASED).pool(), &today).iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn a_permission_that_is_gone_or_another() {
    let method = "muster.tasks.v1.WorkItemService.CreateWorkItem";
    let permission = "permission: \"tasks.work_item.create\"";
    found(WORK_ITEMS, permission, "", &format!("{method}: its permission `tasks.work_item.create` is gone"));
    found(
        WORK_ITEMS,
        permission,
        "permission: \"tasks.work_item.get\"",
        &format!("{method}: its permission `tasks.work_item.create` became `tasks.work_item.get`"),
    );
    found(WORK_ITEMS, "scope: SCOPE_WORKSPACE", "scope: SCOPE_SELF", &format!("{method}: its scope `WORKSPACE` became `SELF`"));
}

#[test]
fn grants_that_reach_farther_and_not_those_that_reach_less() {
    let method = "muster.tasks.v1.ProductService.CreateProduct";
    found(PRODUCTS, "role: BASE_ROLE_MEMBER", "role: BASE_ROLE_VIEWER", &format!("{method}: its grants reach farther for VIEWER"));
    let assigned = "reach: REACH_ASSIGNED";
    found(
        WORK_ITEMS,
        assigned,
        "reach: REACH_ANY",
        "muster.tasks.v1.WorkItemService.TransitionWorkItem: its grants reach farther for VIEWER",
    );
    taken(WORK_ITEMS, assigned, "reach: REACH_OWN");
    taken(PRODUCTS, "role: BASE_ROLE_MEMBER", "role: BASE_ROLE_ADMIN");
}

#[test]
fn authn_lowered_and_exposure_widened() {
    let method = "muster.identity.v1.RevocationService.ListRevocations";
    found(REVOCATIONS, "AUTHN_SERVICE_ONLY", "AUTHN_REQUIRED", &format!("{method}: its authn SERVICE_ONLY became REQUIRED"));
    found(REVOCATIONS, "EXPOSURE_INTERNAL", "EXPOSURE_EDGE", &format!("{method}: its exposure INTERNAL became EDGE"));
    taken(PRODUCTS, "EXPOSURE_EDGE", "EXPOSURE_INTERNAL");
}

#[test]
fn a_step_up_that_is_gone_or_asks_for_less_and_not_one_that_asks_for_more() {
    let method = "muster.identity.v1.FactorService.EnrollTotp";
    let asked = "step_up: {\n        max_age_seconds: 600\n        aal: 1\n      }";
    found(FACTORS, asked, "", &format!("{method}: its step_up is gone"));
    found(FACTORS, "max_age_seconds: 600", "max_age_seconds: 601", &format!("{method}: its step_up takes 601 s and not 600"));
    let deleting = "muster.identity.v1.FactorService.DeleteFactor";
    found(FACTORS, "aal: 2", "aal: 1", &format!("{deleting}: its step_up takes aal 1 and not 2"));
    taken(FACTORS, asked, "step_up: {max_age_seconds: 60, aal: 2}");
    taken(PRODUCTS, "exposure: EXPOSURE_EDGE", "exposure: EXPOSURE_EDGE step_up: {max_age_seconds: 60, aal: 2}");
}

#[test]
fn a_peer_that_may_call_too_and_not_one_that_no_longer_may() {
    let method = "muster.identity.v1.AccountService.IssueVerificationToken";
    let operator = "callers: [\"operator\"]";
    found(ACCOUNTS, operator, "callers: [\"operator\", \"tasks\"]", &format!("{method}: the peer tasks may call it too"));
    taken(REVOCATIONS, "        \"audit\",\n", "");
}

#[test]
fn idempotency_audit_action_and_time_taken_away() {
    let method = "muster.tasks.v1.ProductService.CreateProduct";
    found(PRODUCTS, "IDEMPOTENCY_REQUEST_ID", "IDEMPOTENCY_NONE", &format!("{method}: its idempotency REQUEST_ID became NONE"));
    found(PRODUCTS, "audit_action: \"tasks.product.create\"", "", &format!("{method}: its audit_action `tasks.product.create` is gone"));
    found(PRODUCTS, "max_ms: 30000", "max_ms: 6000", &format!("{method}: its deadline became shorter"));
}

#[test]
fn an_event_about_something_else() {
    let (file, event) = ("muster/tasks/v1/tasks_events.proto", "muster.tasks.v1.ProductCreated");
    found(file, "aggregate: \"product\"", "aggregate: \"item\"", &format!("{event}: its aggregate `product` became `item`"));
    found(file, "key_field: \"product_id\"", "key_field: \"after\"", &format!("{event}: its key_field `product_id` became `after`"));
}

#[test]
fn a_reason_that_is_gone() {
    let kind = "muster.tasks.v1.TasksReason";
    found(
        "muster/tasks/v1/reason.proto",
        "TASKS_REASON_PLAN_EMPTY",
        "TASKS_REASON_PLAN_BLANK",
        &format!("{kind}: the reason TASKS_REASON_PLAN_EMPTY is gone"),
    );
    found(
        PRODUCTS,
        "reasons: [\"PRODUCT_KEY_TAKEN\"]",
        "",
        "muster.tasks.v1.ProductService.CreateProduct: it no longer states the reason PRODUCT_KEY_TAKEN",
    );
}

#[test]
fn a_sensitivity_that_is_gone() {
    found(
        "muster/identity/v1/user.proto",
        "SENSITIVITY_PII",
        "SENSITIVITY_UNSPECIFIED",
        "muster.identity.v1.User.email: its sensitivity Pii became None",
    );
    found(
        "muster/identity/v1/session.proto",
        "SENSITIVITY_SECRET",
        "SENSITIVITY_PII",
        "muster.identity.v1.TokenPair.access_token: its sensitivity Secret became Pii",
    );
    found(WORK_ITEMS, "exact = true", "exact = false", "muster.tasks.v1.ImportPlanRequest.markdown: is no longer taken byte for byte");
}

#[test]
fn a_rule_that_refuses_what_it_took_and_not_one_that_takes_more() {
    let field = "muster.tasks.v1.ListProductsRequest.page_token";
    found(PRODUCTS, "max_len = 1024", "max_len = 1000", &format!("{field}: its rule string.max_len became tighter"));
    taken(PRODUCTS, "max_len = 1024", "max_len = 2000");
    let items = "max_items: 20";
    found(
        WORK_ITEMS,
        items,
        "max_items: 19",
        "muster.tasks.v1.CreateWorkItemRequest.assignee_ids: its rule repeated.max_items became tighter",
    );
    found(
        WORK_ITEMS,
        "\"due_time\"",
        "\"etag\"",
        "muster.tasks.v1.UpdateWorkItemRequest.update_mask: its rule field_mask.in became tighter",
    );
    found(
        WORK_ITEMS,
        "bool validate_only = 5;",
        "bool validate_only = 5 [(buf.validate.field).required = true];",
        "muster.tasks.v1.ImportPlanRequest.validate_only: its rule required became tighter",
    );
    found(
        "muster/tasks/v1/work_item.proto",
        "max_len = 500]",
        "max_len = 499]",
        "muster.tasks.v1.WorkItem.title: its rule string.max_len became tighter",
    );
}

#[test]
fn a_rule_that_no_longer_skips_what_is_not_set() {
    let ignored = "string: {uuid: true}\n    ignore: IGNORE_IF_ZERO_VALUE";
    found(PRODUCTS, ignored, "string: {uuid: true}", "muster.tasks.v1.CreateProductRequest.request_id: its rule ignore became tighter");
    taken(MEMBERS, "option (buf.validate.oneof).required = true;", "");
}

#[test]
fn a_new_field_that_old_callers_would_have_to_set() {
    let first = "message GetProductRequest {";
    let field = "muster.tasks.v1.GetProductRequest.color";
    let new = |rules: &str| format!("{first}\n  string color = 9 [(buf.validate.field){rules}];");
    found(PRODUCTS, first, &new(".string.min_len = 1"), &format!("{field}: is new, and a request without it is refused"));
    taken(PRODUCTS, first, &new(".string.max_len = 9"));
}
