//! `hotbay attach --list`.

use serde::Serialize;

use super::super::output::{self, Colours};
use super::super::table::{Cell, table};
use crate::attach::{AttachmentId, NbdDevice, holder, is_waiting, residents_are_seen};
use crate::failure::Failure;

/// One device that is attached.
#[derive(Serialize)]
struct Attachment {
    device: String,
    export: String,
    server: String,
    /// The process that keeps it; without one nobody connects it again.
    resident: Option<i32>,
    /// How that process has the daemon: `connected` or `away`; `unknown` to a user who may not see the process.
    daemon: Option<&'static str>,
}

/// Shows which device is attached to what, by whom it is kept, and whether that one has the daemon.
///
/// # Errors
/// Where sysfs cannot be read.
pub(super) fn run(as_json: bool) -> Result<(), Failure> {
    let attachments = NbdDevice::attachments()
        .map_err(|error| Failure::new(format!("cannot read /sys/block: {error}")))?;
    let attachments: Vec<Attachment> = attachments.into_iter().map(Attachment::from).collect();
    if as_json {
        return output::print_json(&attachments);
    }
    if attachments.is_empty() {
        // A script that reads the table reads nothing.
        output::print_note("nothing is attached; 'hotbay attach EXPORT' makes a device");
        return Ok(());
    }
    if !residents_are_seen() {
        output::print_note("only root sees who keeps the devices: 'sudo hotbay attach --list'");
    }
    let headings = ["DEVICE", "EXPORT", "SERVER", "RESIDENT", "DAEMON"];
    let rows = attachments.into_iter().map(Attachment::row).collect();
    output::print(&table(headings, rows, Colours::of_output()))
}

impl From<(NbdDevice, AttachmentId)> for Attachment {
    fn from((device, id): (NbdDevice, AttachmentId)) -> Self {
        let resident = holder(device);
        let daemon = match resident {
            _ if !residents_are_seen() => Some("unknown"),
            None => None,
            Some(_) if is_waiting(device) => Some("away"),
            Some(_) => Some("connected"),
        };
        Self {
            device: device.to_string(),
            export: id.export,
            server: id.server.to_string(),
            resident: resident.map(|pid| pid.as_raw_nonzero().get()),
            daemon,
        }
    }
}

impl Attachment {
    fn row(self) -> [Cell; 5] {
        [
            self.device.into(),
            self.export.into(),
            self.server.into(),
            Cell::or_dash(self.resident),
            Cell::or_dash(self.daemon),
        ]
    }
}
