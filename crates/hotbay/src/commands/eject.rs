//! `hotbay eject`.

use super::{Daemon, output};
use crate::cli::VolumeArg;
use crate::control::ControlRequest;
use crate::failure::Failure;

/// Ejects the medium and waits until it may be taken away.
///
/// # Errors
/// Where the daemon refuses.
pub(crate) fn run(daemon: &Daemon, arguments: &VolumeArg) -> Result<(), Failure> {
    let volume = &arguments.volume;
    let state = daemon.change(&ControlRequest::Eject { volume: volume.to_string() })?;
    output::print_line(format!("volume {volume} is {state}; its medium may be taken away"))
}
