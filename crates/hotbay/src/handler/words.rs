//! The words of the control socket as those of the drive, and the drive's answers in words of the socket.

use std::time::Duration;

use hotbay_drive::{Refusal, Scrub, WhenHeld, WhenOccupied, WhenOpen};

use crate::control::{
    Event, HeldJournal, Occupied, OpenSessions, State, WaitingForRoom, WhatIsFull, WhenDifferent,
};
use crate::failure::Failure;

impl From<Occupied> for WhenOccupied {
    fn from(occupied: Occupied) -> Self {
        match occupied {
            Occupied::Refuse => Self::Refuse,
            Occupied::Replace => Self::Replace,
        }
    }
}

impl From<WhenDifferent> for Scrub {
    fn from(differences: WhenDifferent) -> Self {
        match differences {
            WhenDifferent::Report => Self::Report,
            WhenDifferent::Repair => Self::Repair,
        }
    }
}

impl From<OpenSessions> for WhenOpen {
    fn from(open: OpenSessions) -> Self {
        match open {
            OpenSessions::Refuse => Self::Refuse,
            OpenSessions::Close => Self::Close,
        }
    }
}

impl From<HeldJournal> for WhenHeld {
    fn from(held: HeldJournal) -> Self {
        match held {
            HeldJournal::Refuse => Self::Refuse,
            HeldJournal::Keep => Self::Keep,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let failure = Self::new(refusal.message());
        match refusal.next_step() {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

impl From<hotbay_drive::State> for State {
    fn from(state: hotbay_drive::State) -> Self {
        match state {
            hotbay_drive::State::Present => Self::Present,
            hotbay_drive::State::Absent => Self::Absent,
            hotbay_drive::State::Replaying => Self::Replaying,
            hotbay_drive::State::Copying => Self::Copying,
            hotbay_drive::State::Conflict => Self::Conflict,
            hotbay_drive::State::Failed => Self::Failed,
        }
    }
}

impl From<hotbay_drive::WaitingForRoom> for WaitingForRoom {
    fn from(waiting: hotbay_drive::WaitingForRoom) -> Self {
        Self {
            full: match waiting.full {
                hotbay_drive::WhatIsFull::Journal => WhatIsFull::Journal,
                hotbay_drive::WhatIsFull::Disk => WhatIsFull::Disk,
            },
            requests: waiting.requests,
            age_ms: milliseconds(waiting.age),
            only_in_memory_bytes: waiting.only_in_memory_bytes,
        }
    }
}

/// A duration as the control socket tells it.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<hotbay_drive::Event> for Event {
    fn from(event: hotbay_drive::Event) -> Self {
        Self {
            sequence: event.sequence,
            time_unix_ms: event.time_unix_ms,
            volume: Some(event.volume),
            kind: event.kind.name().to_owned(),
            text: event.text,
        }
    }
}
