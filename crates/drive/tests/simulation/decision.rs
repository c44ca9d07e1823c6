//! Somebody decides about volumes whose media were changed while they were away: each must be in conflict, and is as was
//! decided afterwards. Now and then the power fails while it is being carried out.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use hotbay_drive::{Resolution, State, VolumeRecord, WhenOccupied};
use hotbay_journal::{salvage, scan};
use tokio::time::{sleep, timeout};

use crate::elsewhere::{Changed, Elsewhere};
use crate::machine::parts::volume_name;
use crate::machine::{Chance, Life, Machine, PLACE_BYTES, STUCK};

/// What has been decided, and how often the power failed meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) replayed: u64,
    pub(crate) discarded: u64,
    pub(crate) cut_short: u64,
}

/// What remains to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum After {
    GoOn,
    /// The power is to be cut, and then to be judged whether it was decided.
    Cut(Deciding),
}

/// What is being decided about the last of the changed disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deciding {
    resolution: Resolution,
    /// The places that the journal holds.
    in_journal: BTreeSet<u64>,
}

impl fmt::Display for Decided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replayed, discarded, cut_short } = self;
        write!(
            f,
            "{replayed} replayed over, {discarded} taken as found ({cut_short} times cut short)"
        )
    }
}

impl Decided {
    pub(crate) fn add(&mut self, other: &Self) {
        self.replayed += other.replayed;
        self.discarded += other.discarded;
        self.cut_short += other.cut_short;
    }

    /// Decides about one volume after the other, with nobody else at work. `all`: none is left in conflict.
    pub(crate) fn decide(
        &mut self,
        life: &Life,
        machine: &Machine,
        elsewhere: &mut Elsewhere,
        chance: &mut Chance,
        all: bool,
    ) -> Result<After, String> {
        let count = elsewhere.changed.len();
        for nth in (0..count).rev() {
            if !all && chance.one_in(3) {
                continue;
            }
            let changed = &elsewhere.changed[nth];
            into_conflict(life, changed)?;
            elsewhere.check(machine)?;
            let resolution = chance.pick(&[Resolution::Replay, Resolution::Discard]);
            // What is decided last is judged first.
            elsewhere.changed[nth..].rotate_left(1);
            let changed = elsewhere.changed.last().expect("it is decided about");
            let in_journal = places_in_journal(machine, changed.volume)?;
            let deciding = Deciding { resolution, in_journal };
            if chance.one_in(4) {
                self.cut_short += 1;
                let moment = chance.up_to(Duration::from_millis(20));
                begin(life, changed.volume, resolution, moment);
                return Ok(After::Cut(deciding));
            }
            resolve(life, changed.volume, resolution)?;
            self.is_decided(machine, elsewhere, &deciding);
        }
        Ok(After::GoOn)
    }

    /// After a loss of power the volume's record tells whether it was decided.
    pub(crate) fn judge(
        &mut self,
        machine: &Machine,
        elsewhere: &mut Elsewhere,
        deciding: &Deciding,
    ) {
        let changed = elsewhere.changed.last().expect("it was being decided about");
        if record_of(machine, changed.volume).conflict.is_none() {
            self.is_decided(machine, elsewhere, deciding);
        }
    }

    /// The last of the changed disks is its volume's own again.
    fn is_decided(&mut self, machine: &Machine, elsewhere: &mut Elsewhere, deciding: &Deciding) {
        let changed = elsewhere.changed.pop().expect("it was decided about");
        let mut ledger = machine.parts.ledgers[changed.volume].lock();
        match deciding.resolution {
            Resolution::Replay => {
                self.replayed += 1;
                let is_replaced = |place| !deciding.in_journal.contains(&place);
                ledger.is_another_content(&changed.now, is_replaced);
            }
            Resolution::Discard => {
                self.discarded += 1;
                ledger.is_another_content(&changed.now, |_| true);
            }
        }
    }
}

fn record_of(machine: &Machine, volume: usize) -> VolumeRecord {
    let record = machine.parts.records.all().remove(&volume_name(volume));
    record.expect("a volume that is in conflict is remembered")
}

/// What a volume's journal holds, in places.
fn places_in_journal(machine: &Machine, volume: usize) -> Result<BTreeSet<u64>, String> {
    let files = machine.journal(&volume_name(volume));
    let report = scan(&files, None).map_err(|error| error.to_string())?;
    let live = salvage(&files, &report).map_err(|error| error.to_string())?;
    let places = |offset: u64, end: u64| offset / PLACE_BYTES..end / PLACE_BYTES;
    Ok(live.iter().flat_map(|live| places(live.extent.offset(), live.extent.end())).collect())
}

/// Puts the medium in. It must be in conflict then.
fn into_conflict(life: &Life, changed: &Changed) -> Result<(), String> {
    changed.disk.plug();
    let (name, serial) = (volume_name(changed.volume), &changed.disk.serial);
    life.run(async |drive| {
        let volume = drive.volume(&name).map_err(|refusal| refusal.to_string())?;
        let mut last = String::new();
        for _ in 0..100 {
            match volume.state() {
                State::Conflict => return Ok(()),
                State::Absent => {
                    let inserted = drive.insert(&name, None, WhenOccupied::Replace);
                    match timeout(STUCK, inserted).await {
                        Ok(Ok(())) => {}
                        Ok(Err(refusal)) => last = refusal.to_string(),
                        Err(_) => return Err(format!("an insert of {name} hangs")),
                    }
                }
                state => return Err(format!("{name} is {state}, and {serial} had been changed")),
            }
            sleep(Duration::from_millis(100)).await;
        }
        Err(format!("{name} stays {}: {last}", volume.state()))
    })
}

fn resolve(life: &Life, volume: usize, resolution: Resolution) -> Result<(), String> {
    let name = volume_name(volume);
    let resolved = life.run(async |drive| timeout(STUCK, drive.resolve(&name, resolution)).await);
    let resolved = resolved.map_err(|_| format!("to resolve {name} hangs"))?;
    resolved.map_err(|refusal| format!("to resolve {name} is refused: {refusal}"))
}

/// Begins it, and goes no further than to a moment.
fn begin(life: &Life, volume: usize, resolution: Resolution, moment: Duration) {
    let name = volume_name(volume);
    life.run(async |drive| {
        let resolving = tokio::spawn(async move { drive.resolve(&name, resolution).await });
        sleep(moment).await;
        drop(resolving);
    });
}
