//! What is said of a volume whose journal has no room: by `status`, `top` and the doctor alike.

use std::time::Duration;

use super::output::human_size;
use crate::control::{State, VolumeStatus, WaitingForRoom, WhatIsFull};

/// What has no room and who waits for it; `None` where nobody does.
pub(super) fn what_waits(volume: &VolumeStatus) -> Option<String> {
    let waiting = volume.waiting_for_room.as_ref()?;
    let name = &volume.name;
    let full = match waiting.full {
        WhatIsFull::Journal => format!("the journal of {name} is full"),
        WhatIsFull::Disk => format!("the disk under the journal of {name} is full"),
    };
    Some(format!("{full}: {}", who_waits(waiting)))
}

/// The same where there is little room for it and the volume is known.
pub(super) fn in_short(waiting: &WaitingForRoom) -> String {
    let full = match waiting.full {
        WhatIsFull::Journal => "journal full",
        WhatIsFull::Disk => "journal's disk full",
    };
    match waiting.requests {
        0 => full.to_owned(),
        requests => format!("{full}, {requests} wait"),
    }
}

/// Who waits, and for how long.
fn who_waits(waiting: &WaitingForRoom) -> String {
    let seconds = Duration::from_secs(waiting.age_ms / 1000);
    let age = humantime::format_duration(seconds);
    let bytes = waiting.only_in_memory_bytes;
    let in_memory = format!("{} that were acknowledged are only in memory", human_size(bytes));
    match (waiting.requests, bytes) {
        (1, 0) => format!("1 request waits, for {age}"),
        (several, 0) => format!("{several} requests wait, for {age}"),
        (0, _) => format!("{in_memory}, for {age}"),
        (requests, _) => format!("{in_memory}, and requests wait: {requests}, for {age}"),
    }
}

/// What makes room.
pub(super) fn what_to_do(volume: &VolumeStatus, waiting: &WaitingForRoom) -> String {
    let name = &volume.name;
    let returns = match volume.state {
        State::Replaying => "the replay that runs makes room".to_owned(),
        State::Conflict => format!("'hotbay resolve {name} replay|discard' empties it"),
        _ => format!("'hotbay insert {name}' empties it"),
    };
    match (waiting.full, waiting.only_in_memory_bytes) {
        (WhatIsFull::Journal, _) => returns,
        (WhatIsFull::Disk, 0) => format!("make room there, or {returns}"),
        // Nothing is put in before these are in the journal.
        (WhatIsFull::Disk, _) => {
            "make room there now, and let the daemon run until it is done".to_owned()
        }
    }
}
