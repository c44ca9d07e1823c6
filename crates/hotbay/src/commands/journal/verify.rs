//! `hotbay journal verify`.

use std::path::Path;

use super::kept::KeptJournal;
use crate::cli::JournalVerifyArgs;
use crate::commands::output::{self, human_size};
use crate::failure::Failure;
use crate::records;

/// Reads every record of the journals and checks it.
///
/// # Errors
/// Where one is damaged, is another volume's, or cannot be read; the others are checked all the same.
pub(super) fn run(state: &Path, arguments: &JournalVerifyArgs) -> Result<(), Failure> {
    let volumes = match &arguments.volume {
        Some(volume) => vec![volume.to_string()],
        None => records::volumes(state)?,
    };
    let mut failed: Option<Failure> = None;
    for volume in volumes {
        let verified = KeptJournal::read(state, &volume).and_then(|journal| {
            journal.must_be_its_own(state)?;
            tell(&journal)
        });
        // One failure ends the command; those before it are told as they come.
        if let Err(failure) = verified
            && let Some(before) = failed.replace(failure)
        {
            before.tell();
        }
    }
    failed.map_or(Ok(()), Err)
}

fn tell(journal: &KeptJournal) -> Result<(), Failure> {
    let volume = &journal.volume;
    if let Some(damage) = journal.damage() {
        let message = format!("the journal of volume {volume} is damaged: {damage}");
        return Err(Failure::new(message).with_hint(format!(
            "nothing was changed; 'hotbay journal export {volume} FILE' gets out what is whole"
        )));
    }
    output::print_line(format!(
        "volume {volume}: {}, {} in {} extents",
        journal.condition().name(),
        human_size(journal.live_bytes()),
        journal.extents.len()
    ))
}
