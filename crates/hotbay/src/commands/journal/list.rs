//! `hotbay journal list`.

use std::path::Path;

use serde::Serialize;

use super::kept::{Condition, KeptJournal};
use crate::cli::JournalListArgs;
use crate::commands::output::{self, Colour, Colours, human_size};
use crate::commands::table::{Cell, table};
use crate::failure::Failure;
use crate::records;

/// One journal, for scripts.
#[derive(Serialize)]
pub(super) struct Summary {
    pub(super) volume: String,
    pub(super) condition: Condition,
    pub(super) size_bytes: Option<u64>,
    pub(super) live_bytes: u64,
    pub(super) extents: usize,
    pub(super) disk_bytes: u64,
    pub(super) damage: Option<Place>,
}

/// Where a journal is damaged.
#[derive(Serialize)]
pub(super) struct Place {
    segment: u64,
    position_bytes: u64,
    sequence: u64,
}

impl From<&KeptJournal> for Summary {
    fn from(journal: &KeptJournal) -> Self {
        Self {
            volume: journal.volume.clone(),
            condition: journal.condition(),
            size_bytes: journal.size_bytes(),
            live_bytes: journal.live_bytes(),
            extents: journal.extents.len(),
            disk_bytes: journal.disk_bytes(),
            damage: journal.damage().map(|damage| Place {
                segment: damage.segment,
                position_bytes: damage.position,
                sequence: damage.sequence.get(),
            }),
        }
    }
}

/// Lists the journals of all volumes that the state directory knows.
///
/// # Errors
/// Where one cannot be read.
pub(super) fn run(state: &Path, arguments: &JournalListArgs) -> Result<(), Failure> {
    let volumes = records::volumes(state)?;
    let journals =
        volumes.iter().map(|volume| KeptJournal::read(state, volume).map(|j| Summary::from(&j)));
    let journals = journals.collect::<Result<Vec<_>, _>>()?;
    match arguments.json {
        true => output::print_json(&journals),
        false => output::print(&describe(&journals, Colours::of_output())),
    }
}

fn describe(journals: &[Summary], colours: Colours) -> String {
    let rows = journals.iter().map(|journal| {
        let condition = Cell::coloured(journal.condition.name(), colour(journal.condition));
        [
            journal.volume.as_str().into(),
            Cell::or_dash(journal.size_bytes.map(human_size)),
            condition,
            human_size(journal.live_bytes).into(),
            journal.extents.to_string().into(),
            human_size(journal.disk_bytes).into(),
        ]
    });
    let headings = ["VOLUME", "SIZE", "JOURNAL", "HOLDS", "EXTENTS", "ON DISK"];
    table(headings, rows.collect(), colours)
}

const fn colour(condition: Condition) -> Colour {
    match condition {
        Condition::Empty | Condition::Whole => Colour::Good,
        Condition::TornTail => Colour::Attention,
        Condition::Damaged | Condition::AnotherVolumes => Colour::Bad,
    }
}
