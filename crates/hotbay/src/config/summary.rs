//! A resolved configuration for a person to read.

use std::fmt::Write as _;

use hotbay_media::ByteSize;

use super::resolve::{AutoInsert, Config, VolumeConfig};
use super::value::{AbsentReads, JournalFull, format_duration};

/// All of it, a line each, in the words of the file.
pub(crate) fn summary(config: &Config) -> String {
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    let mut text = String::new();
    let mut line = |key: &str, value: String| _ = writeln!(text, "{key:<18} {value}");
    line("name", config.name.to_string());
    line("bays", config.bay_count().to_string());
    line("layout", config.layout.to_string());
    line("listen", listen.join(", "));
    line("tls", config.tls.as_ref().map_or_else(|| "off".to_owned(), ToString::to_string));
    line("control", config.control.display().to_string());
    line("state", config.state.display().to_string());
    line("metrics", config.metrics.to_string());
    line("max_connections", config.max_connections.to_string());
    line("handshake_timeout", format_duration(config.handshake_timeout));
    line("busy_poll", format_duration(config.busy_poll));
    config.hooks.iter().for_each(|hook| line("hook", hook.to_string()));
    for volume in &config.volumes {
        text.push_str(&volume_summary(volume));
    }
    text
}

fn volume_summary(volume: &VolumeConfig) -> String {
    let mut text = format!("\nvolume {}\n", volume.name);
    let mut line = |key: &str, value: String| _ = writeln!(text, "  {key:<16} {value}");
    line("medium", volume.medium.to_string());
    let reads = match volume.absent_reads {
        AbsentReads::Wait => "wait",
        AbsentReads::Error => "error",
    };
    line("absent_reads", reads.into());
    line("absent_wait", format_duration(volume.absent_wait));
    line("io_deadline", format_duration(volume.io_deadline));
    line("journal_limit", ByteSize(volume.journal_limit_bytes).to_string());
    let full = match volume.journal_full {
        JournalFull::Wait => "wait",
        JournalFull::Error => "error",
    };
    line("journal_full", full.into());
    line("retained_limit", ByteSize(volume.retained_limit_bytes).to_string());
    line("auto_insert", (volume.auto_insert == AutoInsert::WhenItReturns).to_string());
    text
}
