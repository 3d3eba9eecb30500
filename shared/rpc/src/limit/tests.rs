use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use runtime::{Ids, UserId};

use super::*;

fn limits() -> Limits {
    Limits {
        calls_max: 1,
        queue_max: 1,
        queue_wait_ms: 50,
        streams_max: 2,
        caller_streams_max: 1,
        public_streams_max: 1,
        service_calls_max: 1,
        service_streams_max: 1,
        unread_bytes_max: 10_000,
        request_read_ms: 1_000,
        ..Limits::default()
    }
}

fn limiter() -> Limiter {
    Limiter::new("test", &limits())
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(1))
}

fn user() -> Subject {
    Subject::User(Ids::system().next_id::<UserId>())
}

async fn call(limiter: &Limiter) -> Result<Place, Error> {
    limiter.admit(Lane::Call, &user(), soon()).await
}

fn is_overloaded<T>(answer: &Result<T, Error>) -> bool {
    matches!(answer, Err(Error::Overloaded { .. }))
}

#[tokio::test(start_paused = true)]
async fn one_too_many_is_refused_after_the_queue_s_wait() {
    let limiter = limiter();
    let _place = call(&limiter).await.unwrap();
    assert!(is_overloaded(&call(&limiter).await));
    for lane in [Lane::Stream, Lane::PublicStream, Lane::ServiceCall, Lane::ServiceStream] {
        assert!(limiter.admit(lane, &user(), soon()).await.is_ok(), "{lane:?} has places of its own");
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_comes_free_goes_to_whoever_waits() {
    let limiter = limiter();
    let place = call(&limiter).await.unwrap();
    let free = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(place);
    };
    let (next, ()) = tokio::join!(call(&limiter), free);
    assert!(next.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once() {
    let limiter = Limiter::new("test", &Limits { queue_max: 0, ..limits() });
    let _place = call(&limiter).await.unwrap();
    let before = Instant::now();
    assert!(is_overloaded(&call(&limiter).await));
    assert_eq!(Instant::now(), before);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_time_left_is_refused_first_whether_there_is_room_or_not() {
    let limiter = limiter();
    let late = limiter.admit(Lane::Call, &user(), Deadline::after(Duration::ZERO)).await;
    assert!(matches!(late, Err(Error::DeadlineExceeded)));
    let _place = call(&limiter).await.unwrap();
    let short = Deadline::after(Duration::from_millis(10));
    let late = limiter.admit(Lane::Call, &user(), short).await;
    assert!(matches!(late, Err(Error::DeadlineExceeded)), "its time ran out in the queue");
}

#[tokio::test(start_paused = true)]
async fn one_user_can_not_take_the_streams_of_another() {
    let (limiter, ana, ben) = (limiter(), user(), user());
    let first = limiter.admit(Lane::Stream, &ana, soon()).await.unwrap();
    assert!(is_overloaded(&limiter.admit(Lane::Stream, &ana, soon()).await), "her share is one");
    let _second = limiter.admit(Lane::Stream, &ben, soon()).await.unwrap();
    drop(first);
    assert!(limiter.admit(Lane::Stream, &ana, soon()).await.is_ok());
}

#[tokio::test]
async fn who_calls_for_itself_and_who_for_others_go_by_different_lanes() {
    let of = |path: &str, peer| Lane::of(contract::method(path).unwrap(), peer);
    let keys = "/muster.identity.v1.KeyService/GetJsonWebKeySet";
    assert_eq!([of(keys, None), of(keys, Some(GATEWAY)), of(keys, Some("tasks"))], [Lane::Call, Lane::Call, Lane::ServiceCall]);
    let create = "/muster.tasks.v1.WorkItemService/CreateWorkItem";
    assert_eq!([of(create, None), of(create, Some("audit"))], [Lane::Call, Lane::Call], "a user's call that a service passes on");
    assert_eq!(of("/muster.tasks.v1.WorkItemService/WatchWorkItems", None), Lane::Stream);
    assert_eq!(of("/muster.identity.v1.RevocationService/WatchRevocations", Some("tasks")), Lane::ServiceStream);
    assert_eq!(of("/muster.identity.v1.RevocationService/ListRevocations", Some("tasks")), Lane::ServiceCall);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_stops_half_way_is_given_up_and_its_bytes_with_it() {
    let limiter = limiter();
    let first = futures::stream::iter([Ok::<_, std::io::Error>(Frame::data(vec![0; 9_000].into()))]);
    let half = StreamBody::new(futures::StreamExt::chain(first, futures::stream::pending()));
    let late = limiter.read(half, 20_000, Deadline::after(Duration::from_secs(60))).await;
    assert!(matches!(late, Err(Error::DeadlineExceeded)));
    assert_eq!(limiter.unread.available_permits(), 10_000);
}

#[tokio::test]
async fn large_messages_share_a_budget_and_small_ones_pass() {
    let limiter = limiter();
    let read = async |bytes: usize| limiter.read(Full::from(vec![7; bytes]), 20_000, soon()).await;
    let held = read(13_000).await.unwrap();
    assert!(is_overloaded(&read(13_000).await));
    assert_eq!(read(4_000).await.unwrap().collect().await.unwrap().to_bytes().len(), 4_000);
    assert_eq!(held.collect().await.unwrap().to_bytes(), vec![7; 13_000]);
    assert!(read(13_000).await.is_ok(), "what was read is counted no more");
    let large = read(20_006).await;
    assert!(matches!(large, Err(Error::MessageTooLarge { limit_bytes: 20_000 })));
}
