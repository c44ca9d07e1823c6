//! `hotbay status`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::output::{self, Colour, Colours, human_size};
use super::progress::percent;
use super::table::{Cell, table};
use super::{Daemon, room, unexpected};
use crate::cli::StatusArgs;
use crate::control::{ArmedFault, ControlReply, ControlRequest, State, Status, VolumeStatus};
use crate::failure::Failure;

const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Puts the cursor at the top left and clears all behind it, without the flicker of a cleared screen.
const TOP_LEFT: &str = "\x1b[H\x1b[J";

/// Shows the drive and its volumes, once or each second.
///
/// # Errors
/// Where no daemon answers, or it knows no such volume. Once it watches, it shows these and goes on.
pub(crate) fn run(daemon: &Daemon, arguments: &StatusArgs) -> Result<(), Failure> {
    let request =
        ControlRequest::Status { volume: arguments.volume.as_ref().map(ToString::to_string) };
    let shown = show(daemon, &request, arguments)?;
    if !arguments.watch {
        return output::print(&shown);
    }
    let colours = Colours::of_output();
    let mut shown = Ok(shown);
    loop {
        let text = shown.unwrap_or_else(|failure: Failure| format!("{failure}\n"));
        let start = if colours == Colours::On && !arguments.json { TOP_LEFT } else { "" };
        output::print(&format!("{start}{text}"))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the pace of a display; nothing is waited for"
        )]
        std::thread::sleep(WATCH_INTERVAL);
        shown = show(daemon, &request, arguments);
    }
}

fn show(
    daemon: &Daemon,
    request: &ControlRequest,
    arguments: &StatusArgs,
) -> Result<String, Failure> {
    let status = match daemon.connect()?.ask(request, |_| Ok(()))? {
        ControlReply::Status(status) => status,
        other => return Err(unexpected(&other)),
    };
    if arguments.json {
        let line = serde_json::to_string(&status).expect("the vocabulary has string keys");
        return Ok(format!("{line}\n"));
    }
    Ok(describe(&status, daemon.control()?, Colours::of_output()))
}

/// All of it for a person.
pub(super) fn describe(status: &Status, control: &Path, colours: Colours) -> String {
    let Status { drive, bays, layout, .. } = status;
    let bays = match bays {
        1 => String::from("1 bay"),
        several => format!("{several} bays"),
    };
    let mut text =
        format!("drive {}: {bays}, layout {layout}\n", colours.paint(Colour::Bold, drive));
    _ = writeln!(text, "  control  {}", control.display());
    for address in &status.listen {
        _ = writeln!(text, "  listen   {address}");
    }
    if let Some(url) = &status.metrics {
        _ = writeln!(text, "  metrics  {url}");
    }
    for export in &status.exports {
        for device in &export.devices {
            _ = writeln!(text, "  attached {device} is {}", export.name);
        }
    }
    if let Some(command) = how_to_connect(status) {
        _ = writeln!(text, "  connect  {command}");
    }
    let rows = status.volumes.iter().map(row).collect();
    let headings =
        ["VOLUME", "STATE", "BAY", "SIZE", "SESSIONS", "WAITING", "RETAINED", "JOURNAL", "MEDIUM"];
    _ = write!(text, "\n{}", table(headings, rows, colours));
    let notes: Vec<String> =
        status.volumes.iter().flat_map(|volume| notes(volume, colours)).collect();
    if !notes.is_empty() {
        _ = write!(text, "\n{}", notes.concat());
    }
    text
}

/// What to type to get a block device.
fn how_to_connect(status: &Status) -> Option<String> {
    let export = &status.volumes.first()?.export;
    let address = status.listen.first()?;
    if let Some(path) = address.strip_prefix("unix:") {
        return Some(format!("nbd-client -unix {path} /dev/nbd0 -N {export}"));
    }
    let (host, port) = address.strip_prefix("tcp:")?.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some(format!("nbd-client {host} {port} /dev/nbd0 -N {export}"))
}

fn row(volume: &VolumeStatus) -> [Cell; 9] {
    let colour = match volume.state {
        State::Present => Colour::Good,
        State::Absent => Colour::Attention,
        State::Replaying | State::Copying => Colour::Busy,
        State::Conflict | State::Failed => Colour::Bad,
    };
    let journal = &volume.journal;
    // One that could not be opened has no limit, and what it holds is not known.
    let journal = (journal.limit_bytes > 0).then(|| {
        format!("{} of {}", human_size(journal.live_bytes), human_size(journal.limit_bytes))
    });
    [
        volume.name.as_str().into(),
        Cell::coloured(volume.state.to_string(), colour),
        Cell::or_dash(volume.bay),
        human_size(volume.size_bytes).into(),
        volume.sessions.to_string().into(),
        volume.waiting_requests.to_string().into(),
        human_size(volume.retained_bytes).into(),
        Cell::or_dash(journal),
        // The last one: a long path then runs out of a narrow terminal, and the columns stay where they are.
        Cell::or_dash(volume.medium.as_deref().map(short)),
    ]
}

/// A medium as a person would type it.
fn short(medium: &str) -> &str {
    medium.strip_prefix("file:").filter(|path| path.starts_with('/')).unwrap_or(medium)
}

/// What a person should know, or do, about a volume.
fn notes(volume: &VolumeStatus, colours: Colours) -> Vec<String> {
    let name = &volume.name;
    let mut notes = Vec::new();
    if let Some(why) = &volume.conflict {
        let conflict = colours.paint(Colour::Bad, &format!("volume {name} is in conflict"));
        notes.push(format!(
            "{conflict}: {why}; 'hotbay resolve {name} replay|discard', or 'hotbay eject {name}'\n"
        ));
    }
    if volume.waiting_for_medium {
        let count = match volume.waiting_requests {
            1 => String::from("1 request waits"),
            several => format!("{several} requests wait"),
        };
        let wish = colours.paint(Colour::Attention, &format!("please insert volume {name}"));
        notes.push(format!("{wish}: {count}; 'hotbay insert {name}'\n"));
    }
    if let (Some(waits), Some(waiting)) = (room::what_waits(volume), &volume.waiting_for_room) {
        let waits = colours.paint(Colour::Attention, &waits);
        notes.push(format!("{waits}; {}\n", room::what_to_do(volume, waiting)));
    }
    if let Some(work) = volume.progress {
        let percent = percent(work.done_bytes, work.total_bytes);
        let (done, total) = (human_size(work.done_bytes), human_size(work.total_bytes));
        let doing = match &volume.copy {
            Some(copy) if !copy.in_sync && volume.state == State::Present => {
                "catching up".to_owned()
            }
            _ => volume.state.to_string(),
        };
        notes.push(format!("{doing} {name}: {percent}% ({done} of {total})\n"));
    }
    if let Some(copy) = volume.copy.as_ref().filter(|copy| !copy.in_sync) {
        let behind = human_size(copy.behind_bytes);
        let word = colours.paint(Colour::Attention, &format!("the copy on {name} is behind"));
        notes.push(format!("{word}: by up to {behind}\n"));
    }
    if let Some(hung) = &volume.hung {
        let hangs = colours.paint(Colour::Attention, &format!("earlier I/O of {name} still hangs"));
        notes.push(format!("{hangs}: {hung}; nothing is put in before that has ended\n"));
    }
    for ArmedFault { fault, seen, fired } in &volume.faults {
        let armed = colours.paint(Colour::Attention, &format!("a fault is armed on {name}"));
        notes.push(format!("{armed}: {fault} (seen {seen}, happened {fired})\n"));
    }
    match (&volume.last_loss, volume.state) {
        (Some(reason), State::Failed) => {
            let wrong = colours.paint(Colour::Bad, &format!("volume {name} has failed"));
            notes.push(format!("{wrong}: {reason}\n"));
        }
        (Some(reason), _) => notes.push(format!("last loss of {name}: {reason}\n")),
        (None, _) => {}
    }
    notes
}
