//! A machine of which nothing is left to chance that a seed does not decide: disks that cache, tear, hang and go, journals in
//! memory, clients with a ledger of what they were told, and the ways in which a daemon ends.

#![allow(dead_code, unused_imports, reason = "each test uses its part")]
#![allow(missing_docs, unreachable_pub, reason = "for tests only")]

pub mod chance;
pub mod client;
pub mod disk;
pub mod journal_disk;
pub mod ledger;
pub mod life;
pub mod medium;
pub mod parts;
pub mod platter;
pub mod shelf;
pub mod tape;
pub mod view;

pub use chance::Chance;
pub use client::{Client, Habits};
pub use disk::{Disk, Fault, Mood, Op};
pub use ledger::{Ledger, Survives};
pub use life::Life;
pub use parts::{Machine, Plan};
pub use tape::{Moment, Tape};
pub use view::View;

/// The bytes of a place, of which a ledger keeps account: what a disk writes whole or not at all.
pub const PLACE_BYTES: u64 = 512;

/// More than anything may take, on a clock that runs ahead.
pub const STUCK: std::time::Duration = std::time::Duration::from_secs(900);
