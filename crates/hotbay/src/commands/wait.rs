//! `hotbay wait`.

use super::{Daemon, output};
use crate::cli::WaitArgs;
use crate::config::format_duration;
use crate::control::{ControlReply, ControlRequest};
use crate::failure::Failure;

/// Waits for a state of a volume.
///
/// # Errors
/// Where time runs out, with an exit status of its own; and where the daemon refuses.
pub(crate) fn run(daemon: &Daemon, arguments: &WaitArgs) -> Result<(), Failure> {
    let WaitArgs { volume, state, timeout } = arguments;
    let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let request = ControlRequest::Wait { volume: volume.to_string(), state: *state, timeout_ms };
    match daemon.connect()?.ask(&request, |_| Ok(()))? {
        ControlReply::Done { state, .. } => {
            output::print_line(format!("volume {volume} is {state}"))
        }
        ControlReply::TimedOut { state: now, .. } => {
            let timeout = format_duration(*timeout);
            Err(Failure::timed_out(format!(
                "volume {volume} is {now}, not {state}, after {timeout}"
            ))
            .with_hint(format!("'hotbay status {volume}' shows how it is doing")))
        }
        other => Err(super::unexpected(&other)),
    }
}
