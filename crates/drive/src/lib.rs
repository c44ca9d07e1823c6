//! A drive: its bays, its volumes, and what happens to a volume when its medium is pulled out, fails, comes
//! back or is exchanged.
//!
//! This crate opens no socket and no file, and knows no concrete medium, no NBD and no configuration file. Media
//! come from a [`MediumSource`], what must outlive the daemon goes to [`Records`] and to the journal, and the world
//! sees a volume as a [`block::Device`](hotbay_block::Device).
//!
//! Where to look:
//! * the states and every (state, trigger) pair: [`State`], [`Trigger`], [`answer`];
//! * a request on its way: `handle` → `on_medium` or `on_journal`;
//! * what is kept until the medium's next successful sync: `retained`, `attachment`; on its way to the journal: `backlog`;
//! * volumes as one disk: `layout`; volumes as copies of each other: `mirror`;
//! * a medium going: `removal`; coming: `insertion`, `replay`; exchanged: `swap`, `copy`;
//! * whether it is the one that went: `recognise`, `witness`, `observed`; where it was changed: `conflict`;
//! * whose medium a changer loads next: `turns`;
//! * a volume coming or going: `members`, `retire`; growing: `grow`.
//!
//! The transitions are a table that can be asked; a whole drive in another program, with a medium of its own, is in
//! `examples/embedded_drive.rs`:
//!
//! ```
//! use hotbay_drive::{Answer, State, Trigger, answer};
//!
//! assert_eq!(answer(State::Present, Trigger::Pull), Answer::Go(State::Absent));
//! assert_eq!(answer(State::Absent, Trigger::Insert), Answer::Go(State::Replaying));
//! assert!(matches!(answer(State::Absent, Trigger::Pull), Answer::Refuse(..)));
//! ```

mod adoption;
mod attachment;
mod backlog;
mod bay;
mod bring;
mod buffers;
mod claims;
mod conflict;
mod copy;
mod dirty;
mod drive;
mod driven;
mod errand;
mod event;
mod exchange;
mod failure;
mod gate;
mod group;
mod grow;
mod handle;
mod insertion;
mod journal_log;
mod layout;
mod map;
mod members;
mod mirror;
mod observed;
mod observing;
mod on_journal;
mod on_medium;
mod patience;
mod reclaim;
mod recognise;
mod record;
mod removal;
mod replay;
mod rest;
mod retained;
mod retire;
mod room;
mod route;
mod settings;
mod source;
mod start;
mod state;
mod status;
mod stop;
mod swap;
mod sync_along;
mod sync_place;
#[cfg(feature = "testing")]
pub mod testing;
mod told;
mod turns;
mod under_way;
mod volume;
mod watch;
mod witness;

pub use bay::WhenOccupied;
pub use conflict::Resolution;
pub use drive::{Drive, DriveSettings};
pub use event::{Event, EventKind, EventLog, Events};
pub use failure::Refusal;
pub use layout::{JoinedDisk, Joining, Part};
pub use mirror::{CopyRecord, CopyStatus, Differences, Mirror, MirrorRecord, MirrorRecords, Scrub};
pub use record::{Records, VolumeRecord};
pub use retire::{Leavings, WhenHeld, WhenOpen};
pub use room::{WaitingForRoom, WhatIsFull};
pub use settings::{AbsentReads, AutoInsert, JournalFull, Retention, VolumeSettings};
pub use source::MediumSource;
pub use start::VolumeSetup;
pub use state::{Answer, State, Trigger, answer};
pub use status::{DriveStatus, JournalStatus, Progress, VolumeStatus};
pub use turns::{Exchange, Turn, TurnPolicy, Turns};
pub use volume::Volume;
pub use witness::{Witness, WitnessBlock};
