//! Lets a history happen and says what was wrong with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotbay_block::{
    Device, Durability, Error, ErrorKind, Extent, Hole, Part, Payload, Reply, Request,
};
use hotbay_drive::{
    AbsentReads, AutoInsert, Drive, Retention, State, VolumeSettings, WhenOccupied,
};
use parking_lot::Mutex;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use crate::history::{Act, Client, Deed, History, Step, UNITS};
use crate::model::{Made, Model, Stamp};
use crate::support::{Fault, Op, Process, World};

/// What a drive runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// One thread, and a clock that runs ahead.
    One,
    /// Two threads in real time.
    Two,
}

/// More than any step may take, on either clock.
const STUCK: Duration = Duration::from_secs(900);

/// Lets a history happen.
pub(crate) fn tell(
    history: &History,
    retention: Retention,
    threads: Threads,
) -> Result<(), String> {
    let mut teller = Teller::begin(history, retention, threads);
    for (number, step) in history.steps.iter().enumerate() {
        teller.step(step).map_err(|why| format!("step {number}: {why}"))?;
    }
    teller.end().map_err(|why| format!("at the end: {why}"))
}

struct Teller<'h> {
    history: &'h History,
    threads: Threads,
    world: World,
    process: Option<Process>,
    models: Vec<Model>,
    stamps: Stamp,
    swaps: usize,
    fault_of_target: Option<usize>,
}

/// What became of a client.
struct Answered {
    client: Client,
    stamp: Stamp,
    answer: Option<Result<Reply, Error>>,
}

impl<'h> Teller<'h> {
    fn begin(history: &'h History, retention: Retention, threads: Threads) -> Self {
        let size = usize::try_from(history.unit_bytes * UNITS).unwrap();
        let settings = |settings: &mut VolumeSettings| {
            settings.retention = retention;
            settings.retained_limit_bytes = if history.small_retained { 8 << 10 } else { 64 << 20 };
            settings.spill_batch_bytes = history.spill_batch_bytes;
            // In real time nobody waits for what only the next step brings.
            let one = threads == Threads::One;
            settings.absent_reads = match history.reads_wait && one {
                true => AbsentReads::Wait,
                false => AbsentReads::Error,
            };
            settings.auto_insert = match history.puts_back && one {
                true => AutoInsert::WhenItReturns,
                false => AutoInsert::Never,
            };
        };
        let world = World::empty(history.bays).with("a", size, settings).with("b", size, settings);
        for (number, disk) in (1..).zip(world.cabinet.disks()) {
            disk.set_pace(history.pace.wrapping_mul(number) | 1);
            disk.never_tear_within(size / usize::try_from(UNITS).unwrap());
        }
        let mut teller = Self {
            history,
            threads,
            world,
            process: None,
            models: (0..2).map(|_| Model::new(history.unit_bytes)).collect(),
            stamps: 0,
            swaps: 0,
            fault_of_target: None,
        };
        teller.start();
        teller
    }

    fn start(&mut self) {
        self.process = Some(match self.threads {
            Threads::One => Process::start(&self.world),
            Threads::Two => {
                let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build();
                Process::start_on(&self.world, runtime.unwrap())
            }
        });
    }

    fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        if let Deed::Kill = step.deed {
            // What a dead handle has lost is in memory alone until the loss is dealt with: a kill
            // right then is a loss of power.
            self.world.cabinet.disks().iter().for_each(|disk| disk.forget_scripts());
            self.until_no_handle_is_dead()?;
            self.until_the_journals_have_what_was_retained()?;
        }
        let answered = self.happen(step)?;
        match step.deed {
            Deed::Kill => {
                self.process.take().unwrap().kill();
                self.start();
                // Until it is synced once, nobody else has what is in the cache of the medium.
                self.until_no_replay_is_at_work()?;
            }
            Deed::Restart => {
                self.process.take().unwrap().kill();
                self.world.cabinet.disks().iter().for_each(|disk| disk.lose_unsynced());
                self.start();
            }
            _ => {}
        }
        self.compare(step, &answered.lock())?;
        self.look_again(step)
    }

    /// The clients and the deed, at the same time.
    fn happen(&mut self, step: &Step) -> Result<Arc<Mutex<Vec<Answered>>>, String> {
        let mut swap_to = None;
        if let Deed::Swap = step.deed {
            swap_to = Some(self.target());
        }
        if let Deed::FaultOfTarget { nth } = step.deed {
            self.fault_of_target = Some(nth);
        }
        let answered: Vec<Answered> = step
            .clients
            .iter()
            .map(|&client| {
                self.stamps += 1;
                let stamp = if matches!(client.act, Act::Write { .. }) { self.stamps } else { 0 };
                Answered { client, stamp, answer: None }
            })
            .collect();
        let answered = Arc::new(Mutex::new(answered));
        let (unit_bytes, world, threads) = (self.history.unit_bytes, &self.world, self.threads);
        let shared = Arc::clone(&answered);
        self.process().run(async |drive| {
            let clients = let_work(&drive, step.volume, shared, unit_bytes);
            for _ in 0..step.late {
                yield_now().await;
            }
            if let Deed::Kill = step.deed {
                clients.detach_all_at_the_kill();
                return Ok(());
            }
            let deed = timeout(STUCK, deed(world, &drive, step, swap_to, threads));
            deed.await.map_err(|_| format!("{:?} never ended", step.deed))??;
            timeout(STUCK, clients.0.join_all()).await.map_err(|_| "a client hangs".to_owned())?;
            Ok::<(), String>(())
        })?;
        Ok(answered)
    }

    /// A disk to swap to, with something else on it.
    fn target(&mut self) -> String {
        self.swaps += 1;
        let name = format!("disk-{}", self.swaps);
        let size = usize::try_from(self.history.unit_bytes * UNITS).unwrap();
        let disk = self.world.cabinet.make(&name, size);
        disk.fill(0xEE);
        disk.set_pace(self.history.pace ^ 0x5555 | 1);
        disk.never_tear_within(size / usize::try_from(UNITS).unwrap());
        if let Some(nth) = self.fault_of_target.take() {
            disk.script(Op::Change, nth, Fault::Gone);
        }
        name
    }

    fn compare(&mut self, step: &Step, answered: &[Answered]) -> Result<(), String> {
        let model = &mut self.models[step.volume];
        let mut batch = Vec::new();
        for Answered { client, stamp, answer } in answered {
            if let Some(Err(error)) = answer {
                allowed(step, client, error)?;
            }
            if matches!(client.act, Act::Write { .. } | Act::Zero | Act::Trim) {
                let acknowledged = matches!(answer, Some(Ok(_)));
                let Client { from, units, .. } = *client;
                batch.push(Made { from, units, stamp: *stamp, acknowledged });
            }
        }
        for Answered { client, answer, .. } in answered {
            if let Some(Ok(Reply::Data(payload))) = answer {
                model.check(client.from, &bytes_of(payload), &batch)?;
            }
        }
        model.made(&batch);
        Ok(())
    }

    /// Reads what was touched, and all, where that can be answered.
    fn look_again(&mut self, step: &Step) -> Result<(), String> {
        let mut ranges: Vec<(u64, u64)> =
            step.clients.iter().map(|client| (client.from, client.units)).collect();
        ranges.push((0, UNITS));
        for (from, units) in ranges {
            let answer = self.process().run(async |drive| {
                let device = drive.volumes()[step.volume].open();
                let extent = self.extent(from, units);
                timeout(STUCK, device.execute(Request::read(extent)).answer()).await
            });
            match answer.map_err(|_| "a read hangs".to_owned())? {
                Ok(reply) => {
                    let bytes = reply.into_payload().into_bytes();
                    self.models[step.volume].settle(from, &bytes)?;
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => {}
                Err(error) => return Err(format!("a read: {}", error.with_sources())),
            }
        }
        Ok(())
    }

    fn extent(&self, from: u64, units: u64) -> Extent {
        Extent::new(from * self.history.unit_bytes, units * self.history.unit_bytes).unwrap()
    }

    fn until_no_handle_is_dead(&self) -> Result<(), String> {
        let dealt_with = self.process().run(async |_| {
            timeout(STUCK, async {
                while self.world.cabinet.disks().iter().any(|disk| disk.has_dead_handle()) {
                    sleep(Duration::from_millis(10)).await;
                }
            })
            .await
        });
        dealt_with.map_err(|_| format!("a loss is not dealt with: {}", self.account()))
    }

    /// Until then a kill is a loss of power, too.
    fn until_the_journals_have_what_was_retained(&self) -> Result<(), String> {
        let in_memory = |drive: &Drive| {
            let volumes = drive.status().volumes.into_iter();
            volumes.filter(|v| v.state == State::Absent).any(|v| v.retained_bytes > 0)
        };
        let entered = self.process().run(async |drive| {
            timeout(STUCK, async {
                while in_memory(&drive) {
                    sleep(Duration::from_millis(1)).await;
                }
            })
            .await
        });
        entered.map_err(|_| format!("what was retained is not in a journal: {}", self.account()))
    }

    /// What the drive says of itself, for a message.
    fn account(&self) -> String {
        self.process().run(async |drive| {
            let events = drive.events().after(0);
            let events = events.iter().map(|event| format!("{}: {}", event.volume, event.text));
            format!("{:?} {:#?}", drive.status(), events.collect::<Vec<_>>())
        })
    }

    fn until_no_replay_is_at_work(&self) -> Result<(), String> {
        self.process().run(async |drive| {
            for volume in drive.volumes() {
                let mut states = volume.states();
                let over = states.wait_for(|state| *state != State::Replaying);
                timeout(STUCK, over).await.map_err(|_| "a replay hangs".to_owned())?.unwrap();
            }
            Ok(())
        })
    }

    /// Everything back in, and every byte compared.
    fn end(&mut self) -> Result<(), String> {
        for disk in self.world.cabinet.disks() {
            disk.forget_scripts();
            disk.plug();
        }
        // A sync that nobody waited for may just have found out.
        self.until_no_handle_is_dead()?;
        for place in 0..2 {
            let step = Step { volume: place, clients: Vec::new(), deed: Deed::Nothing, late: 0 };
            self.process().run(async |drive| bring_in(&drive, place).await)?;
            self.look_again(&step)?;
            let disk = self.process().run(async |drive| {
                let volume = &drive.volumes()[place];
                let name = volume.status().medium.unwrap_or_default();
                let ejected = drive.eject(volume.name()).await;
                ejected.map(|()| name).map_err(|refusal| format!("eject: {refusal}"))
            })?;
            let durable = self.world.disk(&disk).durable();
            self.models[place].settle(0, &durable).map_err(|why| format!("on {disk}: {why}"))?;
        }
        for disk in self.world.cabinet.disks() {
            let (opens, flushes) = (disk.double_opens(), disk.flushes_after_failure());
            if opens + flushes > 0 {
                return Err(format!(
                    "{}: opened twice {opens} times, flushed after a failure {flushes} times",
                    disk.name
                ));
            }
        }
        Ok(())
    }
}

/// Whether a client may be given this error.
fn allowed(step: &Step, client: &Client, error: &Error) -> Result<(), String> {
    let fine = match (client.act, error.kind()) {
        (Act::Read, ErrorKind::TimedOut) => true,
        (_, ErrorKind::ShuttingDown) => matches!(step.deed, Deed::Restart),
        _ => false,
    };
    match fine {
        true => Ok(()),
        false => Err(format!("{client:?} was answered: {}", error.with_sources())),
    }
}

struct Clients(JoinSet<()>);

impl Clients {
    /// They go on until the process is killed.
    fn detach_all_at_the_kill(mut self) {
        self.0.detach_all();
    }
}

fn let_work(
    drive: &Drive,
    volume: usize,
    answered: Arc<Mutex<Vec<Answered>>>,
    unit_bytes: u64,
) -> Clients {
    let mut clients = JoinSet::new();
    let device = drive.volumes()[volume].open();
    let count = answered.lock().len();
    for place in 0..count {
        let (device, answered) = (Arc::clone(&device), Arc::clone(&answered));
        clients.spawn(async move {
            let (client, stamp) = {
                let answered = answered.lock();
                (answered[place].client, answered[place].stamp)
            };
            for _ in 0..client.late {
                yield_now().await;
            }
            let answer = device.execute(request(client, stamp, unit_bytes)).answer().await;
            answered.lock()[place].answer = Some(answer);
        });
    }
    Clients(clients)
}

fn request(client: Client, stamp: Stamp, unit_bytes: u64) -> Request {
    let Client { act, from, units, .. } = client;
    let extent = Extent::new(from * unit_bytes, units * unit_bytes).unwrap();
    let durability = Durability::Deferred;
    match act {
        Act::Write { stable } => {
            let data = Bytes::from(Model::payload(stamp, from, units, unit_bytes));
            let durability = if stable { Durability::Stable } else { durability };
            Request::Write { extent, data, durability }
        }
        Act::Zero => Request::zero(extent, Hole::Allowed, durability),
        Act::Trim => Request::Trim { extent, durability },
        Act::Flush => Request::Flush,
        Act::Read => Request::read(extent),
    }
}

/// A refusal is an answer too: what counts is that no data is lost by it.
async fn deed(
    world: &World,
    drive: &Drive,
    step: &Step,
    swap_to: Option<String>,
    threads: Threads,
) -> Result<(), String> {
    let volume = &drive.volumes()[step.volume];
    let name = volume.name();
    let medium = volume.status().medium.unwrap_or_default();
    let disk = world.disk(&medium);
    match step.deed {
        Deed::Nothing | Deed::FaultOfTarget { .. } | Deed::Kill => {}
        Deed::Eject => drop(drive.eject(name).await),
        Deed::Pull => {
            if drive.pull(name).await.is_ok() {
                // The volume may have been switched to another disk before it was pulled.
                let pulled = volume.status().medium.unwrap_or_default();
                world.disk(&pulled).yank();
            }
        }
        Deed::Yank => {
            disk.yank();
            if threads == Threads::Two {
                drop(drive.pull(name).await);
            }
        }
        Deed::Plug => disk.plug(),
        Deed::Insert { replace } => {
            disk.plug();
            let when = if replace { WhenOccupied::Replace } else { WhenOccupied::Refuse };
            drop(drive.insert(name, None, when).await);
        }
        Deed::Swap => {
            if drive.swap(name, &swap_to.unwrap_or_default()).await.is_ok() {
                disk.fill(0xDD);
            }
        }
        Deed::Fault { op, nth, torn } => {
            disk.script(op, nth, if torn { Fault::GoneTorn } else { Fault::Gone });
        }
        Deed::FailFlush { nth } => disk.script(Op::Flush, nth, Fault::Error),
        Deed::Restart => drive.stop().await.map_err(|refusal| format!("stop: {refusal}"))?,
    }
    Ok(())
}

async fn bring_in(drive: &Drive, place: usize) -> Result<(), String> {
    let volume = &drive.volumes()[place];
    let mut last = String::new();
    for _ in 0..100 {
        match volume.state() {
            State::Present => return Ok(()),
            State::Failed => return Err(format!("it has failed: {:?}", volume.status().last_loss)),
            State::Conflict => return Err(format!("in conflict: {:?}", volume.status().conflict)),
            State::Absent => {
                let inserted = drive.insert(volume.name(), None, WhenOccupied::Replace);
                match timeout(STUCK, inserted).await {
                    Ok(Ok(())) => {}
                    Ok(Err(refusal)) => {
                        // The watch may be at it already.
                        last = refusal.to_string();
                        sleep(Duration::from_millis(20)).await;
                    }
                    Err(_) => return Err("the insert hangs".to_owned()),
                }
            }
            State::Replaying | State::Copying => sleep(Duration::from_millis(20)).await,
        }
    }
    Err(format!("it stays {}: {last}", volume.state()))
}

fn bytes_of(payload: &Payload) -> Vec<u8> {
    let pieces = payload.parts().map(|part| match part {
        Part::Data(data) => data.to_vec(),
        Part::Zeroes(count) => vec![0; *count],
        Part::Lent(_) => unreachable!("no pipe was offered"),
    });
    pieces.collect::<Vec<_>>().concat()
}
