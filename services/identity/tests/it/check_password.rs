use contract::identity::v1::{CheckPasswordRequest, CheckPasswordResponse};
use testkit::{App, assert_fault, fault};

use crate::verbs::{Acts, Door, PASSWORD, address, identity};

async fn check(app: &App, password: &str) -> CheckPasswordResponse {
    let request = CheckPasswordRequest { password: password.to_owned(), email: address("ana"), ..Default::default() };
    app.check_password(request).await.unwrap()
}

#[tokio::test]
async fn whoever_types_a_password_is_told_what_to_think_of_it() {
    let app = identity().await;
    let good = check(&app, PASSWORD).await;
    assert!(good.acceptable && good.score >= 2 && good.rule.is_empty() && good.advice.is_empty(), "{good:?}");
    for (password, rule) in [
        ("kX9#q", "password.too_short"),
        ("password123", "password.common"),
        ("ANA@example.com", "password.personal"),
        ("monkey2019", "password.guessable"),
    ] {
        let weak = check(&app, password).await;
        assert_eq!((weak.acceptable, weak.rule.as_str()), (false, rule), "{password}");
        assert!(!weak.advice.is_empty() && !format!("{weak:?}").contains(password), "{weak:?}");
    }
    assert!(!check(&app, "monkey2019").await.suggestions.is_empty());
    assert!(app.emitted().await.is_empty(), "nothing is kept of it");
}

#[tokio::test]
async fn a_refusal_names_the_same_rule_and_says_what_to_do() {
    let app = identity().await;
    let ana = app.person("ana").await;
    for (password, rule) in [("short", "password.too_short"), ("password123", "password.common"), ("monkey2019", "password.guessable")] {
        let told = check(&app, password).await;
        assert_eq!(told.rule, rule);
        let register = assert_fault!(app.register_user(&address("ana"), password, "Cy").await, InvalidArgument, "PASSWORD_TOO_WEAK");
        let change = assert_fault!(ana.change_password(PASSWORD, password).await, InvalidArgument, "PASSWORD_TOO_WEAK");
        for refused in [register, change] {
            assert!(format!("{refused:?}").contains(&told.advice), "{rule}: {refused:?}");
            assert_eq!(fault::violated_fields(&refused), ["password"]);
        }
    }
}

#[tokio::test]
async fn the_longest_and_the_oddest_password_is_looked_at_and_not_waited_for() {
    let app = identity().await;
    for password in ["a1".repeat(128), "\u{1f98a}".repeat(256), "\u{202e}pa\u{308}ss\tw\u{200d}ort".to_owned(), "(?:a+)+$".repeat(32)] {
        assert!((0..=4).contains(&check(&app, &password).await.score));
    }
    let request = CheckPasswordRequest { password: "x".repeat(257), ..Default::default() };
    assert_fault!(app.check_password(request).await, InvalidArgument, "FIELD_VIOLATION");
}
