//! `hotbay events`.

use std::time::{Duration, SystemTime};

use super::{Daemon, output, unexpected};
use crate::cli::EventsArgs;
use crate::control::{ControlReply, ControlRequest, Event, Follow};
use crate::failure::Failure;

/// The latest time that can be shown: the end of the year 9999.
const TIME_UNIX_MS_MAX: u64 = 253_402_300_799_999;

/// Shows what happened, and with `--follow` what happens.
///
/// # Errors
/// Where the daemon goes away.
pub(crate) fn run(daemon: &Daemon, arguments: &EventsArgs) -> Result<(), Failure> {
    let follow = if arguments.follow { Follow::Live } else { Follow::Stop };
    let request = ControlRequest::Events { after_sequence: 0, follow };
    let mut last_sequence = None;
    let reply = daemon.connect()?.ask(&request, |reply| match reply {
        ControlReply::Event(event) if arguments.json => output::print_json(&event),
        ControlReply::Event(event) => {
            let missed = missed(last_sequence.replace(event.sequence), event.sequence);
            missed.map_or(Ok(()), output::print_line)?;
            output::print_line(line(&event))
        }
        other => Err(unexpected(&other)),
    })?;
    match reply {
        ControlReply::EndOfEvents => Ok(()),
        other => Err(unexpected(&other)),
    }
}

/// A note about events that the daemon had forgotten before they were read.
fn missed(last: Option<u64>, next: u64) -> Option<String> {
    match next - last? - 1 {
        0 => None,
        count => Some(format!("… {count} events were missed")),
    }
}

fn line(event: &Event) -> String {
    let time = Duration::from_millis(event.time_unix_ms.min(TIME_UNIX_MS_MAX));
    let time = humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + time);
    let volume = event.volume.as_deref().unwrap_or("-");
    format!("{time}  {volume}  {:<12}  {}", event.kind, event.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let mut event = Event {
            sequence: 7,
            time_unix_ms: 1_700_000_000_123,
            volume: Some("usb".into()),
            kind: "lost".into(),
            text: "the medium of usb is gone".into(),
        };
        assert_eq!(
            line(&event),
            "2023-11-14T22:13:20.123Z  usb  lost          the medium of usb is gone"
        );
        event.time_unix_ms = u64::MAX;
        event.volume = None;
        assert!(line(&event).starts_with("9999-12-31T23:59:59.999Z  -  lost"));
    }

    #[test]
    fn a_gap_is_told() {
        assert_eq!(missed(None, 5), None);
        assert_eq!(missed(Some(4), 5), None);
        assert_eq!(missed(Some(4), 7).unwrap(), "… 2 events were missed");
    }
}
