//! What a kernel makes of a partition.

use std::sync::Arc;

use hotbay_block::{BoxFuture, Checked, Device, DeviceInfo, Execution, Extent, Request};

use super::words::extent;

/// A device of some bytes of a disk.
#[derive(Debug)]
pub struct Partition {
    disk: Arc<dyn Device>,
    extent: Extent,
}

impl Partition {
    /// The one that begins there, and has this length in bytes.
    pub fn at(disk: &Arc<dyn Device>, offset: u64, length: u64) -> Arc<dyn Device> {
        let partition = Self { disk: Arc::clone(disk), extent: extent(offset, length) };
        Arc::new(Checked::new(Arc::new(partition)))
    }
}

impl Device for Partition {
    fn info(&self) -> DeviceInfo {
        DeviceInfo { size_bytes: self.extent.length(), ..self.disk.info() }
    }

    fn execute(&self, request: Request) -> Execution {
        match request.extent() {
            Some(extent) => self.disk.execute(request.at(extent.offset() + self.extent.offset())),
            None => self.disk.execute(request),
        }
    }

    fn exchanged(&self) -> BoxFuture<'static, ()> {
        self.disk.exchanged()
    }
}
