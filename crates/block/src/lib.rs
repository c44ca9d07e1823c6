//! What a block device is, and nothing else.
//!
//! This crate opens no file, speaks no protocol, keeps no clock and starts no task. It is the seam at which
//! everything above a device (sessions) and everything below it (volumes, media) meet:
//!
//! * [`Device`]: takes a [`Request`], gives an [`Execution`].
//! * [`Status`]: what is known of bytes without reading them.
//! * [`Extent`]: the only place where range arithmetic is done.
//! * [`Lent`]: bytes of a read that are passed on without being copied.
//! * [`Error`]: a small [`ErrorKind`] by what the caller should do, with context and source.
//! * [`Medium`]: a device that can be taken away, and the [`Identity`] by which it is recognised.
//! * [`Checked`]: wraps any device and asserts the contract of [`Device`].
//! * `conformance` (feature `testing`): the suite that each device passes.
//!
//! A device of one's own, with its contract checked in one place:
//!
//! ```
//! use hotbay_block::{Checked, Device, DeviceInfo, ErrorKind, Execution, Extent, Payload, Reply, Request};
//!
//! #[derive(Debug)]
//! struct Zeroes;
//!
//! impl Device for Zeroes {
//!     fn info(&self) -> DeviceInfo {
//!         DeviceInfo { size_bytes: 1 << 20, preferred_block_bytes: 4096, read_only: true, rotational: false }
//!     }
//!
//!     fn execute(&self, request: Request) -> Execution {
//!         Execution::Done(Ok(match request {
//!             Request::Read { extent, .. } => Reply::Data(Payload::zeroes(extent)),
//!             _ => Reply::Done,
//!         }))
//!     }
//! }
//!
//! fn refused(execution: Execution) -> Option<ErrorKind> {
//!     match execution {
//!         Execution::Done(Err(error)) => Some(error.kind()),
//!         _ => None,
//!     }
//! }
//!
//! let zeroes = Checked::new(Zeroes);
//! let (inside, outside) = (Extent::new(0, 512).unwrap(), Extent::new(1 << 20, 512).unwrap());
//! assert_eq!(refused(zeroes.execute(Request::read(inside))), None);
//! assert_eq!(refused(zeroes.execute(Request::read(outside))), Some(ErrorKind::Invalid));
//! ```

mod checked;
#[cfg(feature = "testing")]
pub mod conformance;
mod device;
mod error;
mod extent;
mod lent;
mod medium;
#[cfg(feature = "testing")]
mod memory;
mod payload;
mod request;
mod status;

pub use checked::Checked;
pub use device::{BoxFuture, Device, DeviceInfo, Execution};
pub use error::{Error, ErrorKind, Result, with_sources};
pub use extent::Extent;
pub use lent::{Lent, Pipe};
pub use medium::{Identity, Medium};
#[cfg(feature = "testing")]
pub use memory::MemoryDevice;
pub use payload::{Part, Payload};
pub use request::{Durability, Hole, Reply, Request, Speed};
pub use status::{Allocation, Place, Status};
