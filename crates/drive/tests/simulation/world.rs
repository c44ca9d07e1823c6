//! One world from its seed to its end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hotbay_drive::{Drive, Retention, State};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::customs::Customs;
use crate::decision::{After, Decided};
use crate::elsewhere::Elsewhere;
use crate::machine::parts::spare_name;
use crate::machine::{Chance, Client, Life, Machine, STUCK, Survives};
use crate::nature::Nature;
use crate::operator::Operator;

/// A life is over after so many steps at the latest.
const LIFE_STEPS: u64 = 1500;

/// What has happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) worlds: u64,
    /// Of them, those whose volumes were one disk.
    pub(crate) joined: u64,
    pub(crate) steps: u64,
    pub(crate) virtual_time: Duration,
    pub(crate) kills: u64,
    pub(crate) kills_that_lose_nothing: u64,
    pub(crate) stops: u64,
    pub(crate) cuts: u64,
    pub(crate) cuts_in_recovery: u64,
    pub(crate) failed_journals: u64,
    pub(crate) changed_elsewhere: u64,
    pub(crate) older_copies: u64,
    pub(crate) put_right: u64,
    pub(crate) decided: Decided,
    /// All steps in one number, of one world.
    pub(crate) mixed: u64,
}

impl Told {
    pub(crate) fn add(&mut self, other: &Self) {
        self.worlds += other.worlds;
        self.joined += other.joined;
        self.steps += other.steps;
        self.virtual_time += other.virtual_time;
        self.kills += other.kills;
        self.kills_that_lose_nothing += other.kills_that_lose_nothing;
        self.stops += other.stops;
        self.cuts += other.cuts;
        self.cuts_in_recovery += other.cuts_in_recovery;
        self.failed_journals += other.failed_journals;
        self.changed_elsewhere += other.changed_elsewhere;
        self.older_copies += other.older_copies;
        self.put_right += other.put_right;
        self.decided.add(&other.decided);
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} worlds ({} of one disk), {} steps, {} s of their time; {} kills ({} with nothing to lose), {} stops, {} power cuts, \
             {} more in recovery, {} failed journals; {} media changed elsewhere, {} of them by an older copy: {} put \
             right, {}",
            self.worlds,
            self.joined,
            self.steps,
            self.virtual_time.as_secs(),
            self.kills,
            self.kills_that_lose_nothing,
            self.stops,
            self.cuts,
            self.cuts_in_recovery,
            self.failed_journals,
            self.changed_elsewhere,
            self.older_copies,
            self.put_right,
            self.decided
        )
    }
}

/// How a daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Kill,
    Stop,
    Cut,
}

/// What a start leaves undecided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// Some of the volumes whose media were changed.
    Conflicts,
    Nothing,
}

pub(crate) struct World {
    machine: Machine,
    customs: Customs,
    chance: Chance,
    nature: Nature,
    /// What clients knew the disk of all volumes by, when they saw it first.
    known_by: Option<Vec<u8>>,
    told: Told,
}

impl World {
    pub(crate) fn new(seed: u64, retention: Retention) -> Self {
        let mut chance = Chance::new(seed);
        let customs = Customs::chosen(&mut chance, retention);
        let mut machine = Machine::new(customs.plan.clone(), chance.fork());
        for number in 0..customs.plan.volumes {
            machine.add_disk(&spare_name(number), 0xEE);
        }
        let nature = Nature {
            machine: machine.clone(),
            customs: customs.clone(),
            chance: chance.fork(),
            off_shelf: Vec::new(),
            elsewhere: Elsewhere::default(),
            a_journal_fails: false,
        };
        Self { machine, customs, chance, nature, known_by: None, told: Told::default() }
    }

    /// Lives through all of it, and looks at everything at the end.
    pub(crate) fn run(mut self) -> Result<Told, String> {
        for number in 0..self.customs.lives {
            self.life().map_err(|why| format!("life {number}: {why}"))?;
        }
        let life = self.boot(Left::Nothing)?;
        self.mend_disks(true);
        life.settle_all(&self.machine).map_err(|why| self.explain(&life, &why))?;
        if let Some(wrong) = self.machine.tape.wrong() {
            return Err(wrong);
        }
        self.told.worlds = 1;
        self.told.joined = u64::from(self.customs.reach.is_one_disk());
        (self.told.steps, self.told.mixed) = (self.machine.tape.steps(), self.machine.tape.mixed());
        let elsewhere = &self.nature.elsewhere;
        self.told.changed_elsewhere = elsewhere.changes;
        self.told.older_copies = elsewhere.older_copies;
        self.told.put_right = elsewhere.put_right;
        Ok(self.told)
    }

    fn life(&mut self) -> Result<(), String> {
        let life = self.boot(Left::Conflicts)?;
        self.nature.a_journal_fails = false;
        for (_, disk) in self.machine.parts.shelf.disks() {
            disk.set_mood(self.nature.elsewhere.mood_of(&disk, self.customs.mood));
        }
        let length = Duration::from_millis(200) + self.chance.up_to(self.customs.rest * 20);
        let lived = life.run(async |drive| self.let_live(drive, length).await);
        lived.map_err(|why| self.explain(&life, &why))?;
        self.end(life)
    }

    /// Everybody at work for so long, or until a journal has failed.
    async fn let_live(&mut self, drive: Arc<Drive>, length: Duration) -> Result<(), String> {
        self.is_known(&drive).await?;
        let (began, enough) = (Instant::now(), self.machine.tape.steps() + LIFE_STEPS);
        let mut clients = self.clients(&drive)?;
        let operator = Operator {
            machine: self.machine.clone(),
            drive: Arc::clone(&drive),
            customs: self.customs.clone(),
            chance: self.chance.fork(),
        };
        let lived = tokio::select! {
            biased;
            Some(wrong) = clients.join_next() => Err(wrong.unwrap_or_else(|error| error.to_string())),
            wrong = operator.work() => Err(wrong),
            () = self.nature.work() => Ok(()),
            () = until_one_fails(&drive) => self.is_excused(&drive),
            () = sleep(length) => Ok(()),
            () = self.machine.tape.until(enough) => Ok(()),
        };
        self.told.virtual_time += began.elapsed();
        for event in drive.events().after(0) {
            self.machine.tape.mix(format!("{}: {}", event.volume, event.text).as_bytes());
        }
        // They go on until the daemon ends.
        clients.detach_all();
        lived.and_then(|()| self.nature.elsewhere.check(&self.machine))
    }

    fn clients(&mut self, drive: &Drive) -> Result<JoinSet<String>, String> {
        let mut clients = JoinSet::new();
        let seats = self.customs.reach.seats(drive, &self.machine, self.customs.clients)?;
        for (device, view) in seats {
            let (chance, habits) = (self.chance.fork(), self.customs.habits);
            let tape = self.machine.tape.clone();
            clients.spawn(Client { device, view, chance, habits, tape }.work());
        }
        Ok(clients)
    }

    /// It is the same disk after each start.
    async fn is_known(&mut self, drive: &Drive) -> Result<(), String> {
        let known_by = self.customs.reach.known_by(drive).await?;
        match *self.known_by.get_or_insert_with(|| known_by.clone()) == known_by {
            true => Ok(()),
            false => Err("the disk of all volumes is another one than before".to_owned()),
        }
    }

    fn is_excused(&mut self, drive: &Drive) -> Result<(), String> {
        self.told.failed_journals += 1;
        let failed = drive.volumes().into_iter().find(|volume| volume.state() == State::Failed);
        let why = failed.and_then(|volume| volume.status().last_loss);
        match self.customs.journal_fails > 0 {
            true => Ok(()),
            false => Err(format!("a volume has failed: {why:?}")),
        }
    }

    fn end(&mut self, life: Life) -> Result<(), String> {
        let survives = match self.chance.pick(&[End::Kill, End::Stop, End::Cut]) {
            End::Kill => self.kill(life),
            End::Stop => self.stop(life)?,
            End::Cut => {
                self.told.cuts += 1;
                life.kill();
                self.machine.cut_power();
                Survives::WhatWasFlushed
            }
        };
        self.outlive(survives);
        Ok(())
    }

    /// A kill while a loss is being dealt with is a loss of power: what a dead handle has lost is in memory alone.
    fn kill(&mut self, life: Life) -> Survives {
        self.told.kills += 1;
        if self.chance.one_in(2) {
            self.tear_one_out(&life);
        }
        let loses_nothing = life.run(async |drive| self.loses_nothing_now(&drive));
        life.kill();
        if loses_nothing {
            self.told.kills_that_lose_nothing += 1;
            return Survives::Everything;
        }
        self.machine.cut_power();
        Survives::WhatWasFlushed
    }

    /// A medium in use goes, so that the kill comes while that is being dealt with, or soon after.
    fn tear_one_out(&mut self, life: &Life) {
        let disks = self.machine.parts.shelf.disks();
        if let Some((_, disk)) = disks.iter().find(|(_, disk)| disk.is_in_use()) {
            disk.yank();
            let moment = Duration::from_millis(self.chance.pick(&[0, 1, 5, 40]));
            life.run(async |_| sleep(moment).await);
        }
    }

    /// A sync of a journal that fails marks clean what no platter has; for a while the volume may not have failed yet.
    fn loses_nothing_now(&self, drive: &Drive) -> bool {
        !self.nature.a_journal_fails
            && drive.volumes().iter().all(|volume| {
                let status = volume.status();
                let disk = self.machine.disk(&status.medium.unwrap_or_default());
                match status.state {
                    State::Absent | State::Conflict => status.retained_bytes == 0,
                    State::Failed => false,
                    State::Present | State::Replaying | State::Copying => disk.is_in_use(),
                }
            })
    }

    /// Whatever is acknowledged when a stop succeeds survives a loss of power.
    fn stop(&mut self, life: Life) -> Result<Survives, String> {
        self.told.stops += 1;
        let stopped = life.run(async |drive| timeout(STUCK, drive.stop()).await);
        let stopped = stopped.map_err(|_| self.explain(&life, "a stop hangs"))?;
        life.kill();
        self.machine.cut_power();
        Ok(match stopped {
            Ok(()) => Survives::Everything,
            Err(_) => Survives::WhatWasFlushed,
        })
    }

    fn outlive(&self, survives: Survives) {
        self.machine.mend_journals();
        for ledger in &self.machine.parts.ledgers {
            ledger.lock().end_of_daemon(survives);
        }
    }

    /// Starts a daemon in peace; but its power may be cut, too.
    fn boot(&mut self, left: Left) -> Result<Life, String> {
        loop {
            let is_first = self.machine.parts.records.all().is_empty();
            self.mend_disks(is_first);
            let life = Life::begin(&self.machine, self.chance.fork(), self.customs.work)?;
            if !is_first && self.chance.one_in(4) {
                let moment = self.chance.up_to(Duration::from_millis(20));
                life.run(async |_| sleep(moment).await);
                life.kill();
                self.machine.cut_power();
                self.outlive(Survives::WhatWasFlushed);
                self.told.cuts_in_recovery += 1;
                continue;
            }
            let decided = life.until_replayed().and_then(|()| {
                let (elsewhere, all) = (&mut self.nature.elsewhere, left == Left::Nothing);
                let decided = &mut self.told.decided;
                decided.decide(&life, &self.machine, elsewhere, &mut self.chance, all)
            });
            if let After::Cut(deciding) = decided.map_err(|why| self.explain(&life, &why))? {
                life.kill();
                self.machine.cut_power();
                self.outlive(Survives::WhatWasFlushed);
                let elsewhere = &mut self.nature.elsewhere;
                self.told.decided.judge(&self.machine, elsewhere, &deciding);
                continue;
            }
            let looked = life.until_replayed().and_then(|()| {
                (0..self.customs.plan.volumes).try_for_each(|n| life.read_all(&self.machine, n))
            });
            looked.map_err(|why| self.explain(&life, &why))?;
            return Ok(life);
        }
    }

    /// Nothing hangs any more, and nobody's disk is in the place of another. A disk that is away may stay away.
    fn mend_disks(&mut self, plugs_all: bool) {
        while !self.nature.off_shelf.is_empty() {
            self.nature.put_back();
        }
        for (_, disk) in self.machine.parts.shelf.disks() {
            disk.calm();
            if plugs_all || !self.chance.one_in(4) {
                disk.plug();
            }
        }
    }

    fn explain(&self, life: &Life, why: &str) -> String {
        format!("{why}\n{:#?}\n{}", self.customs, life.account())
    }
}

async fn until_one_fails(drive: &Drive) {
    loop {
        sleep(Duration::from_millis(50)).await;
        if drive.volumes().iter().any(|volume| volume.state() == State::Failed) {
            return;
        }
    }
}
