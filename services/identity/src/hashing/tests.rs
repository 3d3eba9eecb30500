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
    let hashing = Hashing::start(CHEAP, 2, 64, Pepper::none()).unwrap();
    let stored = hashing.hash(password("correct horse"), LONG).await.unwrap();
    assert_eq!(hashing.verify(password("correct horse"), Some(stored.clone()), LONG).await, Ok(true));
    assert_eq!(hashing.verify(password("wrong"), Some(stored), LONG).await, Ok(false));
    assert_eq!(hashing.verify(password("nobody has this password"), None, LONG).await, Ok(false), "also who guesses the decoy");
}

#[tokio::test]
async fn a_call_without_time_is_refused_on_arrival_and_costs_no_hash() {
    let hashing = Hashing::start(DEAR, 1, 64, Pepper::none()).unwrap();
    let refused = hashing.hash(password("x"), Duration::ZERO).await.unwrap_err();
    assert!(matches!(refused, Refused::Overloaded { retry_after } if retry_after > Duration::ZERO), "{refused:?}");
    assert_eq!(hashing.0.shared.places.taken(), (0, 0));
}

#[tokio::test]
async fn more_than_the_bound_are_never_waiting() {
    let hashing = Hashing::start(DEAR, 1, 4, Pepper::none()).unwrap();
    let calls: Vec<_> = (0..32).map(|_| hashing.hash(password("x"), LONG)).collect();
    let answers = futures::future::join_all(calls).await;
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused = answers.iter().filter(|answer| matches!(answer, Err(Refused::Overloaded { .. }))).count();
    assert!(done >= 4, "those admitted are hashed: {done}");
    assert!(refused > 0 && done + refused == 32, "{done} done, {refused} refused");
}

#[test]
fn who_went_away_or_is_too_late_leaves_the_queue_without_a_hash() {
    let shared = Shared::new(1, 64, CHEAP, Duration::from_millis(1));
    let push = |text: &str, expire: Instant| {
        let (answer, answered) = oneshot::channel();
        let password = Pepper::none().mixed(0, &password(text));
        let place = shared.places.take(LONG).unwrap();
        shared.push(Job { work: Work::Hash(CHEAP), password, place, expire, answer });
        answered
    };
    let later = Instant::now() + LONG;
    drop(push("cancelled", later));
    let mut late = push("late", Instant::now() - Duration::from_millis(1));
    let _waiting = push("waiting", later);
    let Next::Job(job) = shared.next() else { panic!("somebody waits") };
    assert_eq!(job.password.expose_secret(), b"waiting");
    assert!(matches!(late.try_recv(), Ok(Err(Refused::Overloaded { .. }))));
    assert_eq!(shared.places.taken(), (1, CHEAP.work()), "the others' work is off the books");
}

#[test]
fn a_thread_without_work_gives_its_memory_back_and_takes_it_again_for_the_next_hash() {
    let mut shared = Shared::new(1, 64, CHEAP, Duration::from_millis(1));
    assert_eq!(shared.idle, Duration::from_secs(60));
    shared.idle = Duration::ZERO;
    let mut arena = Arena::of(CHEAP);
    for _ in 0..2 {
        let (answer, mut answered) = oneshot::channel();
        let (password, place) = (Pepper::none().mixed(0, &password("correct horse")), shared.places.take(LONG).unwrap());
        shared.push(Job { work: Work::Hash(CHEAP), password, place, expire: Instant::now() + LONG, answer });
        assert!(shared.step(&mut arena) && matches!(answered.try_recv(), Ok(Ok(Answer::Hashed(_)))));
        assert_eq!(arena.held(), 8, "kept for the next one");
        assert!(shared.step(&mut arena), "the thread goes on");
        assert_eq!(arena.held(), 0);
    }
}

#[tokio::test]
async fn a_panic_costs_its_own_call_and_no_thread() {
    let hashing = Hashing::start(CHEAP, 1, 64, Pepper::none()).unwrap();
    for _ in 0..3 {
        let place = hashing.place(LONG).unwrap();
        assert_eq!(hashing.submit(Work::Panic, place, Pepper::none().mixed(0, &password("x")), LONG).await, Err(Refused::Panicked));
        let stored = hashing.hash(password("correct horse"), LONG).await.unwrap();
        assert_eq!(hashing.verify(password("correct horse"), Some(stored), LONG).await, Ok(true));
    }
    assert_eq!(hashing.0.shared.places.taken(), (0, 0), "nothing stays on the books");
    let error = crate::Error::from(Refused::Panicked);
    assert_eq!(rpc::Fault::status(&error).0, rpc::Code::Internal);
}

#[tokio::test]
async fn the_threads_end_with_the_last_handle() {
    let hashing = Hashing::start(CHEAP, 2, 64, Pepper::none()).unwrap();
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

#[tokio::test]
async fn the_decoy_costs_what_is_set_and_no_hash_of_another_system_is_as_ours() {
    let hashing = Hashing::start(DEAR, 1, 64, Pepper::none()).unwrap();
    assert_eq!(Stored::parse(&hashing.0.decoy).unwrap().own_cost(), Some(DEAR));
    assert!(hashing.is_current(&hashing.0.decoy));
    let bcrypt = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    assert!(!hashing.is_current(bcrypt) && is_taken(bcrypt));
    assert_eq!(hashing.verify(password("U*U"), Some(bcrypt.to_owned()), LONG).await, Ok(true));
    assert_eq!(hashing.verify(password("U*V"), Some(bcrypt.to_owned()), LONG).await, Ok(false));
}

#[tokio::test]
async fn a_dear_hash_is_admitted_by_what_it_costs() {
    let hashing = Hashing::start(CHEAP, 1, 64, Pepper::none()).unwrap();
    let dear = "$2b$14$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW".to_owned();
    // Ours fits into that time many times over.
    let refused = hashing.verify(password("U*U"), Some(dear), Duration::from_millis(1)).await.unwrap_err();
    assert!(matches!(refused, Refused::Overloaded { retry_after } if retry_after > Duration::ZERO), "{refused:?}");
    assert_eq!(hashing.0.shared.places.taken(), (0, 0));
}

#[tokio::test]
async fn a_pepper_is_told_by_its_id_and_a_former_one_stays_good() {
    let sealer = db::Sealer::from_key(&[7; 32]);
    let with = |id| Hashing::start(CHEAP, 1, 64, Pepper::new(id, &sealer)).unwrap();
    let (plain, first, second) = (with(0), with(1), with(2));
    let stored = first.hash(password("correct horse"), LONG).await.unwrap();
    assert!(stored.starts_with("$pepper$1$argon2id$"), "{stored}");
    for hashing in [&plain, &first, &second] {
        assert_eq!(hashing.verify(password("correct horse"), Some(stored.clone()), LONG).await, Ok(true));
        assert_eq!(hashing.verify(password("wrong"), Some(stored.clone()), LONG).await, Ok(false));
    }
    assert!(first.is_current(&stored) && !second.is_current(&stored) && !plain.is_current(&stored));
    // The hash alone is worth nothing: without the key, or under another one, the password does not fit.
    for other in [stored.replace("$pepper$1", ""), stored.replace("$pepper$1", "$pepper$2")] {
        assert_eq!(first.verify(password("correct horse"), Some(other), LONG).await, Ok(false));
    }
    assert!(!is_taken(&stored), "no import names a pepper");
}

#[tokio::test]
async fn however_many_ask_how_good_a_password_is_a_sign_in_is_admitted() {
    let hashing = Hashing::start(CHEAP, 1, 1, Pepper::none()).unwrap();
    let ask = || hashing.estimate(password("correct horse battery"), Person::at("ana@example.com"), LONG);
    let asked = futures::future::join_all((0..20 * estimates::WAITING_MAX).map(|_| ask()));
    // Polled after all of them have asked: with a place for one hash there would be none left.
    let (asked, hashed) = futures::future::join(asked, hashing.hash(password("x"), LONG)).await;
    hashed.unwrap();
    let refused = asked.iter().filter(|answer| matches!(answer, Err(Refused::Overloaded { .. }))).count();
    let answered = asked.iter().filter(|answer| answer.is_ok()).count();
    assert!(answered >= estimates::WAITING_MAX && refused > 0, "{answered} answered, {refused} refused");
    assert_eq!((answered + refused, hashing.done()), (asked.len(), 1), "and none is a hash");
}

#[tokio::test]
async fn an_estimate_that_comes_too_late_is_refused() {
    let hashing = Hashing::start(CHEAP, 1, 64, Pepper::none()).unwrap();
    let refused = hashing.estimate(password("x"), Person::default(), Duration::ZERO).await;
    assert!(matches!(refused, Err(Refused::Overloaded { retry_after }) if retry_after > Duration::ZERO), "{refused:?}");
}

#[test]
fn of_hashes_that_take_more_memory_than_ours_one_is_looked_at_at_a_time_and_ours_do_not_wait_for_it() {
    const LARGE: &str = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
    let hashing = Hashing::start(CHEAP, 3, 64, Pepper::none()).unwrap();
    let shared = &hashing.0.shared;
    let looked_at = |stored: Option<&str>| futures::executor::block_on(hashing.verify(password("x"), stored.map(str::to_owned), LONG));
    std::thread::scope(|threads| {
        let turn = shared.large.lock().unwrap();
        let large = [0, 1].map(|_| threads.spawn(|| looked_at(Some(LARGE))));
        let are_both_taken = (0..10_000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            shared.places.taken().0 == 2 && shared.lock().jobs.is_empty()
        });
        assert!(are_both_taken, "no thread took them, or did not wait for its turn");
        for _ in 0..20 {
            assert_eq!(looked_at(None), Ok(false));
        }
        assert_eq!(shared.places.taken().0, 2, "both wait for their turn");
        drop(turn);
        assert!(large.into_iter().all(|call| call.join().unwrap() == Ok(false)));
    });
}
