//! `hotbay journal`: what volumes wrote while their media were away, looked at as it lies on the disk.

mod export;
mod kept;
mod list;
mod show;
mod verify;

use std::path::PathBuf;

pub(super) use self::kept::{Condition, KeptJournal};

use crate::cli::{JournalArgs, JournalCommand};
use crate::config::Environment;
use crate::failure::Failure;

/// Looks at journals, with or without a daemon.
///
/// # Errors
/// Where there is no such volume, where its journal cannot be read, and for `verify` where one is damaged.
pub(crate) fn run(arguments: JournalArgs, environment: &Environment) -> Result<(), Failure> {
    let state = match arguments.state {
        Some(state) => environment.current.join(state),
        None => environment.state()?,
    };
    match arguments.command {
        JournalCommand::List(wanted) => list::run(&state, &wanted),
        JournalCommand::Show(wanted) => show::run(&state, &wanted),
        JournalCommand::Verify(wanted) => verify::run(&state, &wanted),
        JournalCommand::Export(wanted) => {
            let file: PathBuf = environment.current.join(&wanted.file);
            export::run(&state, &wanted, &file)
        }
    }
}
