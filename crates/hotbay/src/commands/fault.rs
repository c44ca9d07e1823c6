//! `hotbay fault`.

use hotbay_media::FaultSpec;

use super::{Daemon, output};
use crate::cli::FaultArgs;
use crate::control::{Armed, ControlRequest};
use crate::failure::Failure;

/// Ends the faults that are armed, where that is asked for, and arms others.
///
/// # Errors
/// Where one is not understood, or the daemon refuses.
pub(crate) fn run(daemon: &Daemon, arguments: &FaultArgs) -> Result<(), Failure> {
    let FaultArgs { volume, spec, clear } = arguments;
    let text = spec.join(" ");
    let specs = match spec.is_empty() {
        true => Vec::new(),
        false => FaultSpec::parse_all(&text).map_err(|error| {
            Failure::new(error.to_string()).with_hint("'hotbay fault --help' has the words")
        })?,
    };
    let arm: Vec<String> = specs.iter().map(ToString::to_string).collect();
    let armed = if *clear { Armed::Clear } else { Armed::Keep };
    let request = ControlRequest::Fault { volume: volume.to_string(), arm: arm.clone(), armed };
    daemon.change(&request)?;
    if *clear {
        output::print_line(format!("no fault that was armed on {volume} happens any more"))?;
    }
    arm.iter().try_for_each(|fault| output::print_line(format!("armed on {volume}: {fault}")))
}
