//! How clients reach the volumes: each by itself, or as parts of one disk, through the same code as in a daemon.

use std::sync::Arc;

use hotbay_block::{Device, Extent, Request};
use hotbay_drive::{Drive, JoinedDisk, Joining, Part};
use tokio::time::timeout;

use crate::machine::{Machine, PLACE_BYTES, STUCK, View};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    EachByItself,
    Linear,
    Partitions,
}

/// Partitions begin at multiples of this, and each of a world is shorter.
const MIB: u64 = 1 << 20;

/// MBR, header and entries.
const TABLE_BYTES: u64 = 34 * 512;

/// What a client works on, and what it sees there.
type Seat = (Arc<dyn Device>, View);

impl Reach {
    const fn joining(self) -> Option<Joining> {
        match self {
            Self::EachByItself => None,
            Self::Linear => Some(Joining::Linear),
            Self::Partitions => Some(Joining::Partitions),
        }
    }

    pub(crate) fn is_one_disk(self) -> bool {
        self.joining().is_some()
    }

    /// What each of the clients, so many for each volume, is given.
    pub(crate) fn seats(
        self,
        drive: &Drive,
        machine: &Machine,
        clients: usize,
    ) -> Result<Vec<Seat>, String> {
        let ledgers = &machine.parts.ledgers;
        let Some(joining) = self.joining() else {
            let volumes = drive.volumes().into_iter().zip(ledgers);
            let seats = volumes.flat_map(|(volume, ledger)| {
                (0..clients).map(move |_| (volume.open(), View::alone(ledger)))
            });
            return Ok(seats.collect());
        };
        let disk = disk(drive, joining)?;
        let places = (0..).map(|number| self.begins(machine, number));
        let view = View::joined(places.zip(ledgers));
        let seats = (0..clients * ledgers.len()).map(|_| Ok((open(&disk)?, view.clone())));
        seats.collect()
    }

    /// Where on the disk a volume begins.
    fn begins(self, machine: &Machine, number: u64) -> u64 {
        match self {
            Self::EachByItself => 0,
            Self::Linear => number * machine.plan.places * PLACE_BYTES,
            Self::Partitions => (1 + number) * MIB,
        }
    }

    /// What a client knows its disk by, whatever media are there: who it is, how large, and its partition table.
    pub(crate) async fn known_by(self, drive: &Drive) -> Result<Vec<u8>, String> {
        let Some(joining) = self.joining() else { return Ok(Vec::new()) };
        let disk = disk(drive, joining)?;
        let device = open(&disk)?;
        let mut known = disk.content().0.to_vec();
        known.extend(device.info().size_bytes.to_le_bytes());
        if joining == Joining::Partitions {
            let table = device.execute(Request::read(Extent::between(0, TABLE_BYTES)));
            let table = timeout(STUCK, table.answer()).await.map_err(|_| "the table hangs")?;
            let table = table.map_err(|error| format!("no table: {error}"))?;
            known.extend(&table.into_payload().into_bytes()[..]);
        }
        Ok(known)
    }
}

fn disk(drive: &Drive, joining: Joining) -> Result<JoinedDisk, String> {
    let parts = drive.volumes().into_iter().map(Part::Volume).collect();
    JoinedDisk::new("disk", joining, parts).map_err(|refusal| refusal.to_string())
}

fn open(disk: &JoinedDisk) -> Result<Arc<dyn Device>, String> {
    disk.open().map_err(|refusal| refusal.to_string())
}
