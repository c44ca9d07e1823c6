//! What clients can open: how a layout makes exports of volumes.
//!
//! Each export's description ends with what identifies its content, by which `hotbay attach` knows it again.

use std::sync::Arc;

use hotbay_block::Device;
use hotbay_drive::{Drive, Joining, Refusal, Volume};
use hotbay_media::ByteSize;
use hotbay_server::{ExportDescription, Exports, OpenedExport};

use crate::attach::ContentId;
use crate::config::Layout;

/// The exports of a drive. Of a joined layout there is one, named as the drive; of others the first is the default one.
#[derive(Clone, Debug)]
pub(crate) struct LayoutExports {
    drive: Arc<Drive>,
    layout: Layout,
}

impl LayoutExports {
    /// Those of `drive`.
    ///
    /// # Errors
    /// Where its volumes cannot be laid out so.
    pub(crate) fn new(drive: &Arc<Drive>, layout: Layout) -> Result<Self, Refusal> {
        if let Some(joining) = layout.joining() {
            drive.open_joined(joining)?;
        }
        Ok(Self { drive: Arc::clone(drive), layout })
    }

    /// How the volumes become exports.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// The name of the export that a volume is in.
    pub(crate) fn of_volume<'a>(&'a self, volume: &'a str) -> &'a str {
        match self.layout.joining() {
            None => volume,
            Some(_) => self.drive.name(),
        }
    }

    fn open_volume(&self, name: &str) -> Option<OpenedExport> {
        let volume = match name {
            "" => self.drive.volumes().first()?,
            name => self.drive.volume(name).ok()?,
        };
        let device = volume.open();
        // After the volume was opened: whoever opens an earlier content than is told is closed at once.
        Some(described(volume.name(), about(volume), device, volume.content()))
    }

    fn open_disk(&self, name: &str, joining: Joining) -> Option<OpenedExport> {
        let disk = self.drive.name();
        if !name.is_empty() && name != disk {
            return None;
        }
        let device = self.drive.open_joined(joining).inspect_err(|refusal| {
            tracing::warn!(disk, "cannot be opened: {refusal}");
        });
        let device = device.ok()?;
        Some(described(disk, about_disk(&self.drive), device, self.drive.joined_content(joining)))
    }
}

fn described(
    name: &str,
    about: String,
    device: Arc<dyn Device>,
    (id, content): ([u8; 16], u64),
) -> OpenedExport {
    let size = ByteSize(device.info().size_bytes);
    let description = format!("{about}, {size}, {}", ContentId { id, content });
    OpenedExport { name: name.to_owned(), description, device }
}

fn about(volume: &Volume) -> String {
    format!("volume {}", volume.name())
}

fn about_disk(drive: &Drive) -> String {
    let names: Vec<&str> = drive.volumes().iter().map(|volume| volume.name()).collect();
    format!("volumes {}", names.join(" and "))
}

impl Exports for LayoutExports {
    fn list(&self) -> Vec<ExportDescription> {
        let described =
            |name: &str, description| ExportDescription { name: name.to_owned(), description };
        match self.layout.joining() {
            None => {
                let volumes = self.drive.volumes().iter();
                volumes.map(|volume| described(volume.name(), about(volume))).collect()
            }
            Some(_) => vec![described(self.drive.name(), about_disk(&self.drive))],
        }
    }

    fn open(&self, name: &str) -> Option<OpenedExport> {
        match self.layout.joining() {
            None => self.open_volume(name),
            Some(joining) => self.open_disk(name, joining),
        }
    }
}
