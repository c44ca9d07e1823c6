//! Hooks: a command for each event.
//!
//! Each hook has a task of its own that follows the history as any reader does: it keeps a place in it, not a queue, and runs
//! one command after the other. So events come in order, as many commands run at once as there are hooks, and a hook
//! that is slow holds up nobody; when it is slower than the history is long it misses the oldest events, and that is
//! logged. A command that takes too long is killed, with all that it started in its process group.

use std::sync::Arc;

use hotbay_drive::{Drive, Event};
use tokio::process::Command;

use crate::bounded_command::{self, Ended};
use crate::config::HookConfig;

/// What every command of every hook is told.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The drive's name.
    pub(crate) drive: String,
    /// The control socket, by which a command can ask the daemon for more.
    pub(crate) control: std::path::PathBuf,
}

/// Runs a hook's command for each event of the drive after `seen`, until the future is dropped. A command that runs then is killed.
pub(crate) async fn run(hook: HookConfig, facts: Facts, drive: Arc<Drive>, mut seen: u64) {
    let mut events = drive.events().follow(seen);
    loop {
        for event in events.next().await {
            let missed = event.sequence - seen - 1;
            if missed > 0 {
                tracing::warn!(
                    hook = hook.program(),
                    missed,
                    "a hook is too slow and missed events"
                );
            }
            seen = event.sequence;
            if hook.wants(event.kind) {
                let ended = carry_out(&hook, &facts, &event).await;
                tell(&hook, &event, &ended);
            }
        }
    }
}

/// What went wrong is for the log alone: an event about a hook would be an event for the hook.
fn tell(hook: &HookConfig, event: &Event, ended: &Ended) {
    let (hook, kind) = (hook.program(), event.kind.name());
    match ended {
        Ended::By(status) if status.success() => tracing::debug!(hook, kind, "a hook is done"),
        Ended::By(status) => tracing::warn!(hook, kind, "a hook ended with {status}"),
        Ended::TookTooLong => tracing::warn!(hook, kind, "a hook took too long and was killed"),
        Ended::Failed(error) => tracing::warn!(hook, kind, %error, "a hook cannot be run"),
    }
}

async fn carry_out(hook: &HookConfig, facts: &Facts, event: &Event) -> Ended {
    bounded_command::run(command(hook, facts, event), hook.timeout).await
}

fn command(hook: &HookConfig, facts: &Facts, event: &Event) -> Command {
    let mut command = Command::new(hook.program());
    command
        .args(hook.arguments())
        .env("HOTBAY_EVENT", event.kind.name())
        .env("HOTBAY_VOLUME", &event.volume)
        .env("HOTBAY_TEXT", &event.text)
        .env("HOTBAY_SEQUENCE", event.sequence.to_string())
        .env("HOTBAY_TIME_UNIX_MS", event.time_unix_ms.to_string())
        .env("HOTBAY_DRIVE", &facts.drive)
        .env("HOTBAY_CONTROL", &facts.control);
    command
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hotbay_drive::EventKind;
    use tokio::time::timeout;

    use super::*;

    fn hook(script: &str, most: Duration) -> HookConfig {
        let command = ["/bin/sh", "-c", script].map(String::from).into();
        HookConfig { command, events: None, timeout: most }
    }

    fn event() -> Event {
        Event {
            sequence: 7,
            time_unix_ms: 1_700_000_000_123,
            volume: "usb".into(),
            kind: EventKind::PleaseInsert,
            text: "a read waits; \"quotes\" $(and) such".into(),
        }
    }

    fn facts() -> Facts {
        Facts { drive: "d".into(), control: "/run/c.sock".into() }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_command_has_the_facts_in_its_environment_and_no_shell_between() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("said");
        let script = format!("env | grep ^HOTBAY_ | sort > {}", path.display());
        let ended = carry_out(&hook(&script, LONG), &facts(), &event()).await;
        assert!(matches!(ended, Ended::By(status) if status.success()), "{ended:?}");
        let said = std::fs::read_to_string(path).unwrap();
        let expected = "HOTBAY_CONTROL=/run/c.sock\nHOTBAY_DRIVE=d\nHOTBAY_EVENT=please-insert\nHOTBAY_SEQUENCE=7\n\
            HOTBAY_TEXT=a read waits; \"quotes\" $(and) such\nHOTBAY_TIME_UNIX_MS=1700000000123\nHOTBAY_VOLUME=usb\n";
        assert_eq!(said, expected);
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_killed_with_what_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", path.display());
        let ended = carry_out(&hook(&script, Duration::from_secs(2)), &facts(), &event()).await;
        assert!(matches!(ended, Ended::TookTooLong), "{ended:?}");
        let sleeper = std::fs::read_to_string(path).unwrap();
        let status = format!("/proc/{}/stat", sleeper.trim());
        // It is gone, or waits to be reaped by whoever inherited it.
        let gone = async {
            while std::fs::read_to_string(&status).is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::task::yield_now().await;
            }
        };
        assert!(timeout(LONG, gone).await.is_ok(), "what it started outlives it");
    }

    #[tokio::test]
    async fn a_command_that_cannot_be_run_or_fails_is_told() {
        let none = HookConfig { command: vec!["/none".into()], events: None, timeout: LONG };
        assert!(matches!(carry_out(&none, &facts(), &event()).await, Ended::Failed(_)));
        let ended = carry_out(&hook("exit 3", LONG), &facts(), &event()).await;
        assert!(matches!(ended, Ended::By(status) if status.code() == Some(3)), "{ended:?}");
    }
}
