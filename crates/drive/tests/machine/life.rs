//! One life of a daemon: a drive on a runtime of one thread, whose clock runs ahead whenever everybody waits.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use hotbay_block::{Device, ErrorKind, Extent, Request};
use hotbay_drive::testing::pace_waiting_work;
use hotbay_drive::{Drive, State, Volume, WhenOccupied};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use super::chance::Chance;
use super::parts::{Machine, volume_name};
use super::{PLACE_BYTES, STUCK};

pub struct Life {
    pub drive: Arc<Drive>,
    runtime: Runtime,
}

impl Life {
    /// Starts a drive. What its threads would do takes up to `most`, mostly nothing.
    pub fn begin(machine: &Machine, chance: Chance, most: Duration) -> Result<Self, String> {
        let mut pace = chance;
        pace_waiting_work(move || match pace.one_in(3) {
            true => pace.up_to(most),
            false => Duration::ZERO,
        });
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let started = runtime.block_on(async { timeout(STUCK, machine.start()).await });
        let started = started.map_err(|_| "the start hangs".to_owned())?;
        let drive = started.map_err(|refusal| format!("the start is refused: {refusal}"))?;
        Ok(Self { drive: Arc::new(drive), runtime })
    }

    pub fn run<T>(&self, work: impl AsyncFnOnce(Arc<Drive>) -> T) -> T {
        self.runtime.block_on(work(Arc::clone(&self.drive)))
    }

    /// Ends it as `kill -9` does: nothing is told, nothing is finished.
    pub fn kill(self) {
        drop(self.runtime);
        drop(self.drive);
    }

    /// Until no volume is being replayed.
    pub fn until_replayed(&self) -> Result<(), String> {
        self.run(async |drive| {
            for volume in drive.volumes() {
                let mut states = volume.states();
                let over = states.wait_for(|state| *state != State::Replaying);
                timeout(STUCK, over).await.map_err(|_| "a replay hangs".to_owned())?.unwrap();
            }
            Ok(())
        })
    }

    /// Reads all that a volume can give now, place by place where it cannot give all, and compares it with the ledger.
    pub fn read_all(&self, machine: &Machine, number: usize) -> Result<(), String> {
        self.run(async |drive| {
            let device = drive.volumes()[number].open();
            let all = machine.plan.places * PLACE_BYTES;
            if !read(machine, number, &device, Extent::between(0, all)).await? {
                // All at once: each may have to wait for the medium as long as requests do.
                let places = Extent::between(0, all).pieces(PLACE_BYTES);
                try_join_all(places.map(|place| read(machine, number, &device, place))).await?;
            }
            Ok(())
        })
    }

    /// Puts a volume's medium in, and waits until it is present.
    pub fn bring_in(&self, number: usize) -> Result<(), String> {
        self.run(async |drive| bring_in(&drive.volumes()[number], &drive).await)
    }

    /// Ejects a volume and compares what is on the platter with the ledger.
    pub fn compare_platter(&self, machine: &Machine, number: usize) -> Result<(), String> {
        let name = volume_name(number);
        let medium = self.drive.volumes()[number].status().medium.unwrap_or_default();
        let ejected = self.run(async |drive| timeout(STUCK, drive.eject(&name)).await);
        let ejected = ejected.map_err(|_| "an eject hangs".to_owned())?;
        ejected.map_err(|refusal| format!("an eject is refused: {refusal}"))?;
        let platter = machine.disk(&medium).platter();
        let mut ledger = machine.parts.ledgers[number].lock();
        let all = Extent::between(0, machine.plan.places * PLACE_BYTES);
        let begun = ledger.begin_read();
        let compared = ledger.end_read(begun, all, platter.durable());
        compared.map_err(|why| format!("on {medium} after the eject: {why}"))
    }

    /// Everything back in, everything read, and every platter compared.
    pub fn settle_all(&self, machine: &Machine) -> Result<(), String> {
        for number in 0..machine.plan.volumes {
            self.bring_in(number)?;
            self.read_all(machine, number)?;
            self.compare_platter(machine, number)?;
        }
        for (name, disk) in machine.parts.shelf.disks() {
            if let Some(wrong) = disk.take_wrongs().first() {
                return Err(format!("{name}: {wrong}"));
            }
        }
        Ok(())
    }

    /// What the drive says of itself, for a message.
    pub fn account(&self) -> String {
        let events = self.drive.events().after(0);
        let last = events.iter().rev().take(30).rev();
        let lines: Vec<_> =
            last.map(|event| format!("  {}: {}", event.volume, event.text)).collect();
        format!("{:#?}\n{}", self.drive.status().volumes, lines.join("\n"))
    }
}

/// False where it cannot be answered now.
async fn read(
    machine: &Machine,
    number: usize,
    device: &Arc<dyn Device>,
    extent: Extent,
) -> Result<bool, String> {
    let ledger = &machine.parts.ledgers[number];
    let begun = ledger.lock().begin_read();
    let answer = timeout(STUCK, device.execute(Request::read(extent)).answer()).await;
    match answer.map_err(|_| "a read hangs".to_owned())? {
        Ok(reply) => {
            let bytes = reply.into_payload().into_bytes();
            ledger.lock().end_read(begun, extent, &bytes)?;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            ledger.lock().give_up_read(begun);
            Ok(false)
        }
        Err(error) => Err(format!("a read of {extent}: {}", error.with_sources())),
    }
}

async fn bring_in(volume: &Arc<Volume>, drive: &Drive) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..200 {
        match volume.state() {
            State::Present => return Ok(()),
            State::Failed => return Err(format!("it has failed: {:?}", volume.status().last_loss)),
            State::Conflict => return Err(format!("in conflict: {:?}", volume.status().conflict)),
            State::Absent => {
                let inserted = drive.insert(volume.name(), None, WhenOccupied::Replace);
                match timeout(STUCK, inserted).await {
                    Ok(Ok(())) => {}
                    Ok(Err(refusal)) => last = refusal.to_string(),
                    Err(_) => return Err("an insert hangs".to_owned()),
                }
            }
            State::Replaying | State::Copying => {}
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err(format!("it stays {}: {last}", volume.state()))
}
