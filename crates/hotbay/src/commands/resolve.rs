//! `hotbay resolve`.

use hotbay_media::ByteSize;

use super::{Daemon, journal, output};
use crate::cli::{JournalExportArgs, ResolveArgs, ResolveCommand, ResolveSaveArgs};
use crate::config::{Environment, Name};
use crate::control::{ControlReply, ControlRequest, ResolveBy, State, VolumeStatus};
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
        ResolveCommand::Newest => ResolveBy::Newest,
        ResolveCommand::Save(wanted) => return save(daemon, volume, wanted, environment),
    };
    let lacks = match by {
        ResolveBy::Newest => status_of(daemon, &volume)?.copy.map_or(0, |copy| copy.behind_bytes),
        ResolveBy::Replay | ResolveBy::Discard => 0,
    };
    let state = daemon.change(&ControlRequest::Resolve { volume: volume.to_string(), by })?;
    output::print_line(match lacks {
        0 => format!("volume {volume} is {state}"),
        lacks => format!(
            "volume {volume} is {state}, and counts; up to {} of it may be older, so check the file system",
            ByteSize(lacks)
        ),
    })
}

fn save(
    daemon: &Daemon,
    volume: Name,
    wanted: ResolveSaveArgs,
    environment: &Environment,
) -> Result<(), Failure> {
    let state = status_of(daemon, &volume)?.state;
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

fn status_of(daemon: &Daemon, volume: &Name) -> Result<VolumeStatus, Failure> {
    let request = ControlRequest::Status { volume: Some(volume.to_string()) };
    match daemon.connect()?.ask(&request, |_| Ok(()))? {
        ControlReply::Status(mut status) if status.volumes.len() == 1 => {
            Ok(status.volumes.swap_remove(0))
        }
        other => Err(super::unexpected(&other)),
    }
}
