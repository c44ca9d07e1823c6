//! What happens to disks without anybody wishing it.

use std::io;
use std::sync::Arc;

use hotbay_journal::testing::Step;
use tokio::time::sleep;

use crate::customs::Customs;
use crate::elsewhere::Elsewhere;
use crate::machine::parts::volume_name;
use crate::machine::{Chance, Disk, Machine};

#[derive(Clone, Copy, Debug)]
enum Event {
    Yank,
    Plug,
    /// Another disk is put in its place.
    Exchange,
    /// Its own disk is put back.
    PutBack,
    Land,
    JournalFails,
    /// Somebody keeps a copy of a disk.
    Copy,
    /// A disk that is away is changed on another machine, or becomes an older copy of itself.
    ChangeElsewhere,
    /// It is as it was again.
    PutRight,
}

const EVENTS: [(u64, Event); 9] = [
    (4, Event::Yank),
    (6, Event::Plug),
    (1, Event::Exchange),
    (2, Event::PutBack),
    (3, Event::Land),
    (3, Event::JournalFails),
    (2, Event::Copy),
    (5, Event::ChangeElsewhere),
    (1, Event::PutRight),
];

pub(crate) struct Nature {
    pub(crate) machine: Machine,
    pub(crate) customs: Customs,
    pub(crate) chance: Chance,
    /// Disks that are off the shelf, because another one is in their place, and where that is.
    pub(crate) off_shelf: Vec<(String, Arc<Disk>)>,
    pub(crate) elsewhere: Elsewhere,
    /// Whether the disk of a journal has failed in this life, or is about to.
    pub(crate) a_journal_fails: bool,
}

impl Nature {
    /// Goes on until it is dropped. What is off the shelf then has to be put back.
    pub(crate) async fn work(&mut self) {
        loop {
            sleep(self.chance.up_to(self.customs.rest)).await;
            self.machine.tape.note("an event");
            let event = self.chance.weighed(&EVENTS);
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        let disks = self.machine.parts.shelf.disks();
        let (name, disk) = &disks[self.chance.place_below(disks.len())];
        match event {
            Event::Yank => disk.yank(),
            Event::Plug => disk.plug(),
            Event::Land => disk.let_land(),
            Event::Exchange => self.exchange(name, disk),
            Event::PutBack => self.put_back(),
            Event::JournalFails if self.chance.one_in(self.customs.journal_fails) => {
                self.fail_a_journal();
            }
            Event::JournalFails => {}
            Event::Copy => self.elsewhere.copy(&self.machine, disk),
            Event::ChangeElsewhere if self.chance.one_in(self.customs.changed_elsewhere) => {
                self.elsewhere.change_one(&self.machine, self.customs.mood, &mut self.chance);
            }
            Event::ChangeElsewhere => {}
            Event::PutRight => self.elsewhere.put_right(&mut self.chance),
        }
    }

    /// The disk is taken out, and something else of the same size is found by its name.
    fn exchange(&mut self, name: &str, disk: &Arc<Disk>) {
        // To swap a volume to whatever is found is an operator's right; that is not tried here.
        let records = self.machine.parts.records.all();
        let is_a_medium = records.values().any(|record| record.medium.as_deref() == Some(name));
        if !is_a_medium || self.off_shelf.iter().any(|(other, _)| other == name) {
            return;
        }
        disk.yank();
        self.off_shelf.push((name.to_owned(), Arc::clone(disk)));
        let stranger = disk.stranger(STRANGE, self.chance.fork());
        self.machine.parts.shelf.put(name, stranger);
    }

    /// Whatever is in the place of a disk goes, and the disk is back.
    pub(crate) fn put_back(&mut self) {
        let Some((name, disk)) = self.off_shelf.pop() else { return };
        disk.plug();
        let stranger = self.machine.parts.shelf.put(&name, disk);
        let stranger = stranger.expect("a place is never empty");
        stranger.yank();
        let touched = stranger.platter().durable().iter().any(|&byte| byte != STRANGE);
        if touched {
            self.machine.tape.is_wrong(format!("a stranger in the place of {name} was written"));
        }
    }

    fn fail_a_journal(&mut self) {
        let volume = volume_name(self.chance.place_below(self.machine.plan.volumes));
        let step = self.chance.pick(&[
            Step::Sync,
            Step::Sync,
            Step::Write,
            Step::Write,
            Step::SyncDirectory,
        ]);
        self.a_journal_fails = true;
        self.machine.journal(&volume).fail(step, 0, io::ErrorKind::Other);
    }
}

/// What is on a disk that belongs to no volume.
pub(crate) const STRANGE: u8 = 0xAB;
