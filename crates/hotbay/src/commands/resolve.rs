//! `hotbay resolve`.

use super::{Daemon, journal, output};
use crate::cli::{JournalExportArgs, ResolveArgs, ResolveCommand, ResolveSaveArgs};
use crate::config::{Environment, Name};
use crate::control::{ControlReply, ControlRequest, ResolveBy, State};
use crate::failure::Failure;

/// Decides what counts, and waits until that has come about; or saves what the journal holds, which decides nothing.
///
/// # Errors
/// Where the volume is not in conflict, the medium cannot be used, or the file cannot be written.
pub(crate) fn run(
    daemon: &Daemon,
    arguments: ResolveArgs,
    environment: &Environment,
) -> Result<(), Failure> {
    let ResolveArgs { volume, by } = arguments;
    let by = match by {
        ResolveCommand::Replay => ResolveBy::Replay,
        ResolveCommand::Discard => ResolveBy::Discard,
        ResolveCommand::Save(wanted) => return save(daemon, volume, wanted, environment),
    };
    let state = daemon.change(&ControlRequest::Resolve { volume: volume.to_string(), by })?;
    output::print_line(format!("volume {volume} is {state}"))
}

fn save(
    daemon: &Daemon,
    volume: Name,
    wanted: ResolveSaveArgs,
    environment: &Environment,
) -> Result<(), Failure> {
    let state = state_of(daemon, &volume)?;
    if state != State::Conflict {
        return Err(Failure::new(format!(
            "volume {volume} is {state}: there is nothing to resolve"
        ))
        .with_hint(format!("'hotbay journal export {volume} FILE' saves a journal in any state")));
    }
    let ResolveSaveArgs { file, state } = wanted;
    let export = JournalExportArgs { volume, file, onto: false };
    journal::export(state, &export, environment)
}

fn state_of(daemon: &Daemon, volume: &Name) -> Result<State, Failure> {
    let request = ControlRequest::Status { volume: Some(volume.to_string()) };
    match daemon.connect()?.ask(&request, |_| Ok(()))? {
        ControlReply::Status(status) if status.volumes.len() == 1 => Ok(status.volumes[0].state),
        other => Err(super::unexpected(&other)),
    }
}
