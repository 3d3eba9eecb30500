//! How text comes in: in form, without control characters, and secrets as they are.

use contract::{
    RequestMessage,
    authorization::v1::{BatchCheckRequest, Question},
    identity::v1::{CreateOrganizationMemberRequest, RegisterUserRequest, create_organization_member_request::Subject},
    tasks::v1::{CreateWorkItemRequest, ImportPlanRequest},
};

const ID: &str = "0192f0c1-2d3e-7abc-8def-0123456789ab";

fn register(display_name: &str) -> RegisterUserRequest {
    let mut request = RegisterUserRequest {
        email: "ana@muster.example".to_owned(),
        password: "correct horse".to_owned(),
        display_name: display_name.to_owned(),
        ..RegisterUserRequest::default()
    };
    request.normalize();
    request
}

fn broken(request: &impl RequestMessage) -> Vec<(String, &'static str)> {
    request.validate().into_iter().map(|violation| (violation.field, violation.rule)).collect()
}

#[test]
fn text_is_trimmed_and_composed() {
    assert_eq!(register(" \t Andre\u{301} \u{a0}\n").display_name, "Andr\u{e9}");
    assert_eq!(register("안녕").display_name, "안녕");
    assert_eq!(register("1\u{1112}\u{1161}\u{11ab}").display_name, "1한");
}

#[test]
fn text_of_nothing_but_space_is_empty() {
    assert_eq!(broken(&register(" \u{2003} ")), [("display_name".to_owned(), "string.min_len")]);
}

#[test]
fn lists_members_of_oneofs_and_nested_messages_are_trimmed_too() {
    let mut item = CreateWorkItemRequest { labels: vec![" red".to_owned(), "blue ".to_owned()], ..Default::default() };
    item.normalize();
    assert_eq!(item.labels, ["red", "blue"]);
    let mut member =
        CreateOrganizationMemberRequest { subject: Some(Subject::Email(" ana@muster.example ".to_owned())), ..Default::default() };
    member.normalize();
    assert_eq!(member.subject, Some(Subject::Email("ana@muster.example".to_owned())));
    let mut batch =
        BatchCheckRequest { questions: vec![Question { permission: " tasks.work_item.get ".to_owned(), ..Default::default() }] };
    batch.normalize();
    assert_eq!(batch.questions[0].permission, "tasks.work_item.get");
}

#[test]
fn control_characters_are_refused_but_for_tab_and_line_ends() {
    assert_eq!(broken(&register("a\tb\r\nc")), []);
    for control in ["a\0b", "a\u{1b}[31mb", "a\u{7f}b", "a\u{85}b"] {
        assert_eq!(broken(&register(control)), [("display_name".to_owned(), "string.control")], "{control:?}");
    }
}

#[test]
fn characters_that_override_direction_are_refused_and_marks_are_not() {
    for bidi in ['\u{202a}', '\u{202e}', '\u{2066}', '\u{2069}'] {
        assert_eq!(broken(&register(&format!("a{bidi}b"))), [("display_name".to_owned(), "string.bidi")], "{bidi:?}");
    }
    assert_eq!(broken(&register("שלום\u{200f}")), []);
}

#[test]
fn a_secret_is_taken_byte_for_byte() {
    let password = " e\u{301}\u{202e}\u{1} ";
    let mut request = RegisterUserRequest { password: password.to_owned(), ..register("Ana") };
    request.normalize();
    assert_eq!(request.password, password);
    assert_eq!(broken(&request), []);
}

#[test]
fn exact_text_is_taken_byte_for_byte() {
    let markdown = "- [ ] paint\u{301}  \n\n";
    let mut request = ImportPlanRequest {
        workspace_id: ID.to_owned(),
        product_id: ID.to_owned(),
        document: "plan".to_owned(),
        markdown: markdown.to_owned(),
        ..Default::default()
    };
    request.normalize();
    assert_eq!(request.markdown, markdown);
    assert_eq!(broken(&request), []);
}

#[test]
fn a_violation_says_where_and_never_what() {
    let questions = vec![
        Question { permission: "a".to_owned(), ..Default::default() },
        Question { assignee_ids: vec!["s3cret".to_owned()], permission: "a".to_owned(), ..Default::default() },
    ];
    let violations = BatchCheckRequest { questions }.validate();
    assert_eq!(violations[0].field, "questions[1].assignee_ids[0]");
    assert_eq!(violations[0].description, "must be a UUID");
}
