//! Processes die at any moment, under load, and nothing that was acknowledged is lost or happens twice.
//!
//! Four processes of `muster serve` each run one service. Writers change things and repeat what was not answered under the same request id.
//! Meanwhile the services are killed: at moments that a seed draws, and by themselves at each named crash point (`runtime::crash`). When all is
//! healed, the schemas must agree (`conservation`).
//!
//! The schedule of a failed run comes again with `MUSTER_SEED`; which statement it interrupts does not.
//! `MUSTER_SOAK=1` makes 2,000 random kills of the 30, and 50 of the 5 at each point.

mod conservation;
mod killer;
mod plan;
mod writers;

use std::cell::Cell;

use futures::future::{join, join_all};
use muster::serve::SERVICES;

use crate::suite::Suite;
use crate::up::alone;
use crate::world::World;

#[test]
fn what_was_acknowledged_survives_every_kill_exactly_once() {
    let _alone = alone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let size = plan::Size::of_run();
        let seed = plan::seed();
        println!("MUSTER_SEED={seed}: {} random kills, {} at each crash point", size.random, size.each_point);
        let suite = Suite::new().await;
        let mut processes = Vec::new();
        for service in SERVICES {
            processes.push(suite.start(&[service], &[]));
        }
        for (process, service) in processes.iter_mut().zip(SERVICES) {
            suite.ready(process, service).await;
        }
        let world = World::make(&suite).await;

        let over = Cell::new(false);
        let killing = async {
            let mut fates = plan::fates(seed, size);
            let lives = processes.into_iter().zip(SERVICES);
            let healed = join_all(lives.map(|(process, name)| killer::live(&suite, process, name, fates.remove(name).unwrap()))).await;
            over.set(true);
            healed
        };
        let (written, healed) = join(writers::write(&world, seed, &over), killing).await;

        let hits = killer::hits(&suite);
        println!("{} writes acknowledged; hits: {hits:?}", written.len());
        for (point, _) in plan::POINTS {
            assert!(hits.get(point).is_some_and(|hits| *hits >= size.each_point), "{point} was hit too seldom: {hits:?}");
        }
        conservation::check(&suite, &world, &written).await;
        drop(healed);
        suite.stop().await;
    });
}
