//! An operator who ejects, inserts, pulls and swaps, whatever else goes on.

use std::sync::Arc;

use hotbay_drive::{Drive, WhenOccupied};
use tokio::time::{sleep, timeout};

use crate::customs::Customs;
use crate::machine::parts::{disk_name, spare_name};
use crate::machine::{Chance, Disk, Machine, STUCK};

#[derive(Clone, Copy, Debug)]
enum Deed {
    Eject,
    Pull,
    /// Takes it out, and tells nobody.
    Yank,
    Insert(WhenOccupied),
    Swap,
}

const DEEDS: [(u64, Deed); 6] = [
    (3, Deed::Eject),
    (3, Deed::Pull),
    (2, Deed::Yank),
    (6, Deed::Insert(WhenOccupied::Refuse)),
    (4, Deed::Insert(WhenOccupied::Replace)),
    (2, Deed::Swap),
];

pub(crate) struct Operator {
    pub(crate) machine: Machine,
    pub(crate) drive: Arc<Drive>,
    pub(crate) customs: Customs,
    pub(crate) chance: Chance,
}

impl Operator {
    /// Works until it is dropped, or a deed never ends.
    pub(crate) async fn work(mut self) -> String {
        loop {
            sleep(self.chance.up_to(self.customs.rest)).await;
            self.machine.tape.note("a deed");
            let deed = self.chance.weighed(&DEEDS);
            let number = self.chance.place_below(self.machine.plan.volumes);
            if timeout(STUCK, self.carry_out(deed, number)).await.is_err() {
                return format!("{deed:?} of volume {number} hangs");
            }
        }
    }

    /// A refusal is an answer, too: what counts is that nothing is lost by it.
    async fn carry_out(&mut self, deed: Deed, number: usize) {
        let volume = Arc::clone(&self.drive.volumes()[number]);
        let disk = self.machine.disk(&volume.status().medium.unwrap_or_default());
        match deed {
            Deed::Eject => {
                // It may be taken away, and loses what is not synced.
                if self.drive.eject(volume.name()).await.is_ok() {
                    disk.yank();
                }
            }
            Deed::Pull => {
                if self.drive.pull(volume.name()).await.is_ok() && self.chance.one_in(2) {
                    disk.yank();
                }
            }
            Deed::Yank => disk.yank(),
            Deed::Insert(when) => {
                disk.plug();
                drop(self.drive.insert(volume.name(), None, when).await);
            }
            Deed::Swap => self.swap(number, &disk).await,
        }
    }

    /// Nobody may rely on the old medium once the volume is on another.
    async fn swap(&mut self, number: usize, old: &Disk) {
        let volume = Arc::clone(&self.drive.volumes()[number]);
        let pair = [disk_name(number), spare_name(number)];
        let medium = volume.status().medium;
        let spare = pair.iter().find(|name| Some(*name) != medium.as_ref()).expect("one is free");
        let target = self.machine.disk(spare);
        target.plug();
        if target.serial == *spare && self.drive.swap(volume.name(), spare).await.is_ok() {
            old.fill(0xDD);
        }
    }
}
