use std::time::Duration;

use testkit::{Setup, assert_fault};
use time::macros::datetime;

use crate::pad::{emit, pad, pad_with, who};

#[tokio::test]
async fn the_clock_stands_until_the_test_moves_it() {
    let app = pad().await;
    let ana = app.owner("ana").await;
    assert_eq!(app.now(), datetime!(2026-03-02 09:00:00 UTC));
    app.clock().advance(Duration::from_secs(3_600));
    emit(&app, "a").await;
    let made = app.envelopes().await[0].create_time.unwrap();
    assert_eq!(contract::time::datetime(&made), Some(datetime!(2026-03-02 10:00:00 UTC)));
    assert_fault!(who(ana.channel()).await, Unauthenticated, "TOKEN_EXPIRED");
    who(ana.renewed().channel()).await.unwrap();
}

#[tokio::test]
async fn a_test_may_ask_for_the_clock_on_the_wall() {
    let app = pad_with(Setup { clock: None, ..Setup::default() }).await;
    let before = app.now();
    who(app.owner("ana").await.channel()).await.unwrap();
    assert!(app.now() > before);
}
