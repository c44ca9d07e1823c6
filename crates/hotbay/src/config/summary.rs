//! A resolved configuration for a person to read.

use std::fmt::Write as _;

use hotbay_media::ByteSize;

use super::allow::Allowed;
use super::resolve::{AutoInsert, Config, VolumeConfig};
use super::value::{AbsentReads, JournalFull, format_duration};

/// A key of the file, and its value as text.
pub(super) type Line = (&'static str, String);

/// All of it, a line each, in the words of the file.
pub(crate) fn summary(config: &Config) -> String {
    let mut text = String::new();
    for (key, value) in lines(config) {
        _ = writeln!(text, "{}", format!("{key:<19} {value}").trim_end());
    }
    for volume in &config.volumes {
        _ = writeln!(text, "\nvolume {}", volume.name);
        for (key, value) in volume_lines(volume) {
            _ = writeln!(text, "{}", format!("  {key:<17} {value}").trim_end());
        }
    }
    text
}

/// What it says of the drive.
pub(super) fn lines(config: &Config) -> Vec<Line> {
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        ("name", config.name.to_string()),
        ("bays", config.bay_count().to_string()),
        ("layout", config.layout.to_string()),
        ("listen", listen.join(", ")),
        ("tls", config.tls.as_ref().map_or_else(|| "off".to_owned(), ToString::to_string)),
        ("control", config.control.display().to_string()),
        ("state", config.state.display().to_string()),
        ("metrics", config.metrics.to_string()),
        ("max_connections", config.max_connections.to_string()),
        ("max_bytes_in_flight", ByteSize(config.max_bytes_in_flight).to_string()),
        ("allow", all(&config.allow)),
        ("handshake_timeout", format_duration(config.handshake_timeout)),
        ("busy_poll", format_duration(config.busy_poll)),
    ];
    if let Some(changer) = &config.changer {
        lines.push(("bay_command", changer.command.join(" ")));
        lines.push(("bay_timeout", format_duration(changer.timeout)));
        lines.push(("bay_minimum_stay", format_duration(changer.minimum_stay)));
    }
    lines.extend(config.hooks.iter().map(|hook| ("hook", hook.to_string())));
    lines
}

fn all(allow: &[Allowed]) -> String {
    match allow {
        [] => "nobody".to_owned(),
        allow => allow.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// What it says of a volume.
pub(super) fn volume_lines(volume: &VolumeConfig) -> Vec<Line> {
    let reads = match volume.absent_reads {
        AbsentReads::Wait => "wait",
        AbsentReads::Error => "error",
    };
    let full = match volume.journal_full {
        JournalFull::Wait => "wait",
        JournalFull::Error => "error",
    };
    let mut lines = vec![
        ("medium", volume.medium.to_string()),
        ("absent_reads", reads.into()),
        ("absent_wait", format_duration(volume.absent_wait)),
        ("io_deadline", format_duration(volume.io_deadline)),
        ("journal_limit", ByteSize(volume.journal_limit_bytes).to_string()),
        ("journal_full", full.into()),
        ("retained_limit", ByteSize(volume.retained_limit_bytes).to_string()),
        ("auto_insert", (volume.auto_insert == AutoInsert::WhenItReturns).to_string()),
        ("allow", all(&volume.allow)),
        ("read_only", volume.read_only.to_string()),
        ("rotational", volume.rotational.to_string()),
        ("description", volume.description.clone()),
    ];
    if let Some(copy_of) = &volume.copy_of {
        lines.push(("copy_of", copy_of.mirror.to_string()));
    }
    lines
}
