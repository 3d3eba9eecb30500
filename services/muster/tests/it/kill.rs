//! Processes die at any moment, under load, and nothing that was acknowledged is lost or happens twice.
//!
//! Each service that keeps something is a process of `muster serve`. Writers change things and repeat what was not answered under the same request
//! id; somebody's session is refreshed, and their password guessed at (`visitors`). Meanwhile the services are killed: at moments that a seed draws, and by themselves at each named crash point (`runtime::crash`). When all is
//! healed, the schemas must agree (`conservation`).
//!
//! The schedule of a failed run comes again with `MUSTER_SEED`; which statement it interrupts does not.
//! `MUSTER_SOAK=1` makes 2,000 random kills of the 30, and 50 of the 5 at each point.

mod conservation;
mod killer;
mod mails;
mod plan;
mod visitors;
mod writers;

use std::{cell::Cell, collections::BTreeSet, fs, io::Write, path::Path};

use futures::future::{join_all, join3};
use muster::migrate::SCHEMAS;

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
        say(&format!("MUSTER_SEED={seed}: {} random kills, {} at each crash point", size.random, size.each_point));
        let sink = mails::Sink::bind().await;
        let settings = sink.settings().into_iter().chain(visitors::settings()).collect::<Vec<_>>();
        let suite = Suite::with(&settings).await;
        let mut processes = Vec::new();
        let services = SCHEMAS.map(|(service, ..)| service);
        for service in services {
            processes.push(suite.start(&[service], &[]));
        }
        for (process, service) in processes.iter_mut().zip(services) {
            suite.ready(process, service).await;
        }
        let world = World::make(&suite).await;

        let over = Cell::new(false);
        let killing = async {
            let mut fates = plan::fates(seed, size);
            let lives = processes.into_iter().zip(services);
            let healed = join_all(lives.map(|(process, name)| killer::live(&suite, process, name, fates.remove(name).unwrap()))).await;
            over.set(true);
            healed
        };
        let load = join3(writers::write(&world, seed, &over), visitors::visit(&suite, &over), killing);
        let (written, visits, healed) = sink.during(load).await;

        let hits = killer::hits(&suite);
        say(&format!("{} writes acknowledged; {visits:?}; hits: {hits:?}", written.len()));
        for point in plan::POINTS {
            assert!(hits.get(&point).is_some_and(|hits| *hits >= size.each_point), "{point:?} was hit too seldom: {hits:?}");
        }
        sink.during(conservation::check(&suite, &world, &written, &visits, &sink)).await;
        drop(healed);
        suite.stop().await;
    });
}

/// Prints also when the test passes: libtest keeps what `println!` prints to itself.
fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[test]
fn every_crash_point_of_the_sources_is_planned() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![root.join("shared"), root.join("services")];
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(path).unwrap();
                let points = source.lines().filter_map(|line| line.trim().strip_prefix("crash_point!(\"")?.split('"').next());
                found.extend(points.map(str::to_owned));
            }
        }
    }
    assert_eq!(found, plan::POINTS.map(|(point, _)| point.to_owned()).into());
}
