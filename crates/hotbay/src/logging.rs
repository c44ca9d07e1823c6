//! The daemon's log on standard error.

use std::env;
use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// What is logged when nobody says what.
const DEFAULT: &str = "info";

/// Whether systemd's journal takes what is printed. It notes the time of each line, and nobody sits before it.
pub(crate) fn is_journald() -> bool {
    env::var_os("JOURNAL_STREAM").is_some() && !io::stderr().is_terminal()
}

/// Starts the log, with what `HOTBAY_LOG`, else `RUST_LOG`, names. Colour is for terminals only.
///
/// A name that is none is told, and the default taken: a daemon does not stay away because of its log.
pub(crate) fn start() {
    let named = ["HOTBAY_LOG", "RUST_LOG"].into_iter().find_map(|name| {
        let value = env::var(name).ok().filter(|value| !value.is_empty())?;
        Some((name, value))
    });
    let (filter, complaint) = match named {
        None => (EnvFilter::new(DEFAULT), None),
        Some((name, value)) => match EnvFilter::try_new(&value) {
            Ok(filter) => (filter, None),
            Err(error) => (EnvFilter::new(DEFAULT), Some(format!("{name}={value}: {error}"))),
        },
    };
    let colour = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour)
        .with_target(false)
        // Told on the same standard error, with a panic where that fails: who reads the log may leave or run out of
        // room, and the daemon serves on.
        .log_internal_errors(false);
    match is_journald() {
        true => log.without_time().init(),
        false => log.init(),
    }
    if let Some(complaint) = complaint {
        tracing::warn!("the log's filter is wrong, `{DEFAULT}` is taken: {complaint}");
    }
}
