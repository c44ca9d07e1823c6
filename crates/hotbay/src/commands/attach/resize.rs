//! `hotbay attach --resize`: a device gets the size that its export has by now, while it is mounted.

use hotbay_media::ByteSize;

use super::super::{Daemon, output};
use super::{no_client, no_link};
use crate::attach::{NbdDevice, NbdKernel, connect};
use crate::cli::AttachArgs;
use crate::failure::Failure;

/// Resizes the device that was named, or all that are attached to the export.
///
/// # Errors
/// Where there is none, and of each one that could not be resized.
pub(super) fn run(arguments: &AttachArgs, daemon: &Daemon) -> Result<(), Failure> {
    let export = arguments.export.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut devices = NbdDevice::attached_to(&export);
    devices.retain(|device| arguments.device.is_none_or(|named| named == *device));
    if devices.is_empty() {
        let device = arguments.device.map_or_else(|| "no device".to_owned(), |it| it.to_string());
        let not = if arguments.device.is_some() { "not " } else { "" };
        return Err(Failure::new(format!("{device} is {not}attached to {export}"))
            .with_hint("'hotbay attach --list' shows what is attached"));
    }
    devices.into_iter().try_for_each(|device| resize(device, daemon))
}

/// Asks the daemon that a device is attached to for the export's size, gives it to the device, and tells.
///
/// # Errors
/// Where the daemon does not answer, or serves something else by now; where the kernel refuses.
pub(in super::super) fn resize(device: NbdDevice, daemon: &Daemon) -> Result<(), Failure> {
    let not_any_more = || Failure::new(format!("{device} is not attached any more"));
    let id = device.attachment().ok_or_else(not_any_more)?;
    let link =
        connect(&id.server, &id.export).map_err(|error| no_link(&error, &id.export, daemon))?;
    if link.content != id.content {
        return Err(Failure::new(format!(
            "{device} is attached to another content of {}",
            id.export
        ))
        .with_hint(format!("'hotbay detach {device}' first, and attach it anew")));
    }
    let (had, has) = (device.size_bytes().unwrap_or_default(), link.opened.size_bytes);
    if has == had {
        return output::print_line(format!("{device} has {} already", ByteSize(has)));
    }
    if has < had {
        let (had, has) = (ByteSize(had), ByteSize(has));
        return Err(Failure::new(format!("{device} has {had}, and {} only {has}", id.export))
            .with_hint("a device in use does not shrink; detach it, and attach it anew"));
    }
    let mut kernel = NbdKernel::open().map_err(|error| no_client(&error))?;
    let resized = kernel.resize(device, &id.to_string(), has);
    resized.map_err(|error| Failure::new(format!("cannot resize {device}: {error}")))?;
    output::print_line(format!("{device} has {} now", ByteSize(has)))
}
