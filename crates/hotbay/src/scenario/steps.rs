//! What happens while the load runs, one step after the other.

use std::time::Duration;

use hotbay_drive::WhenOccupied;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::disk::Turns;
use super::file::{Deed, StepTable, When};
use super::stage::{Stage, VOLUME};
use crate::control::State;

/// Carries the steps out, and holds the load up where a step says so. `load_ended` becomes true when it has.
///
/// # Errors
/// What the first step that failed, or was not reached, says. Then the load is not held up any more.
pub(super) async fn carry_out(
    steps: &[StepTable],
    stage: &Stage,
    turns: &Turns,
    load_ended: watch::Receiver<bool>,
) -> Result<(), String> {
    let mut walk = Walk { stage, turns, load_ended, load_began: None };
    let mut walked = Ok(());
    for (number, step) in (1..).zip(steps) {
        walked = walk.step(step).await.map_err(|why| format!("step {number}: {why}"));
        if walked.is_err() {
            break;
        }
    }
    walk.let_the_load_go_on(u64::MAX);
    walked
}

struct Walk<'a> {
    stage: &'a Stage,
    turns: &'a Turns,
    load_ended: watch::Receiver<bool>,
    /// When it was first let go on.
    load_began: Option<Instant>,
}

impl Walk<'_> {
    async fn step(&mut self, step: &StepTable) -> Result<(), String> {
        match step.when {
            When::Next => {}
            When::Write(number) => {
                self.let_the_load_go_on(number);
                self.until_written(number).await?;
            }
            When::After(time) => {
                let begun = self.let_the_load_go_on(u64::MAX);
                sleep_until(begun + time).await;
            }
            When::End => {
                self.let_the_load_go_on(u64::MAX);
                // An error says the same.
                let _ = self.load_ended.wait_for(|ended| *ended).await;
            }
        }
        if !step.hold {
            self.let_the_load_go_on(u64::MAX);
        }
        self.act(&step.r#do).await
    }

    /// Until so many writes were made in all. When it was let go on for the first time.
    fn let_the_load_go_on(&mut self, writes: u64) -> Instant {
        self.turns.allowed.send_replace(writes);
        *self.load_began.get_or_insert_with(Instant::now)
    }

    async fn until_written(&mut self, number: u64) -> Result<(), String> {
        let mut written = self.turns.written.subscribe();
        let reached = async {
            // The sender is held by `turns`.
            let _ = written.wait_for(|written| *written >= number).await;
        };
        tokio::select! {
            biased;
            () = reached => Ok(()),
            _ = self.load_ended.wait_for(|ended| *ended) => {
                let written = *self.turns.written.borrow();
                Err(format!("the load has ended after {written} writes, before write {number}"))
            }
        }
    }

    async fn act(&self, deed: &Deed) -> Result<(), String> {
        let drive = &self.stage.drive;
        let done = match deed {
            Deed::Fault(specs) => {
                return self.stage.faults.arm(specs.clone()).map_err(|error| error.to_string());
            }
            Deed::Clear => {
                self.stage.faults.clear();
                return Ok(());
            }
            Deed::Wait(state, limit) => return until(self.stage, *state, *limit).await,
            Deed::Shell(command) => return self.stage.shell.run("the command", command).await,
            Deed::Pull => drive.pull(VOLUME).await,
            Deed::Eject => drive.eject(VOLUME).await,
            Deed::Insert => drive.insert(VOLUME, None, WhenOccupied::Refuse).await,
        };
        done.map_err(|refusal| refusal.to_string())
    }
}

/// Waits until the volume is in a state.
///
/// # Errors
/// Where it is in another one when time is over.
pub(super) async fn until(stage: &Stage, state: State, limit: Duration) -> Result<(), String> {
    let volume = stage.drive.volume(VOLUME).map_err(|refusal| refusal.to_string())?;
    let mut states = volume.states();
    let reached = states.wait_for(|now| State::from(*now) == state);
    match timeout(limit, reached).await {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("the volume is {} and not {state} after {limit:?}", volume.state())),
    }
}
