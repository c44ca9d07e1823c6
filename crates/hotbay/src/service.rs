//! The daemon as a service of systemd: ready, alive, how it is doing, stopping. Without systemd all of it is nothing.

use std::sync::Arc;
use std::time::Duration;

use hotbay_drive::{Drive, State, VolumeStatus};
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

/// How often the status line is looked at, where the watchdog does not want to hear more often.
const STATUS_EVERY: Duration = Duration::from_secs(2);

/// Says that clients can connect.
pub(crate) fn tell_ready(drive: &Drive) {
    tell(&[NotifyState::Ready, NotifyState::Status(&summary(&drive.status().volumes))]);
}

/// Says that it is about to end.
pub(crate) fn tell_stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing what is under way")]);
}

/// Says again and again that it is alive, and how it is doing where that has changed.
///
/// It asks the drive each time, on the same threads that serve clients: where these hang, or hold a lock for good, systemd
/// hears nothing and starts the daemon again, which is not a removal.
pub(crate) async fn keep_telling(drive: Arc<Drive>) {
    let watchdog = sd_notify::watchdog_enabled();
    let mut ticks = interval(watchdog.map_or(STATUS_EVERY, |limit| STATUS_EVERY.min(limit / 3)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = String::new();
    loop {
        ticks.tick().await;
        let summary = summary(&drive.status().volumes);
        if watchdog.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
        if summary != told {
            tell(&[NotifyState::Status(&summary)]);
            told = summary;
        }
    }
}

/// A socket that cannot be told is nothing that the daemon could do anything about.
fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}

/// One line: what an operator is to do comes first, then each volume that is not simply present.
fn summary(volumes: &[VolumeStatus]) -> String {
    let wishes = volumes.iter().filter(|volume| volume.waiting_for_medium);
    let mut parts: Vec<String> =
        wishes.map(|volume| format!("please insert volume {}", volume.name)).collect();
    let full = volumes.iter().filter(|volume| volume.waiting_for_room.is_some());
    parts.extend(full.map(|volume| format!("the journal of {} has no room", volume.name)));
    let others = volumes.iter().filter(|volume| volume.state != State::Present);
    parts.extend(others.map(|volume| format!("{} is {}", volume.name, volume.state)));
    if parts.is_empty() {
        return match volumes {
            [volume] => format!("{} is present", volume.name),
            volumes => format!("all {} volumes are present", volumes.len()),
        };
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use hotbay_drive::{WaitingForRoom, WhatIsFull};

    use super::*;

    fn volume(name: &str, state: State, waiting_for_medium: bool) -> VolumeStatus {
        VolumeStatus {
            name: name.into(),
            state,
            medium: None,
            bay: None,
            attachment: None,
            size_bytes: 0,
            waiting_requests: 0,
            waiting_for_medium,
            waiting_for_room: None,
            retained_bytes: 0,
            oldest_retained_age: None,
            hung: None,
            journal: Default::default(),
            progress: None,
            last_loss: None,
            conflict: None,
        }
    }

    #[test]
    fn the_line_says_what_to_do_before_how_it_is() {
        let present = volume("a", State::Present, false);
        let waits = volume("b", State::Absent, true);
        let mut away = volume("c", State::Absent, false);
        assert_eq!(summary(std::slice::from_ref(&present)), "a is present");
        assert_eq!(summary(&[present.clone(), present.clone()]), "all 2 volumes are present");
        let line = summary(&[present.clone(), away.clone(), waits]);
        assert_eq!(line, "please insert volume b; c is absent; b is absent");
        away.waiting_for_room = Some(WaitingForRoom {
            full: WhatIsFull::Disk,
            requests: 1,
            age: Duration::ZERO,
            only_in_memory_bytes: 0,
        });
        let line = summary(&[present, away]);
        assert_eq!(line, "the journal of c has no room; c is absent");
    }
}
