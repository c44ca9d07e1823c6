//! `hotbay volume`.

use hotbay_media::ByteSize;

use super::attach::{must_be_root, resize, status};
use super::insert::for_daemon;
use super::{Daemon, output, unexpected};
use crate::attach::NbdDevice;
use crate::cli::{VolumeAddArgs, VolumeCommand, VolumeGrowArgs, VolumeRemoveArgs};
use crate::config::{Environment, Name, VolumeFlag};
use crate::control::{ControlReply, ControlRequest, HeldJournal, OpenSessions};
use crate::failure::Failure;

/// Adds, removes or grows a volume.
///
/// # Errors
/// Where the daemon refuses.
pub(crate) fn run(
    daemon: &Daemon,
    command: VolumeCommand,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        VolumeCommand::Add(arguments) => add(daemon, arguments, environment),
        VolumeCommand::Remove(arguments) => remove(daemon, &arguments),
        VolumeCommand::Grow(arguments) => grow(daemon, &arguments),
    }
}

fn add(
    daemon: &Daemon,
    arguments: VolumeAddArgs,
    environment: &Environment,
) -> Result<(), Failure> {
    let VolumeFlag { name, medium } = arguments.volume;
    let volume = name.to_string();
    let request = ControlRequest::VolumeAdd { volume, medium: for_daemon(medium, environment) };
    let state = daemon.change(&request)?;
    output::print_line(format!("volume {name} is added, and {state}"))
}

fn remove(daemon: &Daemon, arguments: &VolumeRemoveArgs) -> Result<(), Failure> {
    let VolumeRemoveArgs { volume, close_sessions, keep_journal } = arguments;
    let request = ControlRequest::VolumeRemove {
        volume: volume.to_string(),
        sessions: if *close_sessions { OpenSessions::Close } else { OpenSessions::Refuse },
        journal: if *keep_journal { HeldJournal::Keep } else { HeldJournal::Refuse },
    };
    match daemon.ask_for_work(&request)? {
        ControlReply::Removed { kept: Some(kept), .. } => {
            output::print_line(format!("volume {volume} is removed; its journal is kept in {kept}"))
        }
        ControlReply::Removed { kept: None, .. } => output::print_line(format!(
            "volume {volume} is removed; everything is on its medium, nothing is kept besides"
        )),
        other => Err(unexpected(&other)),
    }
}

fn grow(daemon: &Daemon, arguments: &VolumeGrowArgs) -> Result<(), Failure> {
    let VolumeGrowArgs { volume, size: ByteSize(size_bytes) } = arguments;
    let request =
        ControlRequest::VolumeGrow { volume: volume.to_string(), size_bytes: *size_bytes };
    let (size, sessions) = match daemon.ask_for_work(&request)? {
        ControlReply::Grown { size_bytes, earlier_size_sessions, .. } => {
            (ByteSize(size_bytes), earlier_size_sessions as usize)
        }
        other => return Err(unexpected(&other)),
    };
    let devices = devices_of(daemon, &volume.to_string())?;
    let others = match sessions.saturating_sub(devices.len()) {
        0 => String::new(),
        1 => "; the open session knows the earlier size until it connects again".into(),
        many => {
            format!("; the {many} open sessions know the earlier size until they connect again")
        }
    };
    output::print_line(format!("volume {volume} has {size}{others}"))?;
    devices.into_iter().try_for_each(|device| grow_device(device, volume, daemon))
}

/// The block devices of this machine that are attached to a volume.
fn devices_of(daemon: &Daemon, volume: &str) -> Result<Vec<NbdDevice>, Failure> {
    let exports = status(daemon)?.exports.into_iter().filter(|export| export.name == volume);
    let devices = exports.flat_map(|export| export.devices);
    Ok(devices.filter_map(|device| device.parse().ok()).collect())
}

fn grow_device(device: NbdDevice, volume: &Name, daemon: &Daemon) -> Result<(), Failure> {
    must_be_root().and_then(|()| resize(device, daemon)).map_err(|failure| {
        Failure::new(format!("{device} keeps the earlier size: {}", failure.message())).with_hint(
            format!("'sudo hotbay attach {volume} {device} --resize' gives it the new one"),
        )
    })
}
