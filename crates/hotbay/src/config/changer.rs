//! `bay_command` and its keys: what loads media into bays.

use std::time::Duration;

use super::hook::check_command;
use super::value::Time;
use crate::failure::Failure;

const TIMEOUT: Duration = Duration::from_secs(120);
const MINIMUM_STAY: Duration = Duration::from_secs(10);

/// How long the command may take.
pub(super) type BayTimeout = Time<1000, { 3600 * 1000 }>;
/// How long a medium stays at least.
pub(super) type BayMinimumStay = Time<0, { 3600 * 1000 }>;

/// A command that loads and unloads media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChangerConfig {
    /// The program, by its absolute path, and its first arguments.
    pub(crate) command: Vec<String>,
    /// How long it may take before it is killed; 1 s to 1 h.
    pub(crate) timeout: Duration,
    /// How long a medium that was loaded stays at least while another volume waits; 0 to 1 h.
    pub(crate) minimum_stay: Duration,
}

impl ChangerConfig {
    /// The program.
    pub(crate) fn program(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    /// Its first arguments.
    pub(crate) fn arguments(&self) -> &[String] {
        self.command.get(1..).unwrap_or_default()
    }
}

/// The changer of a file; `None` where it names no command.
///
/// # Errors
/// Where the program is not named by its absolute path.
pub(super) fn resolve(
    command: Option<Vec<String>>,
    timeout: Option<BayTimeout>,
    minimum_stay: Option<BayMinimumStay>,
) -> Result<Option<ChangerConfig>, Failure> {
    let Some(command) = command.filter(|command| !command.is_empty()) else { return Ok(None) };
    check_command("bay_command", &command)?;
    let timeout = timeout.map_or(TIMEOUT, |Time(time)| time);
    let minimum_stay = minimum_stay.map_or(MINIMUM_STAY, |Time(time)| time);
    Ok(Some(ChangerConfig { command, timeout, minimum_stay }))
}
