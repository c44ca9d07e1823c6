//! On what terms exports are opened: by whom, and as what.

use std::collections::BTreeMap;
use std::sync::Arc;

use hotbay_block::{BoxFuture, Device, DeviceInfo, Execution, Extent, Request, Status};
use hotbay_server::Peer;
use parking_lot::RwLock;

use crate::config::{Allowed, Config, VolumeConfig};

/// The terms of each volume. All clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct ExportTerms {
    volumes: Arc<RwLock<BTreeMap<String, Terms>>>,
    /// The daemon's own user.
    own_user: u32,
}

/// The terms of one volume, or of several that make one disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    allow: Arc<[Allowed]>,
    read_only: bool,
    rotational: bool,
    /// For people; may be empty.
    pub(crate) description: String,
}

impl ExportTerms {
    /// Those of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let volumes = config.volumes.iter();
        let volumes = volumes.map(|volume| (volume.name.to_string(), Terms::of(volume))).collect();
        let own_user = rustix::process::geteuid().as_raw();
        Self { volumes: Arc::new(RwLock::new(volumes)), own_user }
    }

    /// Sets those of a volume: before it is there, or for the sessions to come.
    pub(crate) fn set(&self, volume: &VolumeConfig) {
        self.volumes.write().insert(volume.name.to_string(), Terms::of(volume));
    }

    /// Those of a volume. Nobody may open one that has none.
    pub(crate) fn of_volume(&self, volume: &str) -> Terms {
        self.volumes.read().get(volume).cloned().unwrap_or_default()
    }

    /// Whether this client may open the volume. On a Unix socket root and the daemon's own user always may: they could do with
    /// the daemon, and with its media, whatever they like.
    pub(crate) fn admit(&self, peer: &Peer, volume: &str) -> bool {
        let is_operator = peer.user.is_some_and(|user| user == 0 || user == self.own_user);
        is_operator || self.of_volume(volume).allow.iter().any(|allowed| allowed.lets_in(peer))
    }
}

impl Terms {
    fn of(volume: &VolumeConfig) -> Self {
        Self {
            allow: volume.allow.clone().into(),
            read_only: volume.read_only,
            rotational: volume.rotational,
            description: volume.description.clone(),
        }
    }

    /// Those of a disk that is made of volumes with these: read-only where one of them is, for all of it is one device.
    pub(crate) fn joined(terms: impl Iterator<Item = Self>) -> Self {
        terms.fold(Self::default(), |all, one| Self {
            read_only: all.read_only || one.read_only,
            rotational: all.rotational || one.rotational,
            ..all
        })
    }

    /// The device on these terms.
    pub(crate) fn present(&self, device: Arc<dyn Device>) -> Arc<dyn Device> {
        if !self.read_only && !self.rotational {
            return device;
        }
        let Self { read_only, rotational, .. } = *self;
        Arc::new(Presented { device, read_only, rotational })
    }
}

/// A device that says more of itself than what is below it; whoever serves it keeps to what it says.
#[derive(Debug)]
struct Presented {
    device: Arc<dyn Device>,
    read_only: bool,
    rotational: bool,
}

impl Device for Presented {
    fn info(&self) -> DeviceInfo {
        let info = self.device.info();
        DeviceInfo {
            read_only: info.read_only || self.read_only,
            rotational: info.rotational || self.rotational,
            ..info
        }
    }

    fn execute(&self, request: Request) -> Execution {
        self.device.execute(request)
    }

    fn status(
        &self,
        extent: Extent,
        most: usize,
    ) -> BoxFuture<'static, hotbay_block::Result<Vec<Status>>> {
        self.device.status(extent, most)
    }

    fn exchanged(&self) -> BoxFuture<'static, ()> {
        self.device.exchanged()
    }
}
