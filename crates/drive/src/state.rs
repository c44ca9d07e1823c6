//! A volume's states and its transition table: each pair (state, trigger) has an answer here, and nowhere else.

use std::fmt;

/// What a volume is doing; what a client sees in each is in `docs/states.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The medium is in its bay and serves every request.
    Present,
    /// The medium is away; the journal takes changes, and reads of what it does not have wait.
    Absent,
    /// The medium is back; the journal is being brought to it and goes on taking changes.
    Replaying,
    /// The medium serves every request while it is copied to another one.
    Copying,
    /// A medium is in the bay that was changed while it was away, so that the journal does not belong to it: as absent,
    /// until somebody has decided what counts.
    Conflict,
    /// The journal itself is broken; every request fails.
    Failed,
}

impl State {
    /// Every state, for tables and tests.
    pub const ALL: [Self; 6] =
        [Self::Present, Self::Absent, Self::Replaying, Self::Copying, Self::Conflict, Self::Failed];

    /// The word for it, as in the status and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Absent => "absent",
            Self::Replaying => "replaying",
            Self::Copying => "copying",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What moves a volume from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// A medium is put into the bay.
    Insert,
    /// The medium that is put in was changed while it was away.
    Dispute,
    /// The medium in conflict is to take the journal as it is.
    Replay,
    /// What the medium in conflict holds is to count, and not the journal.
    Discard,
    /// The medium is asked for: drain, sync, let go.
    Eject,
    /// The medium is dropped as it stands.
    Pull,
    /// I/O or the path found the medium gone, or a sync of it failed.
    Loss,
    /// Everything in the journal is on the medium and synced.
    ReplayDone,
    /// A live copy to another medium begins.
    Copy,
    /// Everything is on the other medium and synced.
    CopyDone,
    /// The other medium cannot take the copy.
    CopyFailed,
    /// Another content is put in place of this one.
    Exchange,
    /// The journal cannot be written or synced.
    JournalFailed,
}

impl Trigger {
    /// Every trigger, for tables and tests.
    pub const ALL: [Self; 13] = [
        Self::Insert,
        Self::Dispute,
        Self::Replay,
        Self::Discard,
        Self::Eject,
        Self::Pull,
        Self::Loss,
        Self::ReplayDone,
        Self::Copy,
        Self::CopyDone,
        Self::CopyFailed,
        Self::Exchange,
        Self::JournalFailed,
    ];
}

/// What the table answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Go to this state.
    Go(State),
    /// A report that came late, when the state had moved on already: nothing to do.
    Ignore,
    /// An operator's wish that cannot be met now: why, and what helps.
    Refuse(&'static str, &'static str),
}

/// The transition table.
#[must_use]
pub const fn answer(state: State, trigger: Trigger) -> Answer {
    use Answer::{Go, Ignore, Refuse};
    use State::{Absent, Conflict, Copying, Failed, Present, Replaying};
    use Trigger as T;
    match (state, trigger) {
        (Failed, T::JournalFailed) => Ignore,
        (_, T::JournalFailed) => Go(Failed),
        (Failed, T::Dispute | T::Loss | T::ReplayDone | T::CopyDone | T::CopyFailed) => Ignore,
        (Failed, T::Insert | T::Replay | T::Discard) => FAILED,
        (Failed, T::Eject | T::Pull | T::Copy | T::Exchange) => FAILED,

        (Conflict, T::Replay) => Go(Replaying),
        (Conflict, T::Discard) => Go(Present),
        (Present | Absent | Replaying | Copying, T::Replay | T::Discard) => Refuse(
            "there is nothing to resolve",
            "only a volume in conflict is resolved, see 'hotbay status'",
        ),

        (Absent, T::Insert) => Go(Replaying),
        (Absent, T::Dispute) => Go(Conflict),
        (Absent, T::Eject | T::Pull) => Refuse(
            "its medium is away already",
            "it may be taken away; 'hotbay insert VOLUME' brings it back",
        ),
        (Absent, T::Loss | T::ReplayDone | T::CopyDone | T::CopyFailed) => Ignore,
        (Absent, T::Copy) => Refuse(
            "its medium is away, so there is nothing to copy from",
            "bring the medium back with 'hotbay insert' first; for another content: 'hotbay swap VOLUME MEDIUM --as-is'",
        ),
        (Absent, T::Exchange) => Go(Present),

        (Conflict, T::Eject | T::Pull | T::Loss) => Go(Absent),
        (Conflict, T::Dispute | T::ReplayDone | T::CopyDone | T::CopyFailed) => Ignore,
        (Conflict, T::Insert | T::Copy | T::Exchange) => Refuse(
            "the medium in its bay was changed while it was away",
            "'hotbay resolve VOLUME replay|discard' decides what counts; 'hotbay eject VOLUME' gives it back as it is",
        ),

        (Present | Replaying | Copying, T::Insert) => Refuse(
            "its medium is in a bay already",
            "'hotbay swap' moves it to another medium, 'hotbay eject' lets this one go",
        ),
        (Present | Replaying | Copying, T::Dispute) => Ignore,
        (Present | Replaying | Copying, T::Eject | T::Pull | T::Loss) => Go(Absent),

        (Replaying, T::ReplayDone) => Go(Present),
        (Replaying, T::CopyDone | T::CopyFailed) => Ignore,
        (Replaying, T::Copy | T::Exchange) => Refuse(
            "its journal is being replayed",
            "wait for it with 'hotbay wait VOLUME present', then swap",
        ),

        (Present, T::Copy) => Go(Copying),
        (Present, T::Exchange) => Go(Present),
        (Present, T::ReplayDone | T::CopyDone | T::CopyFailed) => Ignore,

        (Copying, T::CopyDone | T::CopyFailed) => Go(Present),
        (Copying, T::ReplayDone) => Ignore,
        (Copying, T::Copy | T::Exchange) => Refuse(
            "it is being copied to another medium",
            "wait for it with 'hotbay wait VOLUME present'",
        ),
    }
}

/// What every wish is told where the journal has failed.
const FAILED: Answer = Answer::Refuse(
    "its journal has failed, and nothing may be written past it",
    "'hotbay status' has the reason, docs/states.md what to do; the journal is kept as it is",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_leads_to_absent_from_every_state_with_a_medium() {
        for state in [State::Present, State::Replaying, State::Copying, State::Conflict] {
            for trigger in [Trigger::Eject, Trigger::Pull, Trigger::Loss] {
                assert_eq!(answer(state, trigger), Answer::Go(State::Absent));
            }
        }
    }

    #[test]
    fn nothing_leads_out_of_failed() {
        for trigger in Trigger::ALL {
            assert!(!matches!(answer(State::Failed, trigger), Answer::Go(_)), "{trigger:?}");
        }
    }

    #[test]
    fn reports_are_never_refused_and_wishes_never_ignored() {
        use Trigger::{Copy, Discard, Eject, Exchange, Insert, Pull, Replay};
        for state in State::ALL {
            for trigger in Trigger::ALL {
                let is_wish =
                    matches!(trigger, Insert | Eject | Pull | Copy | Exchange | Replay | Discard);
                match answer(state, trigger) {
                    Answer::Refuse(..) => assert!(is_wish, "{state} {trigger:?}"),
                    Answer::Ignore => assert!(!is_wish, "{state} {trigger:?}"),
                    Answer::Go(_) => {}
                }
            }
        }
    }

    /// Cells of the table in the document, by state and in the order of [`Trigger::ALL`].
    fn documented() -> Vec<(State, Vec<String>)> {
        let text = include_str!("../../../docs/states.md");
        let section = text.split("## Transitions").nth(1).unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        rows.map(|row| {
            let mut cells = row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
            let name = cells.next().unwrap();
            let state = State::ALL.into_iter().find(|state| name == format!("`{state}`")).unwrap();
            (state, cells.collect())
        })
        .take(State::ALL.len())
        .collect()
    }

    #[test]
    fn the_document_has_the_same_table() {
        let documented = documented();
        assert_eq!(documented.len(), State::ALL.len());
        for (state, cells) in documented {
            let table = Trigger::ALL.map(|trigger| match answer(state, trigger) {
                Answer::Go(next) => format!("`{next}`"),
                Answer::Ignore => "–".to_owned(),
                Answer::Refuse(..) => "refused".to_owned(),
            });
            assert_eq!(cells, table, "{state}");
        }
    }
}
