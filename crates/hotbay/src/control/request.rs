//! The vocabulary of the control socket. `docs/control.md` has an example of each; a test reads them all.
//!
//! Both enums are closed. A request with a key that is not here is refused, so that a typing error in a script
//! is told and not ignored. Sizes are in bytes, times in milliseconds, with the unit in the key's name.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What a command asks of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ControlRequest {
    /// What state everything is in. Answered with [`ControlReply::Status`].
    Status {
        /// This volume alone; all of them where it is missing.
        #[serde(default)]
        volume: Option<String>,
    },
    /// Put a medium into a bay. Done when it was accepted and the journal was replayed to it.
    Insert {
        /// Whose medium.
        volume: String,
        /// Which one; the one that was in last where it is missing.
        #[serde(default)]
        medium: Option<String>,
        /// What to do where every bay is occupied.
        #[serde(default)]
        occupied: Occupied,
        /// What it is to the volume.
        #[serde(default)]
        medium_is: MediumIs,
    },
    /// Take the medium out politely. Done when it may be taken away.
    Eject {
        /// Whose medium.
        volume: String,
    },
    /// Take the medium out as a hand would: no sync, no drain. Done at once.
    Pull {
        /// Whose medium.
        volume: String,
    },
    /// Exchange the medium for another one. Done when the volume is on the new one.
    Swap {
        /// Whose medium.
        volume: String,
        /// The new one.
        medium: String,
        /// Where the content comes from.
        #[serde(default)]
        content: SwapContent,
    },
    /// Decide what counts where the medium was changed while it was away. Done when the journal was replayed to it, or
    /// given up.
    Resolve {
        /// Of which volume.
        volume: String,
        /// What counts.
        by: ResolveBy,
    },
    /// Arm faults, or end all of them. Done at once; `status` shows what is armed.
    Fault {
        /// Of which volume.
        volume: String,
        /// Faults to arm beside those that are armed, each in the language of `docs/faults.md`.
        #[serde(default)]
        arm: Vec<String>,
        /// What becomes of those that are armed, before that.
        #[serde(default)]
        armed: Armed,
    },
    /// Compare the copies of a mirror. Answered with [`ControlReply::Scrubbed`].
    Scrub {
        /// The copy that the others are compared with.
        volume: String,
        /// What to do with those that differ.
        #[serde(default)]
        differences: WhenDifferent,
    },
    /// Wait for a state. Answered with [`ControlReply::Done`] or [`ControlReply::TimedOut`].
    Wait {
        /// Of which volume.
        volume: String,
        /// Which state.
        state: State,
        /// How long at most, in milliseconds.
        timeout_ms: u64,
    },
    /// Add a volume while the daemon runs, and remember it. Done when its medium is in, or it has no bay.
    VolumeAdd {
        /// Its name.
        volume: String,
        /// Its medium.
        medium: String,
    },
    /// Remove a volume, and remember that. Answered with [`ControlReply::Removed`].
    VolumeRemove {
        /// Which.
        volume: String,
        /// What to do where sessions have it open.
        #[serde(default)]
        sessions: OpenSessions,
        /// What to do where its journal holds what no medium has, or is broken.
        #[serde(default)]
        journal: HeldJournal,
    },
    /// Make a volume and its medium larger. Answered with [`ControlReply::Grown`].
    VolumeGrow {
        /// Which.
        volume: String,
        /// To what size.
        size_bytes: u64,
    },
    /// Read the configuration file again. Answered with [`ControlReply::Reloaded`].
    Reload {},
    /// The events that are remembered, oldest first, each a [`ControlReply::Event`].
    Events {
        /// Leave out those up to and with this number; 0 leaves out none.
        #[serde(default)]
        after_sequence: u64,
        /// What comes after the last one.
        #[serde(default)]
        follow: Follow,
    },
}

/// What counts where a medium was changed while it was away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResolveBy {
    /// The journal, which is laid over the medium as it is.
    Replay,
    /// The medium as it is: the journal is given up, and sessions are closed. Of a copy of a mirror: what the mirror holds.
    Discard,
    /// A copy of a mirror, as the newest one, and sessions are closed.
    Newest,
}

/// What `fault` does with the faults that are armed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Armed {
    /// They stay.
    #[default]
    Keep,
    /// They end: what hangs is carried out, and what is away may come back.
    Clear,
}

/// What the medium of an `insert` is to its volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MediumIs {
    /// The one that it was on.
    #[default]
    Own,
    /// A fresh one, in place of the one that it was on, which is lost for ever. It must be named.
    New,
}

/// What `insert` does where every bay is occupied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Occupied {
    /// It is refused.
    #[default]
    Refuse,
    /// The medium that has been in its bay longest is ejected first.
    Replace,
}

/// Where the content of the new medium comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SwapContent {
    /// From the old medium, copied while the volume is in use.
    #[default]
    Copy,
    /// It stays as it is: to clients another disk, so their sessions are closed.
    AsIs,
}

/// What `scrub` does with copies that differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhenDifferent {
    /// It tells of them.
    #[default]
    Report,
    /// It tells of them, and writes to them what the one copy holds.
    Repair,
}

/// What `volume_remove` does where sessions have the volume open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OpenSessions {
    /// It is refused.
    #[default]
    Refuse,
    /// They are closed.
    Close,
}

/// What `volume_remove` does where the journal holds what no medium has, or is broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HeldJournal {
    /// It is refused.
    #[default]
    Refuse,
    /// The journal stays where it is.
    Keep,
}

/// What `events` does after the last event that is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Follow {
    /// It ends, with [`ControlReply::EndOfEvents`].
    #[default]
    Stop,
    /// It goes on with the next one when that happens, until the client leaves.
    Live,
}

/// What the daemon answers. Each request gets any number of `progress` and `event` lines, then one other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub(crate) enum ControlReply {
    /// The answer to `status`.
    Status(Status),
    /// `insert`, `eject`, `pull`, `swap`, `resolve`, `fault`, `volume_add` or `wait` is done.
    Done {
        /// The volume.
        volume: String,
        /// The state it is in now.
        state: State,
    },
    /// How far it is. More lines follow.
    Progress(Progress),
    /// Something that happened. More lines follow.
    Event(Event),
    /// There are no more events.
    EndOfEvents,
    /// The copies were compared.
    Scrubbed {
        /// The copy that the others were compared with.
        volume: String,
        /// How much was compared.
        compared_bytes: u64,
        /// How much of it lies in ranges where a copy differed.
        differing_bytes: u64,
    },
    /// The volume is none any more.
    Removed {
        /// The volume.
        volume: String,
        /// Where something of it is kept: its journal; `null` where everything is on its medium.
        kept: Option<String>,
    },
    /// The volume is larger.
    Grown {
        /// The volume.
        volume: String,
        /// Its size now, for sessions that are opened from now on.
        size_bytes: u64,
        /// How many sessions are open that keep the earlier size.
        earlier_size_sessions: u32,
    },
    /// The configuration was read again.
    Reloaded {
        /// What differs from what the daemon ran with; empty where nothing does.
        differences: Vec<ReloadedDifference>,
    },
    /// `wait` ran out of time.
    TimedOut {
        /// The volume.
        volume: String,
        /// The state it was in at the end.
        state: State,
    },
    /// The request was refused or failed.
    Failed {
        /// What went wrong, on one line.
        message: String,
        /// What to do about it, where something can be done.
        hint: Option<String>,
    },
}

impl ControlReply {
    /// Whether it is the last line of its answer.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::Progress(_) | Self::Event(_))
    }
}

impl From<Failure> for ControlReply {
    fn from(failure: Failure) -> Self {
        let hint = failure.hint().map(str::to_owned);
        Self::Failed { message: failure.message().to_owned(), hint }
    }
}

/// The state of a volume, as a client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// The medium is in the bay.
    Present,
    /// There is no medium; writes go to the journal.
    Absent,
    /// The medium is back and takes over what is in the journal.
    Replaying,
    /// The content is being copied to another medium.
    Copying,
    /// The medium in the bay was changed while it was away; as absent, until `resolve`.
    Conflict,
    /// The journal itself is broken; every request fails.
    Failed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Present => "present",
            Self::Absent => "absent",
            Self::Replaying => "replaying",
            Self::Copying => "copying",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        })
    }
}

/// Work that takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    /// Bringing what is in the journal to the medium.
    Replaying,
    /// Copying the content to another medium.
    Copying,
    /// Comparing copies.
    Scrubbing,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replaying => "replaying",
            Self::Copying => "copying",
            Self::Scrubbing => "scrubbing",
        })
    }
}

/// How far a command's work is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The volume.
    pub(crate) volume: String,
    /// What is done.
    pub(crate) state: Work,
    /// How far it is.
    #[serde(flatten)]
    pub(crate) work: WorkDone,
}

/// A part of a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WorkDone {
    /// How much is done. Work that is added meanwhile may make it fall behind.
    pub(crate) done_bytes: u64,
    /// How much there is to do, as far as is known.
    pub(crate) total_bytes: u64,
}

/// The drive and its volumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The drive's name.
    pub(crate) drive: String,
    /// How many media fit in at once.
    pub(crate) bays: u32,
    /// How the volumes become exports.
    pub(crate) layout: String,
    /// Where NBD clients connect: `unix:PATH`, `tcp:HOST:PORT`.
    pub(crate) listen: Vec<String>,
    /// Where metrics are served, as a URL; `null` where they are not.
    pub(crate) metrics: Option<String>,
    /// The exports, with what was asked of them.
    pub(crate) exports: Vec<ExportStatus>,
    /// The volumes, in the order of the configuration.
    pub(crate) volumes: Vec<VolumeStatus>,
}

/// One export, and the requests to it that were answered since the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExportStatus {
    /// Its name.
    pub(crate) name: String,
    /// Which block devices of this machine `hotbay attach` has made of it: `/dev/nbdN`.
    #[serde(default)]
    pub(crate) devices: Vec<String>,
    /// How many NBD clients have it open.
    pub(crate) sessions: u32,
    /// Reads.
    pub(crate) reads: OperationStatus,
    /// Writes.
    pub(crate) writes: OperationStatus,
    /// Flushes.
    pub(crate) flushes: OperationStatus,
    /// All others: zeroes, trims, prefetches, and what was no request of these.
    pub(crate) others: OperationStatus,
}

/// The answered requests of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OperationStatus {
    /// How many.
    pub(crate) requests: u64,
    /// How many bytes are in the ranges of those that succeeded.
    pub(crate) bytes: u64,
    /// How many were answered with an error.
    pub(crate) errors: u64,
    /// How long all of them took together, in microseconds.
    pub(crate) time_us: u64,
}

/// One volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VolumeStatus {
    /// Its name.
    pub(crate) name: String,
    /// The name of the export that it is, or is a part of.
    pub(crate) export: String,
    /// Its state.
    pub(crate) state: State,
    /// The medium that is in the bay, or was in last.
    pub(crate) medium: Option<String>,
    /// The bay in which the medium is, counted from 1.
    pub(crate) bay: Option<u32>,
    /// The number of this stay of the medium in its bay; grows with each insert.
    pub(crate) attachment: Option<u64>,
    /// Its size; 0 until its first medium was inserted.
    pub(crate) size_bytes: u64,
    /// How many NBD clients have its export open.
    pub(crate) sessions: u32,
    /// Whether requests wait that only the medium could answer: "please insert".
    pub(crate) waiting_for_medium: bool,
    /// What waits for room in the journal; `null` where nothing does.
    pub(crate) waiting_for_room: Option<WaitingForRoom>,
    /// How many requests wait: for the medium, for room in the journal, or for a change of state to end.
    pub(crate) waiting_requests: u64,
    /// How much was acknowledged and is not yet covered by a sync of the medium.
    pub(crate) retained_bytes: u64,
    /// For how long at most; `null` where there is nothing.
    pub(crate) oldest_retained_ms: Option<u64>,
    /// Why the medium was lost last, or why the volume has failed; `null` where neither happened.
    pub(crate) last_loss: Option<String>,
    /// What shows that the medium in the bay was changed while it was away; `null` where the volume is not in conflict.
    pub(crate) conflict: Option<String>,
    /// What of an earlier stay of a medium has not been answered yet: nothing is put in that it may still reach.
    pub(crate) hung: Option<String>,
    /// The faults that are armed, by `fault`.
    pub(crate) faults: Vec<ArmedFault>,
    /// How it is doing as a copy of a mirror; `null` where it is none.
    pub(crate) copy: Option<CopyStatus>,
    /// Its journal.
    pub(crate) journal: JournalStatus,
    /// How far the replay or the copy is that is under way.
    pub(crate) progress: Option<WorkDone>,
}

/// What waits for room in a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WaitingForRoom {
    /// What is full.
    pub(crate) full: WhatIsFull,
    /// How many requests wait.
    pub(crate) requests: u64,
    /// For how long there has been somebody who waits.
    pub(crate) age_ms: u64,
    /// Unsynced changes of a medium that is gone: they are only in memory until there is room.
    pub(crate) only_in_memory_bytes: u64,
}

/// What is full where a journal has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhatIsFull {
    /// The journal: it is at its limit.
    Journal,
    /// The disk that it is on.
    Disk,
}

/// A fault that is armed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ArmedFault {
    /// Which.
    pub(crate) fault: String,
    /// How many requests it has counted.
    pub(crate) seen: u64,
    /// How often it has happened.
    pub(crate) fired: u64,
}

/// A copy of a mirror.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CopyStatus {
    /// The mirror's name: the export's, or that of the part of a disk that it is.
    pub(crate) mirror: String,
    /// Whether it has everything.
    pub(crate) in_sync: bool,
    /// In how much it may be behind.
    pub(crate) behind_bytes: u64,
}

/// The journal of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JournalStatus {
    /// How much of the volume's content is in it alone.
    pub(crate) live_bytes: u64,
    /// How much room it takes on disk.
    pub(crate) disk_bytes: u64,
    /// How much it may take.
    pub(crate) limit_bytes: u64,
    /// In how many pieces the live bytes are.
    pub(crate) extents: u64,
}

/// A difference between what the daemon ran with and what its configuration says now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReloadedDifference {
    /// The volume that it is about; `null`: the drive.
    pub(crate) volume: Option<String>,
    /// The key of the file; `volume` for a volume that comes or goes, `order` for the order of the volumes.
    pub(crate) key: String,
    /// Its value before; `null` where there was none.
    pub(crate) before: Option<String>,
    /// Its value in the file; `null` where there is none.
    pub(crate) after: Option<String>,
    /// What became of it.
    pub(crate) effect: ReloadEffect,
    /// Why it does not count; `null` where it does.
    pub(crate) why: Option<String>,
}

/// What became of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReloadEffect {
    /// It counts from now on.
    Live,
    /// It counts for sessions that begin from now on.
    NewSessions,
    /// It cannot count while the daemon runs.
    NotLive,
    /// It could, and was refused; the next reload tries again.
    Refused,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Its number: 1 for the first one since the daemon started, then without gaps.
    pub(crate) sequence: u64,
    /// When, in milliseconds since 1970, UTC.
    pub(crate) time_unix_ms: u64,
    /// To which volume; `null` where to the drive.
    pub(crate) volume: Option<String>,
    /// What, as one word for scripts.
    pub(crate) kind: String,
    /// What, for people.
    pub(crate) text: String,
}
