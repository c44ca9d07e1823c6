//! `hotbay pull`.

use super::{Daemon, output};
use crate::cli::VolumeArg;
use crate::control::ControlRequest;
use crate::failure::Failure;

/// Pulls the medium.
///
/// # Errors
/// Where the daemon refuses.
pub(crate) fn run(daemon: &Daemon, arguments: &VolumeArg) -> Result<(), Failure> {
    let volume = &arguments.volume;
    let state = daemon.change(&ControlRequest::Pull { volume: volume.to_string() })?;
    output::print_line(format!("volume {volume} is {state}; its medium was not synced"))
}
