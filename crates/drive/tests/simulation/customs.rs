//! What a world is like: how many of everything there are, and how unkind its disks are.

use std::time::Duration;

use hotbay_block::ErrorKind;
use hotbay_drive::{AbsentReads, AutoInsert, Retention};

use crate::machine::{Chance, Habits, Mood, Plan};
use crate::reach::Reach;

#[derive(Clone, Debug)]
pub(crate) struct Customs {
    pub(crate) plan: Plan,
    pub(crate) reach: Reach,
    /// Of each volume.
    pub(crate) clients: usize,
    pub(crate) habits: Habits,
    pub(crate) mood: Mood,
    /// How long the work of a thread takes at most.
    pub(crate) work: Duration,
    /// How long nature and the operator rest at most.
    pub(crate) rest: Duration,
    /// One in so many pieces of bad news for a journal; 0: none.
    pub(crate) journal_fails: u64,
    /// One in so many chances to change a disk on another machine is taken; 0: none.
    pub(crate) changed_elsewhere: u64,
    pub(crate) lives: usize,
}

impl Customs {
    pub(crate) fn chosen(chance: &mut Chance, retention: Retention) -> Self {
        let mood = Mood {
            slow: chance.pick(&[0, 2, 5]),
            gone: chance.pick(&[0, 0, 60, 300]),
            error: chance.pick(&[0, 0, 80, 300]),
            hang: chance.pick(&[0, 0, 100, 400]),
        };
        let journal_fails = chance.pick(&[0, 0, 1, 4]);
        // By a die of its own, which leaves the worlds without a disk of several volumes as they were.
        let reach = Chance::new(!chance.clone().next()).pick(&REACHES);
        let mut plan = plan(chance, retention);
        if reach.is_one_disk() {
            plan.volumes = plan.volumes.max(2);
        }
        Self {
            plan,
            reach,
            clients: chance.pick(&[1, 2, 3]),
            habits: Habits {
                longest: chance.pick(&[3, 8, 40]),
                rest: Duration::from_millis(chance.pick(&[2, 20, 100])),
                flushes: chance.pick(&[4, 12, 60]),
                excuses: excuses(mood, journal_fails),
            },
            mood,
            work: Duration::from_millis(chance.pick(&[0, 3, 30])),
            rest: Duration::from_millis(chance.pick(&[30, 300, 3000])),
            journal_fails,
            changed_elsewhere: chance.pick(&[0, 1, 1, 4]),
            lives: 2 + chance.place_below(4),
        }
    }
}

const REACHES: [Reach; 4] =
    [Reach::EachByItself, Reach::EachByItself, Reach::Linear, Reach::Partitions];

fn plan(chance: &mut Chance, retention: Retention) -> Plan {
    Plan {
        bays: chance.pick(&[1, 1, 2]),
        volumes: chance.pick(&[1, 2, 3]),
        places: chance.pick(&[16, 48, 128]),
        absent_reads: chance.pick(&[AbsentReads::Error, AbsentReads::Wait]),
        auto_insert: chance.pick(&[AutoInsert::Never, AutoInsert::WhenItReturns]),
        retained_limit_bytes: chance.pick(&[8 << 10, 64 << 20]),
        spill_batch_bytes: chance.pick(&[1, 1000, 1 << 20]),
        io_deadline: Duration::from_secs(chance.pick(&[2, 10])),
        retention,
    }
}

/// What a client may be told, because a disk said so.
fn excuses(mood: Mood, journal_fails: u64) -> &'static [ErrorKind] {
    match (mood.error > 0, journal_fails > 0) {
        (false, false) => &[],
        (true, false) => &[ErrorKind::Medium],
        (false, true) => &[ErrorKind::PreviousFailure],
        (true, true) => &[ErrorKind::Medium, ErrorKind::PreviousFailure],
    }
}
