//! `[[hook]]`: a command for events.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hotbay_drive::EventKind;
use serde::Deserialize;

use super::value::{Time, format_duration};
use crate::failure::Failure;
use crate::nearest::nearest;

/// The most hooks of one drive; as many commands run at once.
const HOOKS_MAX: usize = 16;
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long a command may take.
type HookTimeout = Time<1000, { 3600 * 1000 }>;

/// `[[hook]]`, as a file gives it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HookTable {
    /// The program, and its arguments. No shell is between.
    command: Vec<String>,
    /// The kinds of events that it is for; default: all.
    events: Option<Vec<Event>>,
    /// How long it may take before it is killed, 1s to 1h; default `30s`.
    timeout: Option<HookTimeout>,
}

/// A kind of event as a file names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event(EventKind);

impl FromStr for Event {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || EventKind::ALL.into_iter().map(EventKind::name);
        EventKind::ALL.into_iter().find(|kind| kind.name() == text).map(Self).ok_or_else(|| {
            match nearest(text, names()) {
                Some(meant) => format!("`{text}` is no event; did you mean `{meant}`?"),
                None => {
                    let names: Vec<_> = names().collect();
                    format!("`{text}` is no event; the events are {}", names.join(", "))
                }
            }
        })
    }
}

/// A command that is run for events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HookConfig {
    /// The program, by its absolute path, and its arguments.
    pub(crate) command: Vec<String>,
    /// The kinds of events that it is run for; `None`: all.
    pub(crate) events: Option<Vec<EventKind>>,
    /// How long it may take before it is killed; 1 s to 1 h.
    pub(crate) timeout: Duration,
}

impl HookConfig {
    /// The program.
    pub(crate) fn program(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    /// Its arguments.
    pub(crate) fn arguments(&self) -> &[String] {
        self.command.get(1..).unwrap_or_default()
    }

    /// Whether it is for events of this kind.
    pub(crate) fn wants(&self, kind: EventKind) -> bool {
        self.events.as_ref().is_none_or(|events| events.contains(&kind))
    }
}

impl fmt::Display for HookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = self.events.iter().flatten().map(|kind| kind.name()).collect::<Vec<_>>();
        let events = if self.events.is_none() { "each event".into() } else { events.join(", ") };
        let timeout = format_duration(self.timeout);
        write!(f, "{} for {events}, at most {timeout}", self.command.join(" "))
    }
}

/// Checks the hooks of a file.
///
/// # Errors
/// Where there are too many, or one names no program by its absolute path: which one is run must not depend on where the daemon
/// was started.
pub(super) fn resolve(tables: Vec<HookTable>) -> Result<Vec<HookConfig>, Failure> {
    if tables.len() > HOOKS_MAX {
        let count = tables.len();
        return Err(Failure::new(format!("{count} hooks are too many; the limit is {HOOKS_MAX}")));
    }
    tables.into_iter().map(HookTable::resolve).collect()
}

impl HookTable {
    fn resolve(self) -> Result<HookConfig, Failure> {
        let Self { command, events, timeout } = self;
        let events = events.map(|events| events.into_iter().map(|Event(kind)| kind).collect());
        let hook =
            HookConfig { command, events, timeout: timeout.map_or(TIMEOUT, |Time(time)| time) };
        if hook.command.is_empty() {
            return Err(Failure::new("a hook has an empty command")
                .with_hint("name a program, such as command = [\"/usr/local/bin/on-event\"]"));
        }
        check_command("a hook", &hook.command)?;
        Ok(hook)
    }
}

/// Refuses a command that names no program by its absolute path: which one is run must not depend on where the daemon was started.
pub(super) fn check_command(whose: &str, command: &[String]) -> Result<(), Failure> {
    let program = command.first().map_or("", String::as_str);
    if !program.starts_with('/') {
        return Err(Failure::new(format!("{whose}'s program `{program}` is no absolute path"))
            .with_hint("no shell is between; for one: [\"/bin/sh\", \"-c\", \"…\"]"));
    }
    if command.iter().any(|word| word.contains('\0')) {
        return Err(Failure::new(format!("{whose}'s command `{program}` has a zero byte in it")));
    }
    Ok(())
}
