use prost::Message;

use super::*;

fn envelope() -> Envelope {
    Envelope {
        event_id: "01990000-0000-7000-8000-000000000001".to_owned(),
        r#type: "muster.identity.v1.OrganizationMemberRoleChanged".to_owned(),
        service: "identity".to_owned(),
        position: 41,
        organization_id: "01990000-0000-7000-8000-0000000000aa".to_owned(),
        aggregate: "organization_member".to_owned(),
        aggregate_id: "01990000-0000-7000-8000-0000000000bb".to_owned(),
        create_time: Some(prost_types::Timestamp { seconds: 1_772_000_000, nanos: 123_456_000 }),
        audit_action: "identity.organization_member.update".to_owned(),
        actor: Some(Actor { kind: ActorKind::User.into(), actor_id: "01990000-0000-7000-8000-0000000000cc".to_owned() }),
        session_id: "01990000-0000-7000-8000-0000000000dd".to_owned(),
        request_id: "r-1".to_owned(),
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        causation_id: String::new(),
        client_address: "2001:db8::7".to_owned(),
        user_agent: "grpc-rust \"quoted\" 100% ünïcode\r\nce-id: forged".to_owned(),
        redacted_paths: vec!["after.email".to_owned(), "before.email".to_owned()],
    }
}

#[test]
fn what_goes_into_headers_comes_out_again() {
    assert_eq!(from_headers(&to_headers(&envelope())).unwrap(), envelope());
}

#[test]
fn a_user_agent_cannot_forge_a_header() {
    let headers = to_headers(&envelope());
    let agent = headers.get("ce-useragent").unwrap().as_str();
    assert!(agent.bytes().all(|byte| byte.is_ascii_graphic()), "{agent}");
    assert_eq!(headers.get("ce-id").unwrap().as_str(), envelope().event_id);
}

#[test]
fn the_subject_names_service_aggregate_past_tense_and_organization() {
    assert_eq!(subject(&envelope()), "muster.identity.v1.organization_member.role_changed.01990000-0000-7000-8000-0000000000aa");
}

#[test]
fn every_event_of_the_contract_gets_the_subject_its_annotation_says() {
    for event in contract::EVENTS {
        let envelope = Envelope {
            r#type: event.type_name.to_owned(),
            service: event.service.to_owned(),
            aggregate: event.aggregate.to_owned(),
            organization_id: "o".to_owned(),
            ..Envelope::default()
        };
        assert_eq!(subject(&envelope), format!("muster.{}.v1.{}.{}.o", event.service, event.aggregate, event.past_tense));
    }
    assert!(!contract::EVENTS.is_empty());
}

#[test]
fn a_message_that_lacks_a_header_says_which() {
    for name in
        ["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-subject", "ce-time", "ce-organization", "ce-aggregate", "ce-position"]
    {
        let whole = to_headers(&envelope());
        let mut headers = HeaderMap::new();
        for (key, values) in whole.iter().filter(|(key, _)| AsRef::<str>::as_ref(*key) != name) {
            values.iter().for_each(|value| headers.append(key.clone(), value.clone()));
        }
        assert_eq!(from_headers(&headers), Err(EnvelopeError::Missing(name)));
    }
}

#[test]
fn a_header_that_lies_about_its_kind_is_refused() {
    for (name, value) in [
        ("ce-id", "7"),
        ("ce-organization", "acme"),
        ("ce-position", "0"),
        ("ce-time", "noon"),
        ("ce-source", "identity"),
        ("ce-actor", "%zz"),
    ] {
        let mut headers = to_headers(&envelope());
        headers.insert(name, value);
        assert_eq!(from_headers(&headers), Err(EnvelopeError::Unreadable(name)));
    }
}

#[test]
fn a_body_is_decoded_as_its_type_and_no_other() {
    use contract::tasks::v1::{ProductCreated, WorkItemCreated};
    let body = ProductCreated { product_id: "p".to_owned(), after: None };
    let mut event = Logged { envelope: envelope(), body: body.encode_to_vec().into() };
    event.envelope.r#type = "muster.tasks.v1.ProductCreated".to_owned();
    assert_eq!(event.of::<ProductCreated>().unwrap(), Some(body));
    assert_eq!(event.of::<WorkItemCreated>().unwrap(), None);
    event.body = Bytes::from_static(&[0xff, 0xff]);
    assert!(matches!(event.of::<ProductCreated>(), Err(Outcome::Poison(_))));
}
