//! What the daemon is told to be: defaults < file < environment < flags, merged once.
//!
//! [`ConfigFile`] is what the user typed, each key optional. [`Config`] is what the daemon runs with, each
//! value there, checked and absolute. Between the two lies [`resolve()`], and nothing else knows a default.

mod allow;
mod changer;
mod complaint;
mod copies;
mod difference;
mod file;
mod hook;
mod places;
mod resolve;
mod summary;
mod tls;
mod value;

pub(crate) use allow::Allowed;
pub(crate) use changer::ChangerConfig;
pub(crate) use copies::{DiskPart, disk_parts};
pub(crate) use difference::{Difference, Effect, differences};
pub(crate) use file::{ConfigFile, DefaultsTable, read_text};
pub(crate) use hook::HookConfig;
pub(crate) use places::Environment;
pub(crate) use resolve::{AutoInsert, Config, Overrides, VolumeConfig, resolve};
pub(crate) use summary::summary;
pub(crate) use tls::TlsConfig;
pub(crate) use value::{
    AbsentReads, BayCount, BusyPoll, JournalFull, Layout, Metrics, Name, VolumeFlag,
    format_duration, parse_duration,
};

use std::path::Path;

use crate::failure::Failure;

/// Parses TOML of another kind than a configuration; what is wrong is told with line and column.
///
/// # Errors
/// Where it says something wrong; `needs` is the hint where a key is missing.
pub(crate) fn parse_text<T: serde::de::DeserializeOwned>(
    text: &str,
    file: &str,
    needs: &'static str,
) -> Result<T, Failure> {
    toml::from_str(text).map_err(|error| complaint::Source { file, text, needs }.about(&error))
}

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
                let (message, file) = (failure.message(), format!("{}:", path.display()));
                let located = match message.starts_with(&file) {
                    // With line and column.
                    true => Failure::new(message),
                    false => Failure::new(format!("{file} {message}")),
                };
                failure.hint().into_iter().fold(located, |located, hint| located.with_hint(hint))
            })
        }
    }
}

#[cfg(test)]
mod tests;
