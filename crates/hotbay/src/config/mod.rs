//! What the daemon is told to be: defaults < file < environment < flags, merged once.
//!
//! [`ConfigFile`] is what the user typed, each key optional. [`Config`] is what the daemon runs with, each
//! value there, checked and absolute. Between the two lies [`resolve`], and nothing else knows a default.

mod complaint;
mod file;
mod hook;
mod places;
mod resolve;
mod summary;
mod value;

pub(crate) use file::ConfigFile;
pub(crate) use hook::HookConfig;
pub(crate) use places::Environment;
pub(crate) use resolve::{AutoInsert, Config, Overrides, VolumeConfig, resolve};
pub(crate) use summary::summary;
pub(crate) use value::{
    AbsentReads, BayCount, BusyPoll, JournalFull, Layout, Metrics, Name, VolumeFlag,
    format_duration, parse_duration,
};

use std::path::Path;

use crate::failure::Failure;

/// Reads the file, where one is named, and merges it with the rest.
///
/// # Errors
/// Where the file cannot be read or says something wrong, with the place in it.
pub(crate) fn load(
    path: Option<&Path>,
    overrides: Overrides,
    environment: &Environment,
) -> Result<Config, Failure> {
    match path {
        None => resolve(ConfigFile::default(), overrides, environment),
        Some(path) => {
            let file = ConfigFile::read(path)?;
            resolve(file, overrides, environment).map_err(|failure| {
                let message = format!("{}: {}", path.display(), failure.message());
                let located = Failure::new(message);
                failure.hint().into_iter().fold(located, |located, hint| located.with_hint(hint))
            })
        }
    }
}

#[cfg(test)]
mod tests;
