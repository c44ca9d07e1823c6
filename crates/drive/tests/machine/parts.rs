//! What outlives a daemon: disks, journals, records, what clients were told, and what was configured.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hotbay_drive::{
    AbsentReads, AutoInsert, Drive, DriveSettings, Refusal, Retention, VolumeRecord,
    VolumeSettings, VolumeSetup,
};
use hotbay_journal::testing::{Image, ImageStorage};
use parking_lot::Mutex;

use super::PLACE_BYTES;
use super::chance::Chance;
use super::disk::Disk;
use super::journal_disk::{TapedRecords, TapedStorage};
use super::ledger::{Ledger, Survives};
use super::platter::Platter;
use super::shelf::Shelf;
use super::tape::{Moment, Tape};

/// What is configured.
#[derive(Clone, Debug)]
pub struct Plan {
    pub bays: usize,
    pub volumes: usize,
    pub places: u64,
    pub absent_reads: AbsentReads,
    pub auto_insert: AutoInsert,
    pub retained_limit_bytes: u64,
    pub spill_batch_bytes: u64,
    pub io_deadline: Duration,
    pub retention: Retention,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            bays: 1,
            volumes: 1,
            places: 48,
            absent_reads: AbsentReads::Error,
            auto_insert: AutoInsert::Never,
            retained_limit_bytes: 64 << 20,
            spill_batch_bytes: 1000,
            io_deadline: Duration::from_secs(5),
            retention: Retention::On,
        }
    }
}

/// What of the caches an end of the machine leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// The daemon is killed: the system has its caches still.
    Kill,
    /// The power is cut, and nothing that was not synced is there.
    CutLosingAll,
    /// The power is cut, and all of it is there.
    CutLosingNothing,
    /// The power is cut, and any part of it is there.
    CutLosingSome,
}

impl Ends {
    pub const ALL: [Self; 4] =
        [Self::Kill, Self::CutLosingAll, Self::CutLosingNothing, Self::CutLosingSome];
}

#[derive(Debug)]
pub struct Parts {
    pub shelf: Arc<Shelf>,
    pub records: Arc<TapedRecords>,
    journals: Mutex<BTreeMap<String, ImageStorage>>,
    pub ledgers: Vec<Arc<Mutex<Ledger>>>,
}

impl Parts {
    /// What there is now.
    pub(super) fn moment(&self, step: u64, before: &'static str) -> Moment {
        let disks = self.shelf.disks().into_iter();
        let journals = self.journals.lock();
        Moment {
            step,
            before,
            disks: disks.map(|(name, d)| (name, (d.serial.clone(), d.platter()))).collect(),
            journals: journals.iter().map(|(name, j)| (name.clone(), j.image())).collect(),
            records: self.records.all(),
            ledgers: self.ledgers.iter().map(|ledger| ledger.lock().clone()).collect(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Machine {
    pub plan: Plan,
    pub parts: Arc<Parts>,
    pub tape: Tape,
    pub chance: Chance,
}

pub fn volume_name(number: usize) -> String {
    format!("v{number}")
}

pub fn disk_name(number: usize) -> String {
    format!("disk-{number}")
}

/// The disk that a volume may be swapped to.
pub fn spare_name(number: usize) -> String {
    format!("spare-{number}")
}

impl Machine {
    /// A new one, with a disk of zeroes for each volume.
    pub fn new(plan: Plan, chance: Chance) -> Self {
        let places = usize::try_from(plan.places).unwrap();
        let size = usize::try_from(plan.places * PLACE_BYTES).unwrap();
        let disks = (0..plan.volumes).map(|number| {
            let name = disk_name(number);
            (name.clone(), (name, Platter::filled(size, 0)))
        });
        let moment = Moment {
            step: 0,
            before: "the first start",
            disks: disks.collect(),
            journals: BTreeMap::new(),
            records: BTreeMap::new(),
            ledgers: (0..plan.volumes).map(|number| Ledger::new(number, places)).collect(),
        };
        Self::built(plan, chance, moment)
    }

    /// The one that is found when it ended at a moment in this way.
    pub fn after(plan: &Plan, moment: &Moment, ends: Ends, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let mut some = chance.keeper();
        let mut keep = move || match ends {
            Ends::Kill | Ends::CutLosingNothing => true,
            Ends::CutLosingAll => false,
            Ends::CutLosingSome => some(),
        };
        let mut left = moment.clone();
        // What was retained goes to the journal when a flush has failed. A kill before it is there is a loss of power: no
        // later daemon can tell that the cache does not have what the platter has.
        let is_lying = left.disks.values().any(|(_, platter)| platter.lies());
        if ends != Ends::Kill || is_lying {
            left.disks.values_mut().for_each(|(_, platter)| platter.lose_cache(&mut keep));
            left.journals.values_mut().for_each(|image| *image = image.crashed(&mut keep));
        }
        for ledger in &mut left.ledgers {
            ledger.end_of_daemon(Survives::WhatWasFlushed);
        }
        Self::built(plan.clone(), chance, left)
    }

    fn built(plan: Plan, mut chance: Chance, moment: Moment) -> Self {
        let tape = Tape::default();
        let shelf = Arc::new(Shelf::default());
        for (name, (serial, platter)) in moment.disks {
            shelf.put(&name, Disk::new(&serial, platter, chance.fork(), tape.clone()));
        }
        let journals = moment.journals.into_iter();
        let parts = Arc::new(Parts {
            shelf,
            records: Arc::new(TapedRecords::new(moment.records, tape.clone())),
            journals: Mutex::new(journals.map(|(n, image)| (n, over(image))).collect()),
            ledgers: moment.ledgers.into_iter().map(Mutex::new).map(Arc::new).collect(),
        });
        tape.belongs_to(&parts);
        Self { plan, parts, tape, chance }
    }

    pub fn disk(&self, name: &str) -> Arc<Disk> {
        self.parts.shelf.disk(name)
    }

    /// A fresh disk on the shelf, of the volumes' size, with something on it.
    pub fn add_disk(&mut self, name: &str, byte: u8) -> Arc<Disk> {
        let size = usize::try_from(self.plan.places * PLACE_BYTES).unwrap();
        let platter = Platter::filled(size, byte);
        let disk = Disk::new(name, platter, self.chance.fork(), self.tape.clone());
        self.parts.shelf.put(name, Arc::clone(&disk));
        disk
    }

    pub fn journal(&self, volume: &str) -> ImageStorage {
        self.parts.journals.lock().entry(volume.to_owned()).or_default().clone()
    }

    /// No fault waits on the disk of a journal any more.
    pub fn mend_journals(&self) {
        for journal in self.parts.journals.lock().values_mut() {
            *journal = over(journal.image());
        }
    }

    /// Cuts the power of everything, where the daemon is at its end already.
    pub fn cut_power(&mut self) {
        self.parts.shelf.disks().iter().for_each(|(_, disk)| disk.lose_cache());
        for journal in self.parts.journals.lock().values_mut() {
            *journal = over(journal.image().crashed(&mut self.chance.keeper()));
        }
    }

    /// Starts a drive on what there is.
    pub async fn start(&self) -> Result<Drive, Refusal> {
        let mut setups = Vec::new();
        for number in 0..self.plan.volumes {
            let name = volume_name(number);
            let known = self.parts.records.all().remove(&name);
            let id = [u8::try_from(number + 1).unwrap(); 16];
            let record = known.unwrap_or_else(|| VolumeRecord::new(&name, id));
            let (files, tape) = (self.journal(&name), self.tape.clone());
            let journal = Arc::new(TapedStorage { files, tape });
            setups.push(VolumeSetup { settings: self.settings(number), record, journal });
        }
        let settings = DriveSettings {
            name: "machine".to_owned(),
            bays: self.plan.bays,
            source: Arc::clone(&self.parts.shelf) as _,
            records: Arc::clone(&self.parts.records) as _,
        };
        Drive::start(settings, setups).await
    }

    fn settings(&self, number: usize) -> VolumeSettings {
        let mut settings = VolumeSettings::new(volume_name(number), disk_name(number));
        settings.journal_limit_bytes = 16 << 20;
        settings.absent_reads = self.plan.absent_reads;
        settings.auto_insert = self.plan.auto_insert;
        settings.retained_limit_bytes = self.plan.retained_limit_bytes;
        settings.spill_batch_bytes = self.plan.spill_batch_bytes;
        settings.retention = self.plan.retention;
        settings.io_deadline = self.plan.io_deadline;
        settings
    }
}

fn over(image: Image) -> ImageStorage {
    ImageStorage::over(image)
}
