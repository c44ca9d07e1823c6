//! `hotbay attach --list`.

use super::super::output::{self, Colours};
use super::super::table::{Cell, table};
use crate::attach::{AttachmentId, NbdDevice, holder, is_waiting};
use crate::failure::Failure;

/// Shows which device is attached to what, by whom it is kept, and whether that one has the daemon.
///
/// # Errors
/// Where sysfs cannot be read.
pub(super) fn run() -> Result<(), Failure> {
    let attachments = NbdDevice::attachments()
        .map_err(|error| Failure::new(format!("cannot read /sys/block: {error}")))?;
    if attachments.is_empty() {
        return Ok(());
    }
    let headings = ["DEVICE", "EXPORT", "SERVER", "RESIDENT", "DAEMON"];
    let rows = attachments.into_iter().map(row).collect();
    output::print(&table(headings, rows, Colours::of_output()))
}

fn row((device, id): (NbdDevice, AttachmentId)) -> [Cell; 5] {
    let resident = holder(device);
    let daemon = resident.map(|_| if is_waiting(device) { "away" } else { "connected" });
    [
        device.to_string().into(),
        id.export.into(),
        id.server.to_string().into(),
        Cell::or_dash(resident.map(|pid| pid.to_string())),
        Cell::or_dash(daemon),
    ]
}
