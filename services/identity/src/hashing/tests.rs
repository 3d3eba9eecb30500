use super::*;

const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
/// Slow enough that a queue forms: some milliseconds.
const DEAR: Cost = Cost { memory_kib: 8 * 1024, passes: 2, lanes: 1 };
const LONG: Duration = Duration::from_secs(60);

fn password(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

#[tokio::test]
async fn a_password_fits_its_hash_and_nobody_fits_the_decoy() {
    let hashing = Hashing::start(CHEAP, 2, 64).unwrap();
    let stored = hashing.hash(password("correct horse"), LONG).await.unwrap();
    assert_eq!(hashing.verify(password("correct horse"), Some(stored.clone()), LONG).await, Ok(true));
    assert_eq!(hashing.verify(password("wrong"), Some(stored), LONG).await, Ok(false));
    assert_eq!(hashing.verify(password("nobody has this password"), None, LONG).await, Ok(false), "also who guesses the decoy");
}

#[tokio::test]
async fn a_call_without_time_is_refused_on_arrival_and_costs_no_hash() {
    let hashing = Hashing::start(DEAR, 1, 64).unwrap();
    let refused = hashing.hash(password("x"), Duration::ZERO).await.unwrap_err();
    assert!(matches!(refused, Refused::Overloaded { retry_after } if retry_after > Duration::ZERO), "{refused:?}");
    let queue = hashing.0.shared.lock();
    assert_eq!((queue.jobs.len(), queue.running), (0, 0));
}

#[tokio::test]
async fn more_than_the_bound_are_never_waiting() {
    let hashing = Hashing::start(DEAR, 1, 4).unwrap();
    let calls: Vec<_> = (0..32).map(|_| hashing.hash(password("x"), LONG)).collect();
    let answers = futures::future::join_all(calls).await;
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused = answers.iter().filter(|answer| matches!(answer, Err(Refused::Overloaded { .. }))).count();
    assert!(done >= 4, "those admitted are hashed: {done}");
    assert!(refused > 0 && done + refused == 32, "{done} done, {refused} refused");
}

#[test]
fn who_went_away_or_is_too_late_leaves_the_queue_without_a_hash() {
    let shared = Shared::new(1, 64, Duration::from_millis(1));
    let push = |text: &str, expire: Instant| {
        let (answer, answered) = oneshot::channel();
        shared.admit(Job { work: Work::Hash(CHEAP), password: password(text), expire, answer }, LONG).unwrap();
        answered
    };
    let later = Instant::now() + LONG;
    drop(push("cancelled", later));
    let mut late = push("late", Instant::now() - Duration::from_millis(1));
    let _waiting = push("waiting", later);
    assert_eq!(shared.next().unwrap().password.expose_secret(), "waiting");
    assert!(matches!(late.try_recv(), Ok(Err(Refused::Overloaded { .. }))));
    assert_eq!(shared.lock().running, 1);
}

#[tokio::test]
async fn a_panic_costs_its_own_call_and_no_thread() {
    let hashing = Hashing::start(CHEAP, 1, 64).unwrap();
    for _ in 0..3 {
        assert_eq!(hashing.submit(Work::Panic, password("x"), LONG).await, Err(Refused::Panicked));
        let stored = hashing.hash(password("correct horse"), LONG).await.unwrap();
        assert_eq!(hashing.verify(password("correct horse"), Some(stored), LONG).await, Ok(true));
    }
    assert_eq!(hashing.0.shared.lock().running, 0, "nothing stays on the books");
    let error = crate::Error::from(Refused::Panicked);
    assert_eq!(rpc::Fault::status(&error).0, rpc::Code::Internal);
}

#[tokio::test]
async fn the_threads_end_with_the_last_handle() {
    let hashing = Hashing::start(CHEAP, 2, 64).unwrap();
    let shared = Arc::downgrade(&hashing.0.shared);
    drop(hashing);
    for _ in 0..1000 {
        if shared.strong_count() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("a thread still holds the queue");
}
