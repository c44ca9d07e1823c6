//! Disks that are away are changed on another machine, or what an older copy of them held is put back on them.
//!
//! Only so that the volume's witness tells: a change that touches none of the witnessed blocks is not seen, as
//! `docs/states.md` says.

use std::collections::BTreeMap;
use std::sync::Arc;

use hotbay_drive::{VolumeRecord, Witness};
use hotbay_journal::checksum;

use crate::machine::parts::volume_name;
use crate::machine::{Chance, Disk, Machine, Mood, PLACE_BYTES};

/// A disk that is not any more what its volume's record bears witness to.
#[derive(Debug)]
pub(crate) struct Changed {
    /// The number of the volume.
    pub(crate) volume: usize,
    pub(crate) disk: Arc<Disk>,
    /// What it held, and all that nobody but its medium has.
    own: Vec<u8>,
    /// What it holds.
    pub(crate) now: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct Elsewhere {
    /// What disks held at some earlier time, by name.
    copies: BTreeMap<String, Vec<u8>>,
    pub(crate) changed: Vec<Changed>,
    pub(crate) changes: u64,
    pub(crate) older_copies: u64,
    pub(crate) put_right: u64,
}

impl Elsewhere {
    /// Keeps a copy of a volume's medium as it is now.
    pub(crate) fn copy(&mut self, machine: &Machine, disk: &Disk) {
        if volume_on(machine, disk).is_some() && !self.has(&disk.serial) {
            self.copies.insert(disk.serial.clone(), disk.platter().durable().to_vec());
        }
    }

    /// Changes one of the disks that nobody has now, where its volume can tell.
    pub(crate) fn change_one(&mut self, machine: &Machine, mood: Mood, chance: &mut Chance) {
        let mut disks = machine.parts.shelf.disks();
        let first = chance.place_below(disks.len());
        disks.rotate_left(first);
        let all = disks.iter().filter_map(|(_, disk)| Some((disk, volume_on(machine, disk)?)));
        let mut away = all.filter(|(disk, (_, record))| !record.in_bay && disk.is_let_go());
        if let Some((disk, (volume, record))) = away.find(|(disk, _)| !self.has(&disk.serial)) {
            self.change(machine, volume, &record, disk, mood, chance);
        }
    }

    fn change(
        &mut self,
        machine: &Machine,
        volume: usize,
        record: &VolumeRecord,
        disk: &Arc<Disk>,
        mood: Mood,
        chance: &mut Chance,
    ) {
        let own = disk.platter().durable().to_vec();
        if differs(&record.witness, &own) {
            let name = &record.name;
            machine.tape.is_wrong(format!("volume {name} does not know its own medium any more"));
        }
        let older = self.copies.get(&disk.serial).filter(|copy| differs(&record.witness, copy));
        let content = match older.filter(|_| chance.one_in(2)) {
            Some(copy) => {
                self.older_copies += 1;
                Some(copy.clone())
            }
            None => a_place_changed(&own, machine, volume, &record.witness, chance),
        };
        let Some(now) = content else { return };
        self.changes += 1;
        disk.exchange_content(now.clone());
        disk.set_mood(self.mood_of_changed(mood));
        self.changed.push(Changed { volume, disk: Arc::clone(disk), own, now });
    }

    /// A block that cannot be read bears no witness against a disk.
    fn mood_of_changed(&self, mood: Mood) -> Mood {
        Mood { error: 0, ..mood }
    }

    pub(crate) fn mood_of(&self, disk: &Disk, mood: Mood) -> Mood {
        match self.has(&disk.serial) {
            true => self.mood_of_changed(mood),
            false => mood,
        }
    }

    fn has(&self, serial: &str) -> bool {
        self.changed.iter().any(|changed| changed.disk.serial == serial)
    }

    /// One of the changed disks is taken out, and what it held is put back on it.
    pub(crate) fn put_right(&mut self, chance: &mut Chance) {
        if self.changed.is_empty() {
            return;
        }
        let nth = chance.place_below(self.changed.len());
        self.changed[nth].disk.yank();
        if self.changed[nth].disk.is_let_go() {
            let changed = self.changed.swap_remove(nth);
            changed.disk.exchange_content(changed.own);
            self.put_right += 1;
        }
    }

    /// Whether what was changed is as it was left, and nobody has taken it for a volume's own.
    pub(crate) fn check(&self, machine: &Machine) -> Result<(), String> {
        self.changed.iter().try_for_each(|changed| {
            let (volume, serial) = (volume_name(changed.volume), &changed.disk.serial);
            if !changed.disk.platter().is_just(&changed.now) {
                return Err(format!("{serial} of {volume} was written after it had been changed"));
            }
            let record = machine.parts.records.all().remove(&volume);
            match record.is_some_and(|record| record.in_bay && record.conflict.is_none()) {
                true => Err(format!("{serial} was taken for {volume}'s own, and had been changed")),
                false => Ok(()),
            }
        })
    }
}

/// The volume that was on this disk last, if one was and the disk is in its own place.
fn volume_on(machine: &Machine, disk: &Disk) -> Option<(usize, VolumeRecord)> {
    let records = machine.parts.records.all();
    let is_on = |record: &VolumeRecord| record.medium.as_deref() == Some(disk.serial.as_str());
    let mut numbers = 0..machine.plan.volumes;
    let number = numbers.find(|&number| records.get(&volume_name(number)).is_some_and(is_on))?;
    Some((number, records[&volume_name(number)].clone()))
}

/// Whether a witness tells that a content is another.
fn differs(witness: &Witness, content: &[u8]) -> bool {
    witness.blocks().iter().any(|block| {
        let from = usize::try_from(block.extent.offset()).unwrap();
        let to = usize::try_from(block.extent.end()).unwrap();
        checksum(&content[from..to]) != block.checksum
    })
}

/// A content with something else in one place of one of the witnessed blocks.
fn a_place_changed(
    own: &[u8],
    machine: &Machine,
    volume: usize,
    witness: &Witness,
    chance: &mut Chance,
) -> Option<Vec<u8>> {
    if witness.is_empty() {
        return None;
    }
    let block = witness.blocks()[chance.place_below(witness.blocks().len())].extent;
    let place = chance.below(block.length() / PLACE_BYTES) + block.offset() / PLACE_BYTES;
    let foreign = machine.parts.ledgers[volume].lock().foreign(place);
    let at = usize::try_from(place * PLACE_BYTES).unwrap();
    let mut content = own.to_vec();
    content[at..at + foreign.len()].copy_from_slice(&foreign);
    Some(content)
}
