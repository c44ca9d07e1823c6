//! What a server serves.

use std::fmt;
use std::sync::Arc;

use hotbay_block::{BoxFuture, Device, DeviceInfo};
use hotbay_nbd::limits::PAYLOAD_BYTES_MAX;
use hotbay_nbd::{BlockSizes, Export, ExportDescription, TransmissionFlags};

use crate::Peer;
use crate::contexts::Context;

/// Where a server finds its exports. Asked as often as clients ask, from any task; must not wait.
pub trait Exports: Send + Sync {
    /// The exports that this client may open.
    fn list(&self, peer: &Peer) -> Vec<ExportDescription>;

    /// The export of this name; of the default one where the name is empty; `None` where there is none that this client may open.
    fn open(&self, name: &str, peer: &Peer) -> Option<OpenedExport>;
}

/// An export that a client has asked for.
#[derive(Clone)]
pub struct OpenedExport {
    /// The name that it is known by, also where it was asked for by the empty one.
    pub name: String,
    /// For people; may be empty.
    pub description: String,
    /// What holds its blocks. Kept until the session has ended.
    pub device: Arc<dyn Device>,
}

impl fmt::Debug for OpenedExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedExport").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A device that a client is being told about.
pub(crate) struct Opened {
    pub(crate) device: Arc<dyn Device>,
    /// Completes when what the client was told is true no more.
    pub(crate) exchanged: BoxFuture<'static, ()>,
}

/// [`Exports`] as the negotiation with a client sees them.
pub(crate) struct Negotiable<'a>(pub(crate) &'a dyn Exports, pub(crate) &'a Peer);

impl hotbay_nbd::Exports for Negotiable<'_> {
    type Opened = Opened;

    fn list(&self) -> Vec<ExportDescription> {
        self.0.list(self.1)
    }

    fn contexts(&self) -> &'static [&'static str] {
        Context::NAMES
    }

    fn open(&self, name: &str) -> Option<(Export, Self::Opened)> {
        let OpenedExport { name, description, device } = self.0.open(name, self.1)?;
        // Before the device is described: an exchange that comes between the two closes the session.
        let exchanged = device.exchanged();
        let info = device.info();
        let export = Export {
            name,
            description,
            size_bytes: info.size_bytes,
            flags: flags(info),
            block_sizes: block_sizes(info),
        };
        Some((export, Opened { device, exchanged }))
    }
}

/// What a device can do, as a client is told.
///
/// CAN_MULTI_CONN always: a device's flush covers every change that was answered before it, on whichever
/// session. SEND_FAST_ZERO always: it says that the question is understood; each request is answered as it is then.
/// A read-only export offers nothing that changes it.
const fn flags(info: DeviceInfo) -> TransmissionFlags {
    let changes = TransmissionFlags::SEND_FUA
        .with(TransmissionFlags::SEND_TRIM)
        .with(TransmissionFlags::SEND_WRITE_ZEROES)
        .with(TransmissionFlags::SEND_FAST_ZERO);
    TransmissionFlags::HAS_FLAGS
        .with(TransmissionFlags::SEND_FLUSH)
        .with(TransmissionFlags::SEND_CACHE)
        .with(TransmissionFlags::CAN_MULTI_CONN)
        .with_if(info.rotational, TransmissionFlags::ROTATIONAL)
        .with_if(info.read_only, TransmissionFlags::READ_ONLY)
        .with_if(!info.read_only, changes)
}

/// Any alignment is accepted. The protocol wants the preferred size to be a power of two of at least 512.
fn block_sizes(info: DeviceInfo) -> BlockSizes {
    let preferred = info.preferred_block_bytes.clamp(512, PAYLOAD_BYTES_MAX).next_power_of_two();
    BlockSizes { minimum: 1, preferred, maximum: PAYLOAD_BYTES_MAX }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use hotbay_block::{Execution, MemoryDevice, Request};
    use hotbay_nbd::Exports as _;
    use tokio::sync::watch;

    use super::*;

    /// A device that is exchanged while it is being described.
    #[derive(Debug)]
    struct Restless(watch::Sender<()>, MemoryDevice);

    impl Device for Restless {
        fn info(&self) -> DeviceInfo {
            let info = self.1.info();
            self.0.send_replace(());
            info
        }

        fn execute(&self, request: Request) -> Execution {
            self.1.execute(request)
        }

        fn exchanged(&self) -> BoxFuture<'static, ()> {
            let mut exchanged = self.0.subscribe();
            Box::pin(async move { exchanged.changed().await.unwrap() })
        }
    }

    struct One(Arc<dyn Device>);

    impl Exports for One {
        fn list(&self, _: &Peer) -> Vec<ExportDescription> {
            Vec::new()
        }

        fn open(&self, _: &str, _: &Peer) -> Option<OpenedExport> {
            let (name, description) = (String::new(), String::new());
            Some(OpenedExport { name, description, device: self.0.clone() })
        }
    }

    #[test]
    fn an_exchange_amid_the_description_is_not_missed() {
        let device = Arc::new(Restless(watch::channel(()).0, MemoryDevice::new(512)));
        let (_, opened) = Negotiable(&One(device), &Peer::default()).open("").unwrap();
        assert!(opened.exchanged.now_or_never().is_some());
    }
}
