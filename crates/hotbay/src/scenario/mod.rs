//! `hotbay scenario`: a load, a medium that faults, and a verdict, from one small file.
//!
//! Nothing in it is pretended: the drive is the real one, the medium a real file, the load an NBD session over a Unix
//! socket, and what happens to the medium is what `hotbay fault`, `pull` and `insert` do.
//!
//! * `file`: what may stand in a scenario; `stage`: a daemon of its own in a temporary directory.
//! * `load`: what is done to the volume; `disk`: the session that does it, and what should be on it.
//! * `steps`: what happens meanwhile; `shell`: the commands that a scenario names.
//! * `play`: one run from its beginning to its verdict; `sweep`: one for each point at which the medium may be pulled.

mod disk;
mod file;
mod load;
mod play;
mod shell;
mod stage;
mod steps;
mod sweep;

use std::path::Path;

use crate::cli::{ScenarioCommand, ScenarioRunArgs, ScenarioSweepArgs};
use crate::commands::output;
use crate::failure::Failure;
use crate::signals::StopSignal;
use file::Scenario;
use play::{Play, Played};
use sweep::SweepSettings;

/// Runs or sweeps a scenario, and tells the verdict.
///
/// # Errors
/// Where the file is wrong, where the machine does not let it happen, or where the verdict is FAIL.
pub(crate) fn run(command: ScenarioCommand) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    match command {
        ScenarioCommand::Run(arguments) => runtime.block_on(unless_stopped(run_once(&arguments))),
        ScenarioCommand::Sweep(arguments) => {
            runtime.block_on(unless_stopped(sweep_all(&arguments)))
        }
    }
}

/// SIGINT and SIGTERM end it with what it has started and written.
async fn unless_stopped(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let mut stop = StopSignal::new()?;
    tokio::select! {
        done = work => done,
        () = stop.received() => Err(Failure::new("stopped by a signal, so there is no verdict")),
    }
}

async fn run_once(arguments: &ScenarioRunArgs) -> Result<(), Failure> {
    let scenario = Scenario::read(&arguments.file)?;
    let mut played = Play::of(&scenario).play().await?;
    let kept = if arguments.keep { played.keep() } else { None };
    output::print_line(format_args!("{}: {}", arguments.file.display(), played.summary))?;
    if let Some(directory) = kept {
        output::print_line(format_args!("  kept: {}", directory.display()))?;
    }
    tell_verdict(&arguments.file, &played)
}

fn tell_verdict(file: &Path, played: &Played) -> Result<(), Failure> {
    for wrong in &played.wrongs {
        output::print_line(format_args!("  wrong: {wrong}"))?;
    }
    verdict(file, played.wrongs.len())
}

async fn sweep_all(arguments: &ScenarioSweepArgs) -> Result<(), Failure> {
    let scenario = Scenario::read(&arguments.file)?;
    let settings = SweepSettings {
        every: arguments.every.into(),
        limit: arguments.limit,
        parallel: arguments.parallel.into(),
    };
    let wrongs = sweep::sweep(&scenario, settings).await?;
    verdict(&arguments.file, wrongs)
}

fn verdict(file: &Path, wrongs: usize) -> Result<(), Failure> {
    let name = file.display();
    if wrongs == 0 {
        return output::print_line(format_args!("PASS {name}"));
    }
    output::print_line(format_args!("FAIL {name}"))?;
    let what = if wrongs == 1 { "1 thing is" } else { &format!("{wrongs} things are") };
    Err(Failure::new(format!("{name}: {what} wrong")))
}

#[cfg(test)]
mod tests;
