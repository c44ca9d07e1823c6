//! How a drive and its volumes are doing, as plain data.

use std::time::Duration;

use crate::room::WaitingForRoom;
use crate::state::State;

/// How far a long piece of work has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes done.
    pub done_bytes: u64,
    /// Bytes to be done in all; may grow while clients write.
    pub total_bytes: u64,
}

/// A volume's journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalStatus {
    /// Bytes that a replay would bring to the medium.
    pub live_bytes: u64,
    /// Bytes it takes on its disk.
    pub disk_bytes: u64,
    /// Bytes it may take.
    pub limit_bytes: u64,
    /// Extents it has.
    pub extents: u64,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeStatus {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// The medium that is in, or was in last.
    pub medium: Option<String>,
    /// The bay that its medium is in, from 0.
    pub bay: Option<usize>,
    /// The number of the medium's stay, where one is in.
    pub attachment: Option<u64>,
    /// Its size.
    pub size_bytes: u64,
    /// Requests that wait for the medium, for room in the journal, or for a change of state to end.
    pub waiting_requests: u64,
    /// Whether one of them waits for the medium.
    pub waiting_for_medium: bool,
    /// What waits for room in the journal, where something does.
    pub waiting_for_room: Option<WaitingForRoom>,
    /// Retained bytes.
    pub retained_bytes: u64,
    /// How long the oldest change has been retained at most; `None` where none is. It is on the medium, and no sync covers
    /// it yet.
    pub oldest_retained_age: Option<Duration>,
    /// Its journal.
    pub journal: JournalStatus,
    /// How far a replay or a copy has come.
    pub progress: Option<Progress>,
    /// What of an earlier stay has not been answered yet, and for how long: nothing is put in that it may still reach.
    pub hung: Option<String>,
    /// Why the medium was lost last, or why the volume has failed.
    pub last_loss: Option<String>,
    /// What shows that the medium in the bay was changed, where the volume is in conflict.
    pub conflict: Option<String>,
}

/// A drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveStatus {
    /// Its name.
    pub name: String,
    /// How many bays it has.
    pub bays: usize,
    /// Its volumes, in their configured order.
    pub volumes: Vec<VolumeStatus>,
}
