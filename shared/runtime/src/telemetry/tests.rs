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

#[test]
fn pretty_lines_are_redacted_too() {
    #[derive(Clone, Default)]
    struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::registry().with(log(Format::Pretty, "test", BoxMakeWriter::new(move || writer.clone())));
    tracing::subscriber::with_default(subscriber, || {
        let _span = tracing::info_span!("call", password = "canary1", method = "Create").entered();
        tracing::info!(api_token = "canary2", rows = 3, "sent Bearer canary3canary3");
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("Create") && text.contains("rows=3") && text.contains("sent Bearer [redacted]"), "{text}");
    assert!(!text.contains("canary"), "{text}");
}
