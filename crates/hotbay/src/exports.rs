//! What clients can open: how a layout makes exports of volumes.
//!
//! Each export's description ends with what identifies its content, by which `hotbay attach` knows it again.

use std::path::Path;
use std::sync::Arc;

use hotbay_block::Device;
use hotbay_drive::{Drive, Joining, Mirror, Volume};
use hotbay_media::ByteSize;
use hotbay_server::{ExportDescription, Exports, OpenedExport};

use crate::attach::ContentId;
use crate::config::Layout;
use crate::failure::Failure;
use crate::mirror_record::MirrorFile;

/// The exports of a drive. Where the volumes make one disk there is one, named as the drive; else the first volume's is the
/// default one.
#[derive(Clone, Debug)]
pub(crate) struct LayoutExports {
    drive: Arc<Drive>,
    layout: Layout,
    disk: Disk,
}

/// What the volumes make.
#[derive(Clone, Debug)]
enum Disk {
    /// Each its own.
    OfEach,
    Joined(Joining),
    Mirror(Arc<Mirror>),
}

impl LayoutExports {
    /// Those of `drive`, whose state directory is held by this process.
    ///
    /// # Errors
    /// Where its volumes cannot be laid out so.
    pub(crate) async fn new(
        drive: &Arc<Drive>,
        layout: Layout,
        state: &Path,
    ) -> Result<Self, Failure> {
        let disk = match layout {
            Layout::Volumes => Disk::OfEach,
            Layout::Partitions => Disk::Joined(Joining::Partitions),
            Layout::Linear => Disk::Joined(Joining::Linear),
            Layout::Mirror => {
                let records = Arc::new(MirrorFile::of(state));
                Disk::Mirror(Arc::new(Mirror::start(drive, records).await?))
            }
        };
        if let Disk::Joined(joining) = disk {
            drive.open_joined(joining)?;
        }
        Ok(Self { drive: Arc::clone(drive), layout, disk })
    }

    /// How the volumes become exports.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// The mirror of which the volumes are copies.
    pub(crate) fn mirror(&self) -> Option<&Mirror> {
        match &self.disk {
            Disk::Mirror(mirror) => Some(mirror),
            Disk::OfEach | Disk::Joined(_) => None,
        }
    }

    /// The name of the export that a volume is in.
    pub(crate) fn of_volume<'a>(&'a self, volume: &'a str) -> &'a str {
        match self.disk {
            Disk::OfEach => volume,
            Disk::Joined(_) | Disk::Mirror(_) => self.drive.name(),
        }
    }

    /// To be called when no session is open any more, before the drive is stopped.
    pub(crate) async fn stop(&self) {
        if let Some(mirror) = self.mirror() {
            mirror.stop().await;
        }
    }

    fn open_volume(&self, name: &str) -> Option<OpenedExport> {
        let volume = match name {
            "" => self.drive.volumes().into_iter().next()?,
            name => self.drive.volume(name).ok()?,
        };
        let device = volume.open();
        // After the volume was opened: whoever opens an earlier content than is told is closed at once.
        Some(described(volume.name(), about(&volume), device, volume.content()))
    }

    fn open_joined(&self, joining: Joining) -> Option<OpenedExport> {
        let disk = self.drive.name();
        let device = self.drive.open_joined(joining).inspect_err(|refusal| {
            tracing::warn!(disk, "cannot be opened: {refusal}");
        });
        let content = self.drive.joined_content(joining);
        Some(described(disk, about_disk(&self.drive), device.ok()?, content))
    }

    fn open_mirror(&self, mirror: &Mirror) -> OpenedExport {
        let about = format!("mirror of {}", about_disk(&self.drive));
        described(self.drive.name(), about, mirror.open(), (mirror.id(), 0))
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
    let volumes = drive.volumes();
    let names: Vec<&str> = volumes.iter().map(|volume| volume.name()).collect();
    format!("volumes {}", names.join(" and "))
}

impl Exports for LayoutExports {
    fn list(&self) -> Vec<ExportDescription> {
        let described =
            |name: &str, description| ExportDescription { name: name.to_owned(), description };
        match self.disk {
            Disk::OfEach => {
                let volumes = self.drive.volumes();
                volumes.iter().map(|volume| described(volume.name(), about(volume))).collect()
            }
            Disk::Joined(_) | Disk::Mirror(_) => {
                vec![described(self.drive.name(), about_disk(&self.drive))]
            }
        }
    }

    fn open(&self, name: &str) -> Option<OpenedExport> {
        let is_the_disk = name.is_empty() || name == self.drive.name();
        match &self.disk {
            Disk::OfEach => self.open_volume(name),
            Disk::Joined(joining) if is_the_disk => self.open_joined(*joining),
            Disk::Mirror(mirror) if is_the_disk => Some(self.open_mirror(mirror)),
            Disk::Joined(_) | Disk::Mirror(_) => None,
        }
    }
}
