//! A tape of everything that reaches a disk: of media, of journals and of records.
//!
//! It counts the steps and mixes them into one number, by which two histories are compared. While it is armed it keeps the
//! moment *before* each step: what every disk holds, and what every client has been told by then.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use hotbay_drive::VolumeRecord;
use hotbay_journal::testing::Image;
use parking_lot::Mutex;
use tokio::time::sleep;

use super::ledger::Ledger;
use super::parts::Parts;
use super::platter::Platter;

#[derive(Clone, Debug, Default)]
pub struct Tape(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    parts: OnceLock<Weak<Parts>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    steps: u64,
    mixed: u64,
    armed: bool,
    wrong: Option<String>,
    moments: Vec<Moment>,
}

/// What would be found if it ended before a step.
#[derive(Clone, Debug)]
pub struct Moment {
    pub step: u64,
    pub before: &'static str,
    /// By name: the serial and what it holds.
    pub disks: BTreeMap<String, (String, Platter)>,
    pub journals: BTreeMap<String, Image>,
    pub records: BTreeMap<String, VolumeRecord>,
    pub ledgers: Vec<Ledger>,
}

impl Tape {
    pub(super) fn belongs_to(&self, parts: &Arc<Parts>) {
        self.0.parts.set(Arc::downgrade(parts)).expect("a tape is of one machine");
    }

    pub fn arm(&self) {
        self.0.state.lock().armed = true;
    }

    /// The moments kept since the last call.
    pub fn take(&self) -> Vec<Moment> {
        std::mem::take(&mut self.0.state.lock().moments)
    }

    pub fn steps(&self) -> u64 {
        self.0.state.lock().steps
    }

    /// Waits until so many steps were made.
    pub async fn until(&self, steps: u64) {
        while self.steps() < steps {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// All that happened, in one number.
    pub fn mixed(&self) -> u64 {
        self.0.state.lock().mixed
    }

    /// Something is about to happen.
    pub fn note(&self, before: &'static str) {
        let step = {
            let mut state = self.0.state.lock();
            state.steps += 1;
            state.mix(before.as_bytes());
            if !state.armed {
                return;
            }
            state.steps
        };
        let parts = self.0.parts.get().and_then(Weak::upgrade);
        let moment = parts.expect("the machine outlives what runs on it").moment(step, before);
        self.0.state.lock().moments.push(moment);
    }

    /// Something has happened that must never happen.
    pub fn is_wrong(&self, what: String) {
        self.0.state.lock().wrong.get_or_insert(what);
    }

    pub fn wrong(&self) -> Option<String> {
        self.0.state.lock().wrong.clone()
    }

    /// Mixes in something that a history is known by, such as the time of an answer, or what was said.
    pub fn mix(&self, bytes: &[u8]) {
        self.0.state.lock().mix(bytes);
    }
}

impl State {
    fn mix(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.mixed = (self.mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
}
