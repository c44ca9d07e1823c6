//! What happens to a volume while every step is kept.

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{Durability, Extent};
use hotbay_drive::{Drive, WhenOccupied};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::machine::{Client, Fault, Habits, Machine, Op, PLACE_BYTES, Plan, STUCK, View};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scene {
    ClientsAlone,
    Spill,
    Replay,
    RemovalInReplay,
    Reclaim,
    Swap,
    FailedSync,
    EjectAndRestart,
    TwoVolumes,
}

/// Clients that rest little and flush often.
const HABITS: Habits =
    Habits { longest: 6, rest: Duration::from_millis(3), flushes: 6, excuses: &[] };

impl Scene {
    /// The name of its test.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ClientsAlone => "clients_alone",
            Self::Spill => "a_spill_of_what_was_retained",
            Self::Replay => "a_replay",
            Self::RemovalInReplay => "a_removal_in_a_replay",
            Self::Reclaim => "a_gain_of_space",
            Self::Swap => "a_swap",
            Self::FailedSync => "a_sync_that_fails",
            Self::EjectAndRestart => "an_eject_and_a_restart",
            Self::TwoVolumes => "two_volumes_in_one_bay",
        }
    }

    pub(crate) fn plan(self) -> Plan {
        match self {
            Self::TwoVolumes => Plan { volumes: 2, ..Plan::default() },
            // So large that a journal is filled by few records.
            Self::Reclaim => Plan { places: 256, ..Plan::default() },
            _ => Plan::default(),
        }
    }

    /// Lets it happen; what comes after the tape is armed is swept.
    pub(crate) async fn play(self, stage: &mut Stage) -> Result<(), String> {
        match self {
            Self::ClientsAlone => {
                stage.arm();
                stage.beside_clients(16, |_| async { Ok(()) }).await
            }
            Self::Spill => {
                stage.one_client(12, 0).await?;
                stage.arm();
                stage.beside_clients(8, pull).await
            }
            Self::Replay => {
                stage.leave_something_to_replay().await?;
                stage.arm();
                stage.beside_clients(6, insert).await
            }
            Self::RemovalInReplay => {
                stage.leave_something_to_replay().await?;
                stage.arm();
                let disk = stage.machine.disk("disk-0");
                disk.script(Op::Change, stage.machine.chance.place_below(3), Fault::Gone);
                stage.beside_clients(6, insert_in_vain).await?;
                disk.calm();
                disk.plug();
                stage.beside_clients(4, insert).await
            }
            Self::Reclaim => stage.gain_space().await,
            Self::Swap => {
                stage.machine.add_disk("other", 0xEE);
                stage.one_client(8, 0).await?;
                stage.arm();
                stage.beside_clients(8, swap).await
            }
            Self::FailedSync => {
                stage.one_client(8, 0).await?;
                stage.arm();
                stage.machine.disk("disk-0").script(Op::Flush, 0, Fault::Error);
                stage.beside_clients(10, |_| async { Ok(()) }).await?;
                stage.beside_clients(4, insert).await
            }
            Self::EjectAndRestart => {
                stage.arm();
                stage.beside_clients(6, eject).await?;
                stage.beside_clients(4, insert).await?;
                let stopped = stage.drive.stop().await;
                stopped.map_err(|refusal| format!("stop: {refusal}"))
            }
            Self::TwoVolumes => {
                stage.arm();
                stage.beside_clients(3, |_| async { Ok(()) }).await?;
                stage.beside_clients(4, replace).await
            }
        }
    }
}

pub(crate) struct Stage {
    pub(crate) drive: Arc<Drive>,
    pub(crate) machine: Machine,
}

impl Stage {
    fn arm(&self) {
        self.machine.tape.arm();
    }

    fn client(&mut self, number: usize) -> Client {
        Client {
            device: self.drive.volumes()[number].open(),
            view: View::alone(&self.machine.parts.ledgers[number]),
            chance: self.machine.chance.fork(),
            habits: HABITS,
            tape: self.machine.tape.clone(),
        }
    }

    /// One client, which flushes at the end or every so many requests.
    async fn one_client(&mut self, requests: usize, flushes: u64) -> Result<(), String> {
        let mut client = self.client(0);
        client.habits.flushes = flushes;
        client.work_off(requests).await
    }

    /// Something is done while two clients of each volume are at work.
    async fn beside_clients<F: Future<Output = Result<(), String>>>(
        &mut self,
        requests: usize,
        deed: impl FnOnce(Arc<Drive>) -> F,
    ) -> Result<(), String> {
        let mut clients = JoinSet::new();
        for number in (0..self.machine.plan.volumes).chain(0..self.machine.plan.volumes) {
            let mut client = self.client(number);
            clients.spawn(async move { client.work_off(requests).await });
        }
        let deed = timeout(STUCK, deed(Arc::clone(&self.drive))).await;
        deed.map_err(|_| "it hangs".to_owned())??;
        while let Some(done) = clients.join_next().await {
            done.map_err(|error| error.to_string())??;
        }
        Ok(())
    }

    async fn leave_something_to_replay(&mut self) -> Result<(), String> {
        self.one_client(6, 0).await?;
        pull(Arc::clone(&self.drive)).await?;
        self.one_client(8, 4).await
    }

    /// Overwrites the same places until the journal must gain space, and sweeps over that.
    async fn gain_space(&mut self) -> Result<(), String> {
        self.one_client(4, 2).await?;
        pull(Arc::clone(&self.drive)).await?;
        let mut client = self.client(0);
        let all = Extent::between(0, self.machine.plan.places * PLACE_BYTES);
        // Something stays live in the first segment, and has to be moved.
        client.write(Extent::between(0, 4 * PLACE_BYTES), Durability::Deferred).await?;
        let rest = Extent::between(4 * PLACE_BYTES, all.end());
        let volume = Arc::clone(&self.drive.volumes()[0]);
        let mut before = 0;
        loop {
            client.write(rest, Durability::Deferred).await?;
            let now = volume.status().journal.disk_bytes;
            if now < before {
                break;
            }
            if now > 12 << 20 {
                client.flush().await?;
                self.arm();
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.one_client(3, 2).await
    }
}

async fn pull(drive: Arc<Drive>) -> Result<(), String> {
    drive.pull("v0").await.map_err(|refusal| format!("pull: {refusal}"))
}

async fn insert(drive: Arc<Drive>) -> Result<(), String> {
    let inserted = drive.insert("v0", None, WhenOccupied::Refuse).await;
    inserted.map_err(|refusal| format!("insert: {refusal}"))
}

async fn insert_in_vain(drive: Arc<Drive>) -> Result<(), String> {
    match insert(drive).await {
        Ok(()) => Err("the disk was to go in the replay".to_owned()),
        Err(_) => Ok(()),
    }
}

async fn eject(drive: Arc<Drive>) -> Result<(), String> {
    drive.eject("v0").await.map_err(|refusal| format!("eject: {refusal}"))
}

async fn swap(drive: Arc<Drive>) -> Result<(), String> {
    drive.swap("v0", "other").await.map_err(|refusal| format!("swap: {refusal}"))
}

async fn replace(drive: Arc<Drive>) -> Result<(), String> {
    let replaced = drive.insert("v1", None, WhenOccupied::Replace).await;
    replaced.map_err(|refusal| format!("insert --replace: {refusal}"))
}
