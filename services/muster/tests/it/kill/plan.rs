//! Who is killed when: everything that a seed decides.

use std::{collections::BTreeMap, time::Duration};

use muster::migrate::SCHEMAS;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

/// Every crash point (`grep crash_point!`), with the services that the load leads past it.
pub(crate) const POINTS: [(&str, &str); 14] = [
    ("after_begin", identity::NAME),
    ("after_commit_before_reply", identity::NAME),
    ("after_begin", tasks::NAME),
    ("after_domain_write", tasks::NAME),
    ("after_outbox_insert", tasks::NAME),
    ("after_commit_before_reply", tasks::NAME),
    ("relay_after_publish_before_ack", tasks::NAME),
    ("relay_after_ack_before_cursor", tasks::NAME),
    ("consumer_after_effect_before_commit", audit::NAME),
    ("consumer_after_commit_before_ack", audit::NAME),
    ("mail_in_hand", notifications::NAME),
    ("mail_awaited", notifications::NAME),
    ("mail_handed_over", notifications::NAME),
    ("mail_ended", notifications::NAME),
];

/// How the life of one process ends.
pub(crate) enum Fate {
    /// By SIGKILL, so long after it became ready.
    Running(Duration),
    /// By SIGKILL, so long after its start, ready or not.
    Starting(Duration),
    /// By itself, as it passes `point` for the `pass`th time.
    At { point: &'static str, pass: u32 },
}

/// How many kills there are.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// At random moments.
    pub(crate) random: usize,
    /// At each crash point.
    pub(crate) each_point: usize,
}

impl Size {
    /// `make chaos` asks for more than `make test`.
    pub(crate) fn of_run() -> Size {
        match std::env::var_os("MUSTER_SOAK") {
            Some(_) => Size { random: 2_000, each_point: 50 },
            None => Size { random: 30, each_point: 5 },
        }
    }
}

/// `MUSTER_SEED`, or a new one.
pub(crate) fn seed() -> u64 {
    std::env::var("MUSTER_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap())
}

/// What becomes of each service, life after life.
pub(crate) fn fates(seed: u64, size: Size) -> BTreeMap<&'static str, Vec<Fate>> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut fates: BTreeMap<&'static str, Vec<Fate>> = SCHEMAS.into_iter().map(|(service, ..)| (service, Vec::new())).collect();
    for (point, service) in POINTS {
        let passes = (0..size.each_point).map(|_| Fate::At { point, pass: random.random_range(1..=12) });
        fates.get_mut(service).unwrap().extend(passes);
    }
    for _ in 0..size.random {
        let (service, ..) = SCHEMAS[random.random_range(0..SCHEMAS.len())];
        let fate = match random.random_range(0..4) {
            0 => Fate::Starting(Duration::from_millis(random.random_range(0..800))),
            _ => Fate::Running(Duration::from_millis(random.random_range(0..life_max_ms(service)))),
        };
        fates.get_mut(service).unwrap().push(fate);
    }
    fates.values_mut().for_each(|fates| fates.shuffle(&mut random));
    fates
}

/// The longest that a service lives before a random kill. Those without crash points of their own live longer, so that all are killed for as
/// long as the run takes.
fn life_max_ms(service: &str) -> u64 {
    match service {
        tasks::NAME => 400,
        audit::NAME => 1_500,
        _ => 4_000,
    }
}
