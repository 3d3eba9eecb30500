//! Request id and trace.

use tonic::Code;

use crate::app::{App, With, header, is, outcome};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn a_request_id_is_taken_over_or_made_and_always_told() {
    let app = App::start().await;
    let mut products = app.products();
    let given = "01890a5d-ac96-774b-bcce-b302099a8057";
    let answer = products.get_product(app.get().with("x-request-id", given)).await.unwrap();
    assert_eq!(header(answer.metadata(), "x-request-id"), given);
    assert_eq!(app.seen().caller.correlation_id(), given);
    let answer = products.get_product(app.get().with("x-request-id", "1; DROP TABLE audit")).await.unwrap();
    let made = header(answer.metadata(), "x-request-id");
    assert_eq!(app.seen().caller.correlation_id(), made);
    assert!(uuid::Uuid::try_parse(&made).is_ok());
    let refused = products.get_product(app.get_in(app.workspace).with("x-request-id", given)).await.unwrap_err();
    assert_eq!(header(refused.metadata(), "x-request-id"), given);
}

#[tokio::test]
async fn a_trace_goes_on_when_it_is_valid_and_begins_when_it_is_not() {
    let app = App::start().await;
    let mut products = app.products();
    assert_eq!(outcome(&products.get_product(app.get().with("traceparent", PARENT)).await), is(Code::Ok, "OK"));
    let traceparent = app.seen().caller.traceparent().to_owned();
    assert!(traceparent.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && traceparent != PARENT, "{traceparent}");
    for wrong in ["nonsense", "00-00000000000000000000000000000000-b7ad6b7169203331-01"] {
        assert_eq!(outcome(&products.get_product(app.get().with("traceparent", wrong)).await), is(Code::Ok, "OK"));
        assert_eq!(app.seen().caller.traceparent().len(), PARENT.len());
    }
    let two = app.get().with("traceparent", PARENT).with("traceparent", PARENT);
    assert_eq!(outcome(&products.get_product(two).await), is(Code::Ok, "OK"));
    assert!(!app.seen().caller.traceparent().contains("0af7651916cd43dd"), "two parents are none");
}
