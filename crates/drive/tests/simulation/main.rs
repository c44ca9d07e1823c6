//! A drive in a world of its own: several volumes, bays, clients, an operator, and disks that are slow, tear, fail, hang, lose
//! what was not synced, go, and come back late or as another; daemons that are killed, stopped, and lose their power. Clients
//! reach each volume by itself, or all of them as parts of one disk.
//!
//! Time is the runtime's and runs ahead, there is one thread, and a seed decides everything else: it gives the same world,
//! step by step.
//!
//! `HOTBAY_SEED=7 cargo test -p hotbay-drive --test simulation` repeats one world, `HOTBAY_WORLDS=1000` tries more,
//! `HOTBAY_SECONDS=400` as many as there is time for; `HOTBAY_TWICE=50` compares so many with themselves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../machine/mod.rs"]
mod machine;

mod customs;
mod decision;
mod elsewhere;
mod nature;
mod operator;
mod reach;
mod world;

use std::time::{Duration, Instant};

use hotbay_drive::Retention;

use world::{Told, World};

/// The worlds of an ordinary test.
const WORLDS: u64 = 60;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|value| value.parse().ok())
}

/// The seeds to try, and until when.
fn seeds() -> (std::ops::Range<u64>, Option<Instant>) {
    if let Some(seed) = number("HOTBAY_SEED") {
        return (seed..seed + number("HOTBAY_WORLDS").unwrap_or(1), None);
    }
    match number("HOTBAY_SECONDS") {
        Some(seconds) => {
            let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let first = clock.unwrap().as_secs() << 20;
            (first..u64::MAX, Some(Instant::now() + Duration::from_secs(seconds)))
        }
        None => (1..1 + number("HOTBAY_WORLDS").unwrap_or(WORLDS), None),
    }
}

#[test]
fn no_world_breaks_a_promise() {
    let (seeds, until) = seeds();
    let mut sum = Told::default();
    for seed in seeds {
        if until.is_some_and(|until| Instant::now() >= until) {
            break;
        }
        match World::new(seed, Retention::On).run() {
            Ok(told) => sum.add(&told),
            Err(wrong) => panic!(
                "{wrong}\nafter {sum}\nHOTBAY_SEED={seed} cargo test -p hotbay-drive --test simulation"
            ),
        }
    }
    eprintln!("{sum}");
}

#[test]
fn a_seed_gives_the_same_world_again() {
    // Of the first ones most differed when those who had waited together went on in an order of chance.
    for seed in 104..104 + number("HOTBAY_TWICE").unwrap_or(10) {
        let first = World::new(seed, Retention::On).run().unwrap();
        let second = World::new(seed, Retention::On).run().unwrap();
        assert_eq!(first, second, "{seed}");
    }
}

/// Proves that the test above can fail.
#[test]
fn without_retention_a_promise_is_broken() {
    let broken = (1..100).find_map(|seed| World::new(seed, Retention::Off).run().err());
    let wrong = broken.expect("nothing was lost: the worlds prove nothing");
    assert!(wrong.contains("holds"), "{wrong}");
}
