//! The reference device: as little code as the contract allows.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Device, DeviceInfo, Execution, Payload, Reply, Request};

/// Bytes behind one lock. For tests: what every other device is compared with, and what layers are tried on.
///
/// It checks no ranges (that is for [`Checked`](crate::Checked)) and panics past its end.
#[derive(Debug)]
pub struct MemoryDevice {
    info: DeviceInfo,
    bytes: Mutex<Vec<u8>>,
}

impl MemoryDevice {
    /// A device of this many bytes, all zeroes.
    ///
    /// # Panics
    /// Where the size does not fit in memory.
    #[must_use]
    pub fn new(size_bytes: u64) -> Self {
        let length = usize::try_from(size_bytes).expect("a device in memory fits in memory");
        Self::with_content(vec![0; length])
    }

    /// A device that holds these bytes.
    #[must_use]
    pub fn with_content(bytes: Vec<u8>) -> Self {
        let info = DeviceInfo {
            size_bytes: bytes.len() as u64,
            preferred_block_bytes: 4096,
            read_only: false,
            rotational: false,
        };
        Self { info, bytes: Mutex::new(bytes) }
    }

    /// It, refusing changes once a [`Checked`](crate::Checked) is around it.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.info.read_only = true;
        self
    }

    /// A copy of all that it holds now.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        self.lock().clone()
    }

    /// A panic of another test's thread leaves bytes that are still bytes.
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Device for MemoryDevice {
    fn info(&self) -> DeviceInfo {
        self.info
    }

    fn execute(&self, request: Request) -> Execution {
        let mut bytes = self.lock();
        let all = crate::Extent::between(0, self.info.size_bytes);
        let reply = match request {
            Request::Read { extent, mut buffer, .. } => {
                buffer.clear();
                buffer.extend_from_slice(&bytes[all.range_of(extent)]);
                Reply::Data(Payload::from(buffer.freeze()))
            }
            Request::Write { extent, data, .. } => {
                bytes[all.range_of(extent)].copy_from_slice(&data);
                Reply::Done
            }
            Request::Zero { extent, .. } | Request::Trim { extent, .. } => {
                bytes[all.range_of(extent)].fill(0);
                Reply::Done
            }
            Request::Cache { .. } | Request::Flush => Reply::Done,
        };
        Execution::Done(Ok(reply))
    }
}
