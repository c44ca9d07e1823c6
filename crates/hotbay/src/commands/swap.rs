//! `hotbay swap`.

use super::insert::for_daemon;
use super::{Daemon, output};
use crate::cli::SwapArgs;
use crate::config::Environment;
use crate::control::{ControlRequest, SwapContent};
use crate::failure::Failure;

/// Swaps the medium and waits until the volume is on the new one.
///
/// # Errors
/// Where the daemon refuses the medium, or the copy fails; the volume is on the old one then.
pub(crate) fn run(
    daemon: &Daemon,
    arguments: SwapArgs,
    environment: &Environment,
) -> Result<(), Failure> {
    let SwapArgs { volume, medium, as_is } = arguments;
    let medium = for_daemon(medium, environment);
    let request = ControlRequest::Swap {
        volume: volume.to_string(),
        medium: medium.clone(),
        content: if as_is { SwapContent::AsIs } else { SwapContent::Copy },
    };
    let state = daemon.change(&request)?;
    output::print_line(format!("volume {volume} is {state} on {medium}"))
}
