//! `hotbay scrub`.

use super::output::{self, human_size};
use super::{Daemon, unexpected};
use crate::cli::ScrubArgs;
use crate::control::{ControlReply, ControlRequest, WhenDifferent};
use crate::failure::Failure;

/// Compares the copies of a mirror and waits until that is done.
///
/// # Errors
/// Where the daemon refuses, and where copies differ and were not repaired.
pub(crate) fn run(daemon: &Daemon, arguments: &ScrubArgs) -> Result<(), Failure> {
    let volume = arguments.volume.to_string();
    let differences = match arguments.repair {
        true => WhenDifferent::Repair,
        false => WhenDifferent::Report,
    };
    let request = ControlRequest::Scrub { volume: volume.clone(), differences };
    let reply = daemon.ask_for_work(&request)?;
    let ControlReply::Scrubbed { compared_bytes, differing_bytes, .. } = reply else {
        return Err(unexpected(&reply));
    };
    let compared = human_size(compared_bytes);
    match (differing_bytes, arguments.repair) {
        (0, _) => output::print(&format!("{compared} compared, no difference\n")),
        (differing, true) => output::print(&format!(
            "{compared} compared, {} written anew to the others\n",
            human_size(differing)
        )),
        (differing, false) => Err(Failure::new(format!(
            "copies differ in {} of {compared}",
            human_size(differing)
        ))
        .with_hint(format!(
            "'hotbay events' says where; 'hotbay scrub {volume} --repair' writes what {volume} holds to the others"
        ))),
    }
}
