//! One run of a scenario, from its beginning to its verdict.

use std::path::PathBuf;
use std::time::Duration;

use hotbay_drive::WhenOccupied;
use hotbay_media::FaultSpec;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

use super::disk::{Disk, Turns};
use super::file::{LoadTable, Scenario};
use super::stage::{Returns, Stage, VOLUME};
use super::{load, steps};
use crate::config::format_duration;
use crate::control::State;
use crate::failure::Failure;

/// How long the medium may take to be in, and to have everything, once the load and the steps have ended.
const PRESENT_WAIT: Duration = Duration::from_secs(60);

/// Counts what is written to the medium.
const COUNT: &str = "count on write";

/// What is to be played.
#[derive(Clone, Copy)]
pub(super) struct Play<'a> {
    scenario: &'a Scenario,
    pull: Option<&'a FaultSpec>,
    returns: Returns,
}

/// How it went.
pub(super) struct Played {
    /// What was wrong, a line each.
    pub(super) wrongs: Vec<String>,
    /// What the check said of the medium as it was pulled.
    pub(super) as_pulled: Option<Result<(), String>>,
    /// What it was, in a line.
    pub(super) summary: String,
    /// How often the medium was written, in a run in which nothing is pulled.
    pub(super) medium_writes: u64,
    directory: Option<TempDir>,
}

impl<'a> Play<'a> {
    /// As the scenario says.
    pub(super) const fn of(scenario: &'a Scenario) -> Self {
        Self { scenario, pull: None, returns: Returns::AsTheScenarioSays }
    }

    /// With this fault, which pulls the medium; it is checked as it is then, and put in again.
    pub(super) const fn pulled_by(scenario: &'a Scenario, fault: &'a FaultSpec) -> Self {
        Self { scenario, pull: Some(fault), returns: Returns::Never }
    }

    /// Plays it.
    ///
    /// # Errors
    /// Where the machine does not let it happen; what went wrong in it is in its result.
    pub(super) async fn play(self) -> Result<Played, Failure> {
        let stage = Stage::set_up(self.scenario, self.returns).await?;
        let limit = self.scenario.limit.0;
        let mut played = Played {
            wrongs: Vec::new(),
            as_pulled: None,
            summary: String::new(),
            medium_writes: 0,
            directory: None,
        };
        if timeout(limit, self.act_and_check(&stage, &mut played)).await.is_err() {
            played.wrongs.push(format!("it is not over after {}", format_duration(limit)));
        }
        // Where it hangs, that it cannot be stopped cleanly is not news.
        match stage.stop().await {
            Ok(directory) => played.directory = Some(directory),
            Err(failure) if played.wrongs.is_empty() => played.wrongs.push(failure.to_string()),
            Err(_) => {}
        }
        Ok(played)
    }

    async fn act_and_check(self, stage: &Stage, played: &mut Played) {
        let opened = self.open(stage).await;
        let (mut disk, turns) = match opened {
            Ok(opened) => opened,
            Err(why) => return played.wrongs.push(why),
        };
        let count = COUNT.parse().expect("it is a fault");
        let faults = self.pull.cloned().into_iter().chain([count]).collect();
        if let Err(error) = stage.faults.arm(faults) {
            return played.wrongs.push(error.to_string());
        }
        self.act(stage, &mut disk, &turns, played).await;
        played.medium_writes = writes_counted(stage);
        played.summary = summary(stage, &disk);
        if played.wrongs.is_empty() {
            played.wrongs.extend(self.check(stage, &mut disk).await.err());
        }
        played.wrongs.extend(self.check_run(stage, &disk));
    }

    async fn open(self, stage: &Stage) -> Result<(Disk, Turns), String> {
        steps::until(stage, State::Present, PRESENT_WAIT).await?;
        let content = std::fs::read(&stage.image)
            .map_err(|error| format!("cannot read {}: {error}", stage.image.display()))?;
        let turns = Turns::default();
        let disk = Disk::open(&stage.address, VOLUME, content, turns.clone()).await?;
        Ok((disk, turns))
    }

    /// The load, the steps, and what follows a pull, at the same time.
    async fn act(self, stage: &Stage, disk: &mut Disk, turns: &Turns, played: &mut Played) {
        let (ended, load_ended) = watch::channel(false);
        let load = async {
            turns.may_go_on().await;
            let loaded = load::carry_out(&self.scenario.load, disk, &stage.shell).await;
            ended.send_replace(true);
            loaded
        };
        let walk = steps::carry_out(&self.scenario.step, stage, turns, load_ended.clone());
        let pull = self.follow_the_pull(stage, load_ended.clone());
        let (loaded, walked, pulled) = tokio::join!(load, walk, pull);
        played.wrongs.extend([loaded.err(), walked.err()].into_iter().flatten());
        match pulled {
            Ok(as_pulled) => played.as_pulled = as_pulled,
            Err(why) => played.wrongs.push(why),
        }
    }

    /// Waits until the medium is gone, checks it as it is, and puts it in again.
    async fn follow_the_pull(
        self,
        stage: &Stage,
        mut load_ended: watch::Receiver<bool>,
    ) -> Result<Option<Result<(), String>>, String> {
        let Some(fault) = self.pull else { return Ok(None) };
        let gone = async {
            // A load that has ended may have left the fault nothing but what comes after it: no write.
            let _ = load_ended.wait_for(|ended| *ended).await;
            steps::until(stage, State::Absent, Duration::from_secs(2)).await
        };
        tokio::select! {
            biased;
            reached = steps::until(stage, State::Absent, self.scenario.limit.0) => reached?,
            _ = gone => {}
        }
        if !stage.faults.is_away() {
            return Err(format!("`{fault}` never happened"));
        }
        let pulled = stage.shell.directory.join("pulled.img");
        stage.faults.until_taken_away().await;
        let checked = self.check_as_pulled(stage, &pulled).await?;
        stage.faults.clear();
        let inserted = stage.drive.insert(VOLUME, None, WhenOccupied::Refuse).await;
        inserted.map_err(|refusal| format!("after the pull: {refusal}"))?;
        Ok(checked)
    }

    async fn check_as_pulled(
        self,
        stage: &Stage,
        pulled: &PathBuf,
    ) -> Result<Option<Result<(), String>>, String> {
        std::fs::copy(&stage.image, pulled)
            .map_err(|error| format!("cannot copy {}: {error}", stage.image.display()))?;
        let Some(command) = &self.scenario.check.command else { return Ok(None) };
        Ok(Some(stage.shell.on(pulled).run("the check", command).await))
    }

    /// What must be true of the volume and of its medium.
    async fn check(self, stage: &Stage, disk: &mut Disk) -> Result<(), String> {
        steps::until(stage, State::Present, PRESENT_WAIT)
            .await
            .map_err(|why| format!("{why}; is there a step that brings the medium back?"))?;
        let knows_content = !matches!(self.scenario.load, LoadTable::Command { .. });
        stage.faults.clear();
        if knows_content {
            disk.compare_all().await?;
        }
        let ejected = stage.drive.eject(VOLUME).await;
        ejected.map_err(|refusal| format!("at the end: {refusal}"))?;
        if knows_content {
            disk.compare_image(&stage.image)?;
        }
        match &self.scenario.check.command {
            Some(command) => stage.shell.run("the check", command).await,
            None => Ok(()),
        }
    }

    /// What must be true of how it went.
    fn check_run(self, stage: &Stage, disk: &Disk) -> Vec<String> {
        let mut wrongs = Vec::new();
        if let Some(bound) = self.scenario.check.longest_request
            && disk.longest > bound.0
        {
            let (took, bound) = (disk.longest, format_duration(bound.0));
            wrongs.push(format!("a request took {took:.1?}, more than {bound}"));
        }
        let events = stage.drive.events().after(0);
        for kind in &self.scenario.check.events {
            if !events.iter().any(|event| event.kind.name() == kind) {
                wrongs.push(format!("there was no event `{kind}`"));
            }
        }
        wrongs
    }
}

impl Played {
    /// Leaves the directory for somebody to look at.
    pub(super) fn keep(&mut self) -> Option<PathBuf> {
        self.directory.take().map(TempDir::keep)
    }
}

fn writes_counted(stage: &Stage) -> u64 {
    let armed = stage.faults.armed();
    armed.iter().find(|armed| armed.fault == COUNT).map_or(0, |count| count.seen)
}

fn summary(stage: &Stage, disk: &Disk) -> String {
    let Disk { requests, writes, longest, .. } = disk;
    let events = stage.drive.events().after(0);
    let losses = events
        .iter()
        .filter(|event| matches!(event.kind.name(), "lost" | "pulled" | "ejected"))
        .count();
    let load = match requests {
        0 => String::from("a command's load"),
        requests => {
            format!("{requests} requests, {writes} of them writes, the longest {longest:.1?}")
        }
    };
    format!("{load}; the medium was away {losses} times")
}
