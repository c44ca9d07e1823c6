//! What clients can open: how a layout makes exports of volumes.
//!
//! Each export's description ends with what identifies its content, by which `hotbay attach` knows it again.

use std::sync::Arc;

use hotbay_block::Device;
use hotbay_drive::{Drive, JoinedDisk, Joining, Mirror, Part, Volume};
use hotbay_media::ByteSize;
use hotbay_server::{ExportDescription, Exports, OpenedExport, Peer};

use crate::attach::ContentId;
use crate::config::{Config, DiskPart, Layout, Name, disk_parts};
use crate::export_terms::{ExportTerms, Terms};
use crate::failure::Failure;
use crate::mirror_record::{MirrorFile, serve_apart};

/// The exports of a drive. Where the volumes make one disk there is one, named as the drive; else the first volume's is the
/// default one.
#[derive(Clone, Debug)]
pub(crate) struct LayoutExports {
    drive: Arc<Drive>,
    layout: Layout,
    disk: Disk,
    mirrors: Vec<Arc<Mirror>>,
    terms: ExportTerms,
}

/// What the volumes make.
#[derive(Clone, Debug)]
enum Disk {
    /// Each its own.
    OfEach,
    Joined(Arc<JoinedDisk>),
    Mirror(Arc<Mirror>),
}

impl Disk {
    /// The one of all volumes, which lie on it as they are or as copies of mirrors. Those mirrors, too.
    async fn joined(
        drive: &Drive,
        config: &Config,
        joining: Joining,
    ) -> Result<(Self, Vec<Arc<Mirror>>), Failure> {
        let (mut parts, mut mirrors) = (Vec::new(), Vec::new());
        for part in disk_parts(&config.volumes) {
            parts.push(match part {
                DiskPart::Volume(name) => Part::Volume(drive.volume(&name.to_string())?),
                DiskPart::Mirror(name, copies) => {
                    let mirror = mirror_of(drive, config, name, &copies).await?;
                    mirrors.push(Arc::clone(&mirror));
                    Part::Mirror(mirror)
                }
            });
        }
        let disk = JoinedDisk::new(drive.name(), joining, parts)?;
        Ok((Self::Joined(Arc::new(disk)), mirrors))
    }

    /// The mirror of all volumes.
    async fn mirror(drive: &Drive, config: &Config) -> Result<(Self, Vec<Arc<Mirror>>), Failure> {
        let records = Arc::new(MirrorFile::of_all(&config.state));
        let mirror = Arc::new(Mirror::start(drive, records).await?);
        Ok((Self::Mirror(Arc::clone(&mirror)), vec![mirror]))
    }
}

/// The mirror of some volumes, as one part of a disk.
async fn mirror_of(
    drive: &Drive,
    config: &Config,
    name: &Name,
    copies: &[&Name],
) -> Result<Arc<Mirror>, Failure> {
    let volumes: Vec<Arc<Volume>> =
        copies.iter().map(|copy| drive.volume(&copy.to_string())).collect::<Result<_, _>>()?;
    let records = Arc::new(MirrorFile::of_part(&config.state, name));
    Ok(Arc::new(Mirror::start_of(drive, &name.to_string(), &volumes, records).await?))
}

/// Lets no earlier mirror take volumes for its copies again that are no longer its own.
fn note_who_is_apart(
    drive: &Drive,
    config: &Config,
    mirrors: &[Arc<Mirror>],
) -> Result<(), Failure> {
    let made: Vec<String> = mirrors.iter().map(|mirror| mirror.record_place()).collect();
    let volumes: Vec<[u8; 16]> = drive.volumes().iter().map(|volume| volume.content().0).collect();
    serve_apart(&config.state, &made, &volumes)
}

impl LayoutExports {
    /// Those of `drive`, whose state directory is held by this process.
    ///
    /// # Errors
    /// Where its volumes cannot be laid out so.
    pub(crate) async fn new(drive: &Arc<Drive>, config: &Config) -> Result<Self, Failure> {
        let layout = config.layout;
        let (disk, mirrors) = match layout {
            Layout::Volumes => (Disk::OfEach, Vec::new()),
            Layout::Partitions => Disk::joined(drive, config, Joining::Partitions).await?,
            Layout::Linear => Disk::joined(drive, config, Joining::Linear).await?,
            Layout::Mirror => Disk::mirror(drive, config).await?,
        };
        note_who_is_apart(drive, config, &mirrors)?;
        let (drive, terms) = (Arc::clone(drive), ExportTerms::of(config));
        Ok(Self { drive, layout, disk, mirrors, terms })
    }

    /// How the volumes become exports.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// On what terms they are opened.
    pub(crate) fn terms(&self) -> ExportTerms {
        self.terms.clone()
    }

    /// The mirror that has a copy on this volume.
    pub(crate) fn mirror_on(&self, volume: &str) -> Option<&Mirror> {
        self.mirrors.iter().map(Arc::as_ref).find(|mirror| mirror.copy(volume).is_some())
    }

    /// The name of the export that a volume is in.
    pub(crate) fn of_volume<'a>(&'a self, volume: &'a str) -> &'a str {
        match self.disk {
            Disk::OfEach => volume,
            Disk::Joined(_) | Disk::Mirror(_) => self.drive.name(),
        }
    }

    /// The identity of what an export serves, which it keeps for as long as it lives.
    pub(crate) fn id_of(&self, export: &str) -> Option<[u8; 16]> {
        match &self.disk {
            Disk::OfEach => self.drive.volume(export).ok().map(|volume| volume.content().0),
            Disk::Joined(disk) => Some(disk.content().0),
            Disk::Mirror(mirror) => Some(mirror.id()),
        }
    }

    /// To be called when no session is open any more, before the drive is stopped.
    pub(crate) async fn stop(&self) {
        for mirror in &self.mirrors {
            mirror.stop().await;
        }
    }

    /// All exports, whoever may open them.
    pub(crate) fn all(&self) -> Vec<ExportDescription> {
        let described =
            |name: &str, description| ExportDescription { name: name.to_owned(), description };
        match self.disk {
            Disk::OfEach => {
                let volumes = self.drive.volumes();
                volumes.iter().map(|volume| described(volume.name(), self.about(volume))).collect()
            }
            Disk::Joined(_) | Disk::Mirror(_) => {
                vec![described(self.drive.name(), self.about_disk())]
            }
        }
    }

    fn open_volume(&self, volume: &Arc<Volume>) -> OpenedExport {
        let device = volume.open();
        // After the volume was opened: whoever opens an earlier content than is told is closed at once.
        let content = volume.content();
        let terms = self.terms.of_volume(volume.name());
        described(volume.name(), self.about(volume), terms.present(device), content)
    }

    fn open_joined(&self, joined: &JoinedDisk) -> Option<OpenedExport> {
        let disk = self.drive.name();
        let device = joined.open().inspect_err(|refusal| {
            tracing::warn!(disk, "cannot be opened: {refusal}");
        });
        let device = self.terms_of_disk().present(device.ok()?);
        // After the disk was opened: whoever opens an earlier content than is told is closed at once.
        Some(described(disk, self.about_disk(), device, joined.content()))
    }

    fn open_mirror(&self, mirror: &Mirror) -> OpenedExport {
        let about = format!("mirror of {}", self.about_disk());
        let device = self.terms_of_disk().present(mirror.open());
        // After the mirror was opened: whoever opens an earlier content than is told is closed at once.
        let content = mirror.content();
        described(self.drive.name(), about, device, (mirror.id(), content))
    }

    fn terms_of_disk(&self) -> Terms {
        let volumes = self.drive.volumes();
        Terms::joined(volumes.iter().map(|volume| self.terms.of_volume(volume.name())))
    }

    /// Whether a client may open the disk that the volumes make: where it may open each of them.
    fn admits_to_disk(&self, peer: &Peer) -> bool {
        self.drive.volumes().iter().all(|volume| self.terms.admit(peer, volume.name()))
    }

    fn about(&self, volume: &Volume) -> String {
        let (name, terms) = (volume.name(), self.terms.of_volume(volume.name()));
        match terms.description.as_str() {
            "" => format!("volume {name}"),
            description => format!("{description}, volume {name}"),
        }
    }

    fn about_disk(&self) -> String {
        let volumes = self.drive.volumes();
        let names: Vec<&str> = volumes.iter().map(|volume| volume.name()).collect();
        format!("volumes {}", names.join(" and "))
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

impl Exports for LayoutExports {
    fn list(&self, peer: &Peer) -> Vec<ExportDescription> {
        let mut exports = self.all();
        match self.disk {
            Disk::OfEach => exports.retain(|export| self.terms.admit(peer, &export.name)),
            Disk::Joined(_) | Disk::Mirror(_) => exports.retain(|_| self.admits_to_disk(peer)),
        }
        exports
    }

    fn open(&self, name: &str, peer: &Peer) -> Option<OpenedExport> {
        if let Disk::OfEach = self.disk {
            let volume = match name {
                "" => self.drive.volumes().into_iter().next()?,
                name => self.drive.volume(name).ok()?,
            };
            return self.terms.admit(peer, volume.name()).then(|| self.open_volume(&volume));
        }
        let is_the_disk = name.is_empty() || name == self.drive.name();
        match &self.disk {
            Disk::Joined(disk) if is_the_disk && self.admits_to_disk(peer) => {
                self.open_joined(disk)
            }
            Disk::Mirror(mirror) if is_the_disk && self.admits_to_disk(peer) => {
                Some(self.open_mirror(mirror))
            }
            Disk::OfEach | Disk::Joined(_) | Disk::Mirror(_) => None,
        }
    }
}
