//! Test doubles, all of which enter through the public seams, and the words in which the tests are told.

#![allow(dead_code, unused_imports, reason = "each test uses its part")]
#![allow(missing_docs, unreachable_pub, reason = "for tests only")]

pub mod disk;
pub mod medium;
pub mod pair;
pub mod partition;
pub mod storage;
pub mod words;
pub mod world;

pub use disk::{Disk, Fault, Op};
pub use medium::MOST_BYTES;
pub use pair::{MIB, Pair, SIZE_BYTES, as_dyn, both_in_sync, until_in_sync};
pub use partition::Partition;
pub use storage::{MemoryMirrorRecords, Refuses};
pub use words::*;
pub use world::{Process, SIZE, World, life};
