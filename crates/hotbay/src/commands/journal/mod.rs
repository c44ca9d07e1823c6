//! `hotbay journal`: what volumes wrote while their media were away, looked at as it lies on the disk.

mod export;
mod kept;
mod list;
mod show;
mod verify;

use std::path::PathBuf;

pub(super) use self::kept::{Condition, KeptJournal};

use crate::cli::{JournalArgs, JournalCommand, JournalExportArgs};
use crate::config::Environment;
use crate::failure::Failure;

/// Looks at journals, with or without a daemon.
///
/// # Errors
/// Where there is no such volume, where its journal cannot be read, and for `verify` where one is damaged.
pub(crate) fn run(arguments: JournalArgs, environment: &Environment) -> Result<(), Failure> {
    let state = state_directory(arguments.state, environment)?;
    match arguments.command {
        JournalCommand::List(wanted) => list::run(&state, &wanted),
        JournalCommand::Show(wanted) => show::run(&state, &wanted),
        JournalCommand::Verify(wanted) => verify::run(&state, &wanted),
        JournalCommand::Export(wanted) => {
            export::run(&state, &wanted, &environment.current.join(&wanted.file))
        }
    }
}

/// Writes what a journal holds to a file.
///
/// # Errors
/// Where the journal cannot be read, or the file cannot be written.
pub(super) fn export(
    state: Option<PathBuf>,
    wanted: &JournalExportArgs,
    environment: &Environment,
) -> Result<(), Failure> {
    let state = state_directory(state, environment)?;
    export::run(&state, wanted, &environment.current.join(&wanted.file))
}

fn state_directory(named: Option<PathBuf>, environment: &Environment) -> Result<PathBuf, Failure> {
    named.map_or_else(|| environment.state(), |state| Ok(environment.current.join(state)))
}
