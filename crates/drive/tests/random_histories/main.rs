//! The promises of the drive, tried on random histories.
//!
//! Two volumes on one or two bays live through writes, flushes, ejects, pulls and losses with everything unsynced gone,
//! inserts, swaps, kills and restarts, with clients at work while it happens. A model of plain stamps says what each read
//! may give. No change may ever fail, whatever happens to the media. At the end every byte is compared twice: through
//! the volume, and on the platter after an eject.
//!
//! `HOTBAY_HISTORIES=20000` tries more of them, `HOTBAY_SEED=…` the same ones again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

mod history;
mod model;
mod teller;

use hotbay_drive::Retention;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use history::{History, histories};
use teller::{Threads, tell};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|value| value.parse().ok())
}

fn try_histories(
    cases: u64,
    shrinks: u32,
    retention: Retention,
    threads: Threads,
) -> Result<(), TestError<History>> {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = number("HOTBAY_SEED").unwrap_or_else(|| u64::from(clock.subsec_nanos()));
    eprintln!("HOTBAY_SEED={seed} for {cases} histories");
    let config = Config {
        cases: u32::try_from(cases).unwrap(),
        failure_persistence: None,
        max_shrink_iters: shrinks,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    TestRunner::new(config).run(&histories(), |history| {
        tell(&history, retention, threads).map_err(TestCaseError::fail)
    })
}

fn must_be_fine(tried: Result<(), TestError<History>>) {
    match tried {
        Ok(()) => {}
        Err(TestError::Fail(why, history)) => panic!("{why}\n{history:?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

#[test]
fn no_history_loses_an_acknowledged_write() {
    let cases = number("HOTBAY_HISTORIES").unwrap_or(300);
    must_be_fine(try_histories(cases, 4000, Retention::On, Threads::One));
}

#[test]
fn no_history_on_two_threads_loses_an_acknowledged_write() {
    let cases = number("HOTBAY_HISTORIES").unwrap_or(200);
    must_be_fine(try_histories(cases, 200, Retention::On, Threads::Two));
}

/// Proves that the test above can fail.
#[test]
fn without_retention_a_write_is_lost() {
    let found = try_histories(500, 0, Retention::Off, Threads::One);
    let Err(TestError::Fail(why, history)) = found else {
        panic!("nothing was lost: the histories prove nothing")
    };
    assert!(why.message().contains("holds"), "{why}: {history:?}");
}
