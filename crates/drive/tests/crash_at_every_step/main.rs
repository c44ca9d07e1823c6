//! A whole volume, ended at every step: before each write and sync of its medium and of its journal, and before each save of
//! its record, the daemon is killed and the power is cut, with everything, nothing and any part of what was not synced on
//! the disks. Then a daemon is started on what is left, and while it recovers the same is done to it again.
//!
//! All that was acknowledged as flushed must be there, and nothing that was never written.
//!
//! `HOTBAY_CRASH_SEEDS=50 cargo test --release -p hotbay-drive --test crash_at_every_step` tries more histories of each
//! scene, `HOTBAY_SEED=…` the same ones again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../machine/mod.rs"]
mod machine;

mod scene;
mod sweep;

use scene::Scene;
use sweep::Sweep;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|value| value.parse().ok())
}

/// Sweeps over histories of a scene; panics with what reproduces the first that is wrong.
fn sweep(scene: Scene) {
    let (first, seeds) = match number("HOTBAY_SEED") {
        Some(seed) => (seed, 1),
        None => (1, number("HOTBAY_CRASH_SEEDS").unwrap_or(1)),
    };
    let mut sum = Sweep::default();
    for seed in first..first + seeds {
        if let Err(wrong) = sum.over(scene, seed) {
            panic!(
                "{wrong}\nHOTBAY_SEED={seed} cargo test -p hotbay-drive --test crash_at_every_step {}",
                scene.name()
            );
        }
    }
    eprintln!("{}: {sum}", scene.name());
    assert!(sum.crashes > 20, "{}: only {sum}", scene.name());
}

macro_rules! sweeps {
    ($($name:ident: $scene:expr,)*) => {
        $(#[test]
        fn $name() {
            sweep($scene);
        })*
    };
}

sweeps! {
    clients_alone: Scene::ClientsAlone,
    a_spill_of_what_was_retained: Scene::Spill,
    a_replay: Scene::Replay,
    a_removal_in_a_replay: Scene::RemovalInReplay,
    a_gain_of_space: Scene::Reclaim,
    a_swap: Scene::Swap,
    a_sync_that_fails: Scene::FailedSync,
    an_eject_and_a_restart: Scene::EjectAndRestart,
    two_volumes_in_one_bay: Scene::TwoVolumes,
}
