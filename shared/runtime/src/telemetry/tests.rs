//! What needs no subscriber of its own; the rest is in tests/telemetry.rs, a process for itself.

use super::*;
use crate::config::{Faults, Section};

#[test]
fn levels_that_do_not_parse_are_refused_in_words() {
    assert!(levels::parse("info,tasks=debug").is_ok());
    let told = levels::parse("tasks=loud").unwrap_err().to_string();
    assert!(told.starts_with("not log levels"), "{told}");
}

#[test]
fn the_section_checks_its_ranges() {
    let faulty = Config { trace_ratio: 1.5, levels: "x=y".into(), otlp_endpoint: Some("collector:4317".into()), ..Config::default() };
    let mut faults = Faults::default();
    faulty.validate(&mut faults);
    let keys: Vec<String> = faults.into_sorted(|_| None).into_iter().map(|fault| fault.key).collect();
    assert_eq!(keys, ["levels", "otlp_endpoint", "trace_ratio"]);
    let mut none = Faults::default();
    Config::default().validate(&mut none);
    assert!(none.is_empty());
}

#[test]
fn outside_of_a_subscriber_there_is_no_traceparent() {
    assert_eq!(tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::new(), traceparent), None);
}
