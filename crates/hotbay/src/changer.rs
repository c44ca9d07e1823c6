//! A changer: a command of the operator's that loads media into bays, where there are fewer of these than volumes.
//!
//! A volume whose requests wait for its medium gets its turn (`hotbay_drive::Turns`). The medium that has to make room is ejected first: drained,
//! synced, let go. There is one arm: one exchange at a time, each command bounded. What fails is an event, and tried again later, behind
//! the others; no request waits for longer than it does without a changer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hotbay_drive::{
    Drive, Exchange, Refusal, State, Turn, TurnPolicy, Turns, VolumeStatus, WhenOccupied,
};
use hotbay_media::{MediumSpec, Shelf};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::bounded_command::{self, Ended};
use crate::config::ChangerConfig;

/// How often the drive is looked at, where no event comes.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long a volume whose medium could not be loaded waits until it is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// How long a medium that was loaded may take to be put in by the volume itself, which looks for it as well.
const PUT_IN_WAIT: Duration = Duration::from_secs(5);

/// What the changer is told besides what to do.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) drive: Arc<Drive>,
    pub(crate) shelf: Arc<Shelf>,
    /// The control socket, by which the command can ask the daemon for more.
    pub(crate) control: PathBuf,
}

/// Loads media for whoever waits, until the future is dropped. A command that runs then is killed.
pub(crate) async fn run(config: ChangerConfig, around: Surroundings) {
    let policy = TurnPolicy::FirstCome { minimum_stay: config.minimum_stay };
    let turns = Turns::new(policy, around.drive.status().bays);
    let mut changer = Changer { config, around, turns, began: Instant::now() };
    changer.look_where_media_lie();
    let mut events = changer.around.drive.events().follow(0);
    loop {
        changer.look_who_waits();
        match changer.turns.next(changer.began.elapsed()) {
            Turn::Exchange(exchange) => changer.carry_out(exchange).await,
            Turn::NotBefore(_) | Turn::Nobody => _ = timeout(LOOK_EVERY, events.next()).await,
        }
    }
}

struct Changer {
    config: ChangerConfig,
    around: Surroundings,
    turns: Turns,
    began: Instant,
}

impl Changer {
    /// At the start: media that are in, then those that can be found though they are not in.
    fn look_where_media_lie(&mut self) {
        let status = self.around.drive.status();
        for volume in status.volumes.iter().filter(|volume| volume.bay.is_some()) {
            self.turns.lies_in(volume.bay.unwrap_or_default(), &volume.name, Duration::ZERO);
        }
        let away = status.volumes.iter().filter(|volume| volume.bay.is_none());
        let mut lying: Vec<&VolumeStatus> =
            away.filter(|volume| self.is_there(volume.medium.as_deref(), &volume.name)).collect();
        for bay in 0..status.bays {
            if !status.volumes.iter().any(|volume| volume.bay == Some(bay))
                && let Some(volume) = lying.pop()
            {
                self.turns.lies_in(bay, &volume.name, Duration::ZERO);
            }
        }
    }

    fn look_who_waits(&mut self) {
        for volume in self.around.drive.status().volumes {
            let is_away = volume.state == State::Absent;
            match is_away && volume.waiting_for_medium {
                true => self.turns.waits(&volume.name),
                false => self.turns.waits_no_more(&volume.name),
            }
            match (volume.bay, self.turns.bay_of(&volume.name)) {
                (None, Some(_)) if is_away => self.turns.may_go(&volume.name),
                // Somebody has put it in by hand.
                (Some(bay), None) => {
                    self.turns.lies_in(bay, &volume.name, self.began.elapsed());
                }
                _ => {}
            }
        }
    }

    fn is_there(&self, medium: Option<&str>, volume: &str) -> bool {
        let spec = medium.and_then(|medium| medium.parse::<MediumSpec>().ok());
        spec.is_some_and(|spec| self.around.shelf.contains(&spec, volume))
    }

    async fn carry_out(&mut self, exchange: Exchange) {
        let load = exchange.load.clone();
        if let Err(why) = self.exchange(exchange).await {
            self.around.drive.tell_bay_command_failed(&load, &why);
            self.turns.failed(&load, self.began.elapsed() + RETRY_PAUSE);
        }
    }

    async fn exchange(&mut self, exchange: Exchange) -> Result<(), String> {
        let Exchange { bay, unload, load } = exchange;
        if let Some(leaving) = unload {
            self.let_go(&leaving).await?;
            self.command("unload", bay, &leaving).await?;
            self.turns.is_empty(bay);
        }
        let lies_there = self.turns.bay_of(&load).is_some();
        if !(lies_there && self.is_there(self.medium_of(&load).as_deref(), &load)) {
            self.command("load", bay, &load).await?;
        }
        self.turns.lies_in(bay, &load, self.began.elapsed());
        self.put_in(&load).await.map_err(|refusal| refusal.to_string())
    }

    /// Ejects a medium, where the drive has it and the volume is still there.
    async fn let_go(&self, volume: &str) -> Result<(), String> {
        match self.around.drive.volume(volume) {
            Ok(volume) if volume.status().bay.is_some() => {}
            _ => return Ok(()),
        }
        self.around.drive.eject(volume).await.map_err(|refusal| refusal.to_string())
    }

    /// Puts a medium in that was loaded. Its replay goes on beside this.
    async fn put_in(&self, name: &str) -> Result<(), Refusal> {
        let volume = self.around.drive.volume(name)?;
        let (mut states, mut later) = (volume.states(), volume.states());
        let inserting = self.around.drive.insert(name, None, WhenOccupied::Refuse);
        let inserted = tokio::select! {
            biased;
            _ = states.wait_for(|state| *state != State::Absent) => return Ok(()),
            inserted = inserting => inserted,
        };
        let Err(refusal) = inserted else { return Ok(()) };
        // The volume itself has found it, and is about to put it in.
        let is_in = later.wait_for(|state| *state != State::Absent);
        match timeout(PUT_IN_WAIT, is_in).await {
            Ok(_) => Ok(()),
            Err(_) => Err(refusal),
        }
    }

    fn medium_of(&self, volume: &str) -> Option<String> {
        self.around.drive.volume(volume).ok()?.status().medium
    }

    /// Runs the operator's command, which is told what to do in its arguments and its environment.
    async fn command(&self, action: &str, bay: usize, volume: &str) -> Result<(), String> {
        let number = (bay + 1).to_string();
        let medium = self.medium_of(volume).unwrap_or_default();
        let mut command = Command::new(self.config.program());
        command
            .args(self.config.arguments())
            .args([action, &number, volume, &medium])
            .env("HOTBAY_ACTION", action)
            .env("HOTBAY_BAY", &number)
            .env("HOTBAY_VOLUME", volume)
            .env("HOTBAY_MEDIUM", &medium)
            .env("HOTBAY_DRIVE", self.around.drive.name())
            .env("HOTBAY_CONTROL", &self.around.control);
        let program = self.config.program();
        match bounded_command::run(command, self.config.timeout).await {
            Ended::By(status) if status.success() => Ok(()),
            Ended::By(status) => {
                Err(format!("'{program} {action} {number} {volume}' ended with {status}"))
            }
            Ended::TookTooLong => Err(format!(
                "'{program} {action} {number} {volume}' took more than {:?}, and was killed",
                self.config.timeout
            )),
            Ended::Failed(error) => Err(format!("{program} cannot be run: {error}")),
        }
    }
}
