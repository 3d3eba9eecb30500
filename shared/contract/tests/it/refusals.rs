//! Each thing that the build refuses, shown on `garden.proto` with one thing made wrong. The refusal names its line.

use std::collections::BTreeMap;

use crate::{build, protos::Sources};

const GARDEN: &str = include_str!("garden.proto");
const NAME: &str = "muster/garden/v1/garden.proto";

fn read(source: &str) -> Result<build::Contract, build::Refusals> {
    build::read(&Sources(BTreeMap::from([(NAME.to_owned(), source.to_owned())])).pool())
}

/// Replaces `from` by `to` in the garden and expects the refusal `why`, on the line that then holds `on`.
#[track_caller]
fn refused(from: &str, to: &str, on: &str, why: &str) {
    assert!(GARDEN.contains(from), "the garden holds no {from}");
    let source = GARDEN.replacen(from, to, 1);
    let line = source.lines().position(|line| line.contains(on)).unwrap() + 1;
    let refusals = read(&source).expect_err("it was taken").to_string();
    let told = refusals.lines().any(|refusal| refusal.starts_with(&format!("proto/{NAME}:{line}: ")) && refusal.contains(why));
    assert!(told, "no `{why}` on line {line} in:\n{refusals}");
}

const PLANT: &str = "rpc Plant(";
const SOW: &str = "rpc Sow(";
const WATER: &str = "rpc Water(";

#[test]
fn the_garden_as_it_stands_is_taken_and_written_as_rust() {
    let files = BTreeMap::from(read(GARDEN).unwrap().render());
    assert!(files["methods.rs"].contains("permission: Some(Permission::GardenBedPlant)"));
    assert!(files["permissions.rs"].contains("`GardenService/Plant`, `GardenService/Sow`"));
    assert!(files["reasons.rs"].contains("impl WireReason for crate::garden::v1::GardenReason"));
    assert!(files["events.rs"].contains(r#"redaction.inside("helpers", Some(index), message)"#));
    let requests = &files["requests.rs"];
    assert!(requests.contains(r#"check.field("type", self.r#type.as_str()).plain().pattern(&GARDEN_PLANT_REQUEST_TYPE);"#), "{requests}");
    assert!(requests.contains(r#"check.message("beside", value)"#));
    assert!(requests.contains(r#"check.message_item("spare", index, item)"#));
}

#[test]
fn an_rpc_without_a_policy() {
    let policy = GARDEN.split_once("rpc Water(WaterRequest) returns (WaterResponse) {").unwrap().1.split_once("};").unwrap().0;
    refused(&format!("{policy}}};"), "", WATER, "states its policy");
}

#[test]
fn an_rpc_whose_request_is_a_stream() {
    let (plant, why) = ("rpc Plant(PlantRequest) returns (PlantResponse)", "a client stream has no request to check");
    refused(plant, "rpc Plant(stream PlantRequest) returns (PlantResponse)", PLANT, why);
    refused(plant, "rpc Plant(stream PlantRequest) returns (stream PlantResponse)", PLANT, why);
    assert!(read(&GARDEN.replacen(plant, "rpc Plant(PlantRequest) returns (stream PlantResponse)", 1)).is_ok());
}

#[test]
fn a_policy_that_leaves_something_out() {
    refused("authn: AUTHN_REQUIRED", "", PLANT, "no authn");
    refused("scope: SCOPE_NONE", "", WATER, "no scope");
    refused("idempotency: IDEMPOTENCY_NONE", "", WATER, "no idempotency");
    refused("exposure: EXPOSURE_INTERNAL", "", WATER, "no exposure");
    refused("deadline: {default_ms: 1000, max_ms: 2000}", "", WATER, "deadline");
    refused("default_ms: 1000, max_ms: 2000", "default_ms: 3000, max_ms: 2000", WATER, "deadline");
}

#[test]
fn a_step_up_that_nobody_can_meet_or_that_asks_for_nothing() {
    let edge = "deadline: {default_ms: 5000, max_ms: 30000}";
    let with = |step_up: &str| format!("{edge} step_up: {{{step_up}}}");
    assert!(read(&GARDEN.replacen(edge, &with("max_age_seconds: 60, aal: 2"), 1)).is_ok());
    for wrong in
        ["max_age_seconds: 600", "aal: 1", "max_age_seconds: 59, aal: 1", "max_age_seconds: 86401, aal: 1", "max_age_seconds: 60, aal: 3"]
    {
        refused(edge, &with(wrong), PLANT, "its step_up has an aal of 1 or 2");
    }
    let internal = "deadline: {default_ms: 1000, max_ms: 2000}";
    refused(internal, &format!("{internal} step_up: {{max_age_seconds: 60, aal: 1}}"), WATER, "authn is REQUIRED");
    let stream = GARDEN.replacen("returns (PlantResponse)", "returns (stream PlantResponse)", 1).replacen(
        edge,
        &with("max_age_seconds: 60, aal: 1"),
        1,
    );
    assert!(read(&stream).unwrap_err().to_string().contains("a stream outlives it"));
}

#[test]
fn text_bytes_and_lists_without_a_maximum() {
    let name = "string name = 3 [(buf.validate.field).string.max_len = 20];";
    refused(name, "string name = 3;", "string name = 3", "states its maximum");
    refused(name, "string name = 3 [(buf.validate.field).string.email = true];", "string name = 3", "states its maximum");
    refused(name, "bytes name = 3;", "bytes name = 3", "state their maximum");
    refused(name, "repeated int32 name = 3;", "repeated int32 name", "repeated.max_items");
    refused("max_items: 3, items: {string: {max_len: 10}}", "items: {string: {max_len: 10}}", "labels = 4", "repeated.max_items");
    refused("max_items: 3, items: {string: {max_len: 10}}", "max_items: 3", "labels = 4", "text of a request");
    refused(name, "map<string, string> name = 3;", "map<string", "holds no map");
    refused(name, "google.protobuf.Struct name = 3;", "Struct name", "google.protobuf.Struct in a request has no maximum");
    refused("[(buf.validate.field).field_mask.in = \"name\"]", "", "update_mask = 6", "field_mask.in");
}

#[test]
fn a_pattern_that_matches_endless_text_is_no_maximum() {
    refused("^[a-z]{1,5}$", "^[a-z]+$", "string type", "states its maximum");
    refused("^[a-z]{1,5}$", "^[a-z]{1,5}", "string type", "states its maximum");
    refused("^[a-z]{1,5}$", "^[a-z]{1,5}|b$", "string type", "states its maximum");
    refused("^[a-z]{1,5}$", "^[a-z", "string type", "no regular expression");
}

#[test]
fn a_maximum_missing_deeper_down() {
    refused("string kind = 1 [(buf.validate.field).string.max_len = 20];", "string kind = 1;", "string kind", "states its maximum");
    refused("string row = 2 [(buf.validate.field).string.max_len = 5];", "string row = 2;", "string row", "states its maximum");
}

#[test]
fn a_mutation_without_an_audit_action() {
    refused("audit_action: \"garden.bed.water\"", "", WATER, "audit_action");
}

#[test]
fn a_name_that_is_not_the_services_own() {
    refused("audit_action: \"garden.bed.water\"", "audit_action: \"tasks.bed.water\"", WATER, "audit_action is `garden.<resource>.<verb>`");
    refused("permission: \"garden.bed.plant\"", "permission: \"garden.plant\"", PLANT, "permission is `garden.<resource>.<verb>`");
}

#[test]
fn a_secret_in_an_event_however_deep() {
    refused("SENSITIVITY_PII", "SENSITIVITY_SECRET", "message BedPlanted", "`after.helpers.name`");
}

#[test]
fn a_stored_answer_that_holds_a_secret() {
    refused(
        "string key = 1;",
        "string key = 1 [(muster.annotations.v1.field).sensitivity = SENSITIVITY_SECRET];",
        PLANT,
        "`gate.key` is SECRET",
    );
}

#[test]
fn a_stored_answer_that_could_not_be_found_again() {
    let request_id = "string request_id = 2 [(buf.validate.field) = {string: {uuid: true}, ignore: IGNORE_IF_ZERO_VALUE}];";
    refused(request_id, "", PLANT, "no `string request_id`");
    refused(request_id, "string request_id = 2 [(buf.validate.field).string.max_len = 36];", PLANT, "no `string request_id`");
}

#[test]
fn a_permission_without_a_scope_and_a_scope_without_a_permission() {
    refused("permission: \"garden.bed.plant\"", "", PLANT, "exactly when the scope");
    refused("scope: SCOPE_NONE", "scope: SCOPE_NONE permission: \"garden.bed.water\"", WATER, "exactly when the scope");
    refused("scope: SCOPE_NONE", "scope: SCOPE_SYSTEM permission: \"garden.bed.water\"", WATER, "authn is REQUIRED");
}

#[test]
fn methods_that_disagree_about_a_permission() {
    let sow = "grants: {role: BASE_ROLE_MEMBER, reach: REACH_ANY}\n    };\n  }\n  rpc Water";
    refused(sow, &sow.replace("MEMBER", "VIEWER"), SOW, "another scope or other grants for `garden.bed.plant` than GardenService/Plant");
    refused(
        "scope: SCOPE_WORKSPACE\n      scope_field: \"workspace_id\"\n      audit_action: \"garden.bed.sow\"",
        "scope: SCOPE_ORGANIZATION\n      audit_action: \"garden.bed.sow\"",
        SOW,
        "another scope",
    );
}

#[test]
fn a_permission_of_a_workspace_that_no_role_holds() {
    refused("grants: {role: BASE_ROLE_MEMBER, reach: REACH_ANY}", "", PLANT, "is granted to a role");
    refused("grants: {role: BASE_ROLE_MEMBER, reach: REACH_ANY}", "grants: {role: BASE_ROLE_MEMBER}", PLANT, "role and reach");
    refused("scope: SCOPE_NONE", "scope: SCOPE_NONE grants: {role: BASE_ROLE_MEMBER, reach: REACH_ANY}", WATER, "grants are for");
}

#[test]
fn a_scope_field_that_leads_nowhere() {
    refused("scope_field: \"workspace_id\"", "scope_field: \"garden_id\"", PLANT, "`garden_id` is no top-level string field");
    refused("scope_field: \"workspace_id\"", "scope_field: \"seed\"", PLANT, "`seed` is no top-level string field");
    refused("scope_field: \"workspace_id\"", "", PLANT, "names its scope_field");
    refused("scope_field: \"workspace_id\"", "scope_field: \"request_id\"", PLANT, "`request_id` is no top-level string field");
    refused("scope: SCOPE_NONE", "scope: SCOPE_NONE scope_field: \"bed_id\"", WATER, "scope_field is for");
}

#[test]
fn a_method_for_services_that_the_edge_could_reach() {
    refused("exposure: EXPOSURE_INTERNAL", "exposure: EXPOSURE_EDGE", WATER, "SERVICE_ONLY method is INTERNAL");
}

#[test]
fn callers_of_a_method_that_is_not_for_services_and_a_method_for_services_without_callers() {
    let callers = "callers: [\"operator\", \"shed\"]";
    refused(callers, "", WATER, "callers are stated exactly when");
    refused("authn: AUTHN_REQUIRED", "authn: AUTHN_REQUIRED callers: \"shed\"", PLANT, "callers are stated exactly when");
    for wrong in ["callers: [\"shed\", \"operator\"]", "callers: [\"shed\", \"shed\"]", "callers: [\"Shed\"]", "callers: [\"\"]"] {
        refused(callers, wrong, WATER, "callers are names of services");
    }
}

#[test]
fn a_reason_that_no_enum_names() {
    refused("\"BED_FULL\"", "\"BED_EMPTY\"", PLANT, "`BED_EMPTY`");
    refused("GARDEN_REASON_BED_FULL = 1", "BED_FULL = 1", " BED_FULL = 1", "begins with GARDEN_REASON_");
}

#[test]
fn an_event_whose_name_or_key_does_not_resolve() {
    refused("aggregate: \"bed\"", "aggregate: \"pond\"", "message BedPlanted", "<Aggregate><PastTense>");
    refused("aggregate: \"bed\"", "aggregate: \"bed_planted\"", "message BedPlanted", "<Aggregate><PastTense>");
    refused("key_field: \"bed_id\"", "key_field: \"pond_id\"", "message BedPlanted", "key_field `pond_id`");
    refused("key_field: \"bed_id\"", "key_field: \"after\"", "message BedPlanted", "key_field `after`");
}

#[test]
fn an_event_that_could_not_be_cleared() {
    refused("repeated Helper helpers = 2;", "oneof who { Helper helper = 2; }", "Helper helper = 2", "in no oneof or map");
    refused("repeated Helper helpers = 2;", "google.protobuf.Any any = 2;", "Any any = 2", "holds no Any");
}

#[test]
fn a_rule_without_code() {
    let name = "(buf.validate.field).string.max_len = 20];\n  repeated";
    let rule = |rule: &str| format!("(buf.validate.field) = {{{rule}}}];\n  repeated");
    refused(name, &rule("string: {max_len: 20, prefix: \"a\"}"), "string name", "`string.prefix`");
    refused(name, &rule("string: {max_len: 20, hostname: true}"), "string name", "`string.hostname`");
    refused(name, &rule("string: {max_len: 20}, required: true"), "string name", "`required`");
    refused(name, &rule("string: {max_len: 20}, ignore: IGNORE_ALWAYS"), "string name", "`ignore`");
    refused("int32.gte = 0", "int32.gt = 0", "int32 count", "`int32.gt`");
    refused("int32.gte = 0", "int32 = {gte: 5, lte: 1}", "int32 count", "int32.lte");
    refused("int32.gte = 0", "int32.example = 1", "int32 count", "`int32.example`");
    refused("max_items: 3,", "max_items: 3, unique: true,", "labels = 4", "`repeated.unique`");
    refused("field_mask.in = \"name\"", "field_mask = {in: \"name\", not_in: \"type\"}", "update_mask", "`field_mask.not_in`");
}

#[test]
fn a_rule_that_is_stated_where_it_means_nothing() {
    let spare = "[(buf.validate.field).repeated.max_items = 3]";
    let items = "[(buf.validate.field).repeated = {max_items: 3, items: {required: true}}]";
    refused(spare, items, "Seed spare", "`repeated.items.required`");
    refused("Seed beside = 3;", "Seed beside = 3 [(buf.validate.field).required = true];", "Seed beside", "is for the oneof");
    refused("[(buf.validate.field).int32.gte = 0]", "[(buf.validate.field).int64.gte = 0]", "int32 count", "`int64`");
}

#[test]
fn a_rule_that_nothing_would_enforce() {
    refused("string key = 1;", "string key = 1 [(buf.validate.field).string.max_len = 9];", "string key", "no request holds this field");
    let rule = "message Gate {\n  option (buf.validate.message).cel_expression = \"true\";";
    refused("message Gate {", rule, "message Gate {", "no request holds this message");
}

#[test]
fn cel_in_each_place_it_could_stand() {
    let cel = "cel: {id: \"a\", message: \"b\", expression: \"true\"}";
    refused(
        "(buf.validate.field).string.max_len = 20];\n  repeated",
        &format!("(buf.validate.field) = {{string: {{max_len: 20}}, {cel}}}];\n  repeated"),
        "string name",
        "`cel`",
    );
    refused(
        "(buf.validate.field).string.max_len = 20];\n  repeated",
        "(buf.validate.field) = {string: {max_len: 20}, cel_expression: \"true\"}];\n  repeated",
        "string name",
        "`cel_expression`",
    );
    refused(
        "message Seed {",
        &format!("message Seed {{\n  option (buf.validate.message).{};", "cel_expression = \"true\""),
        "message Seed {",
        "CEL",
    );
}

#[test]
fn two_rpcs_with_one_request() {
    refused("rpc Water(WaterRequest)", "rpc Water(SowRequest)", WATER, "that of another RPC already");
}

#[test]
fn everything_wrong_is_told_at_once() {
    let source = GARDEN.replace("SENSITIVITY_PII", "SENSITIVITY_SECRET").replace("audit_action: \"garden.bed.water\"", "");
    assert_eq!(read(&source).unwrap_err().to_string().lines().skip(1).count(), 2);
}
