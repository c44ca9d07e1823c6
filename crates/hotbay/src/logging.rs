//! The daemon's log on standard error.

use std::env;
use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// What is logged when nobody says what.
const DEFAULT: LevelFilter = LevelFilter::INFO;

/// Whether systemd's journal takes what is printed. It notes the time of each line, and nobody sits before it.
pub(crate) fn is_journald() -> bool {
    env::var_os("JOURNAL_STREAM").is_some() && !io::stderr().is_terminal()
}

fn default() -> Targets {
    Targets::new().with_default(DEFAULT)
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
        None => (default(), None),
        Some((name, value)) => match value.parse::<Targets>() {
            Ok(filter) => (filter, None),
            Err(error) => (default(), Some(format!("{name}={value}: {error}"))),
        },
    };
    let colour = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(colour)
        .with_target(false)
        // Told on the same standard error, with a panic where that fails: who reads the log may leave or run out of
        // room, and the daemon serves on.
        .log_internal_errors(false);
    let log = tracing_subscriber::registry().with(filter);
    match is_journald() {
        true => log.with(lines.without_time()).init(),
        false => log.with(lines).init(),
    }
    if let Some(complaint) = complaint {
        tracing::warn!("the log's filter is wrong, `{DEFAULT}` is taken: {complaint}");
    }
}
