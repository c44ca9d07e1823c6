//! `hotbay insert`.

use hotbay_media::MediumSpec;

use super::{Daemon, output};
use crate::cli::InsertArgs;
use crate::config::Environment;
use crate::control::{ControlRequest, MediumIs, Occupied};
use crate::failure::Failure;

/// Inserts the medium and waits for the replay.
///
/// # Errors
/// Where the daemon refuses the medium, or the replay fails.
pub(crate) fn run(
    daemon: &Daemon,
    arguments: InsertArgs,
    environment: &Environment,
) -> Result<(), Failure> {
    let InsertArgs { volume, medium, replace, new } = arguments;
    let request = ControlRequest::Insert {
        volume: volume.to_string(),
        medium: medium.map(|medium| for_daemon(medium, environment)),
        occupied: if replace { Occupied::Replace } else { Occupied::Refuse },
        medium_is: if new { MediumIs::New } else { MediumIs::Own },
    };
    let state = daemon.change(&request)?;
    output::print_line(format!("volume {volume} is {state}"))
}

/// A medium as another process may read it: the daemon has a current directory of its own.
pub(super) fn for_daemon(medium: MediumSpec, environment: &Environment) -> String {
    medium.absolute(&environment.current).to_string()
}
