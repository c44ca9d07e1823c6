//! Things that hold blocks: regular files, block devices, memory, exports of other servers; and how to recognise
//! them.
//!
//! This crate knows no volumes, no configuration and no server; it decides nothing about a medium that went
//! away, it only says so. It checks no ranges: that is what [`hotbay_block::Checked`] above it is for.
//! Tokio serves for threads that may block, for waiting until they, or the kernel, are done, and for the sockets
//! and deadlines of remote media. So the runtime needs its I/O driver and its timer.
//!
//! * [`MediumSpec`], [`ByteSize`]: how a medium and a size are written.
//! * [`Shelf`]: finds and opens what a [`MediumSpec`] names.
//! * [`DeviceNews`]: what the kernel tells of block devices that come and go.
//! * [`FileMedium`], [`MemoryMedium`], [`RemoteMedium`]: the media.
//! * [`FaultPlan`], [`FaultSpec`]: faults that a test asks for; every medium that a [`Shelf`] opens can have them.
//! * [`content_ids`]: the identifiers in the first [`IDENTIFYING_BYTES`] of a content.
//!
//! Inside, from the bottom: `sys` (system calls with `unsafe`), `sysfs`, `uevent`, `lock`; `open_file` (a descriptor
//! and whether the medium behind it is still there), `transfer` (reads and writes, and what would wait),
//! `cold_reads` (by io_uring, with the other `unsafe`), `zeroing`, `sync_queue`; `remote`, an NBD client.
//!
//! ```
//! use hotbay_media::{MediumSpec, Shelf};
//!
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! let directory = tempfile::tempdir().unwrap();
//! let spec: MediumSpec = format!("file:{}/a.img?create=1MiB", directory.path().display()).parse().unwrap();
//! let medium = Shelf::new().open(&spec, "usb").await.unwrap();
//! assert_eq!(medium.info().size_bytes, 1 << 20);
//!
//! std::fs::remove_file(directory.path().join("a.img")).unwrap();
//! assert!(medium.presence().await.is_err(), "nobody will find again what is written there");
//! # });
//! ```

mod cold_reads;
mod device_news;
mod disk_name;
mod fault;
mod file;
mod holes;
mod identity;
mod lending;
mod lock;
mod memory;
mod open;
mod open_file;
mod pool;
mod remote;
mod size;
mod spec;
mod sync_queue;
mod sys;
mod sysfs;
mod transfer;
mod uevent;
mod zeroing;

pub use device_news::DeviceNews;
pub use disk_name::DiskName;
pub use fault::{ArmedFault, FaultError, FaultPlan, FaultSpec, TooManyFaults};
pub use file::FileMedium;
pub use identity::{IDENTIFYING_BYTES, content_ids};
pub use memory::MemoryMedium;
pub use open::Shelf;
pub use remote::{RemoteMedium, TlsTerms, tls_to};
pub use size::{ByteSize, SizeError};
pub use spec::{MediumSpec, SpecError};
pub use sysfs::hardware_of;
