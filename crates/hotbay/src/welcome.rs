//! What the daemon prints when it serves: where it is, and, unless it is a service, what to type next.

use std::fmt::Write as _;
use std::path::Path;

use hotbay_drive::{Drive, State};
use hotbay_media::ByteSize;
use hotbay_server::ListenAddress;

use crate::config::{Config, Layout};
use crate::exports::LayoutExports;
use crate::handler::without_create;
use crate::logging::is_journald;

/// The lines for a person who has just started the daemon.
pub(crate) fn welcome(
    config: &Config,
    exports: &LayoutExports,
    drive: &Drive,
    addresses: &[ListenAddress],
    metrics: Option<&str>,
) -> String {
    let mut text = format!("drive {} is ready\n", config.name);
    for volume in drive.status().volumes {
        let size = ByteSize(volume.size_bytes);
        let medium = volume.medium.as_deref().map(without_create).unwrap_or_default();
        let place = match volume.state {
            State::Present | State::Replaying | State::Copying => format!("on {medium}"),
            State::Absent => format!("its medium {medium} is away, the journal takes its writes"),
            State::Conflict => format!("in conflict with {medium}, see 'hotbay status'"),
            State::Failed => "its journal is broken, see 'hotbay events'".to_owned(),
        };
        _ = writeln!(text, "  volume {}  {size}, {place}", volume.name);
    }
    for address in addresses {
        _ = writeln!(text, "  listening on {address}");
    }
    if let Some(url) = metrics {
        _ = writeln!(text, "  metrics at {url}");
    }
    if !is_journald() {
        text.push_str(&what_to_type(config, exports, addresses));
    }
    text
}

/// The commands to go on with, in columns.
fn what_to_type(config: &Config, exports: &LayoutExports, addresses: &[ListenAddress]) -> String {
    let hotbay = format!("hotbay{}", control_flag(config));
    let first = config.volumes.first().map_or_else(String::new, |volume| volume.name.to_string());
    let mut steps = Vec::new();
    if !addresses.is_empty() {
        steps.extend(attaching(config, exports, &first));
    }
    steps.extend([
        (format!("{hotbay} status"), "how it is doing"),
        (format!("{hotbay} eject {first}"), "take the medium away, the mount goes on"),
        (format!("{hotbay} insert {first}"), "and bring it back"),
    ]);
    let width = steps.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
    let mut text = String::from("\nin another terminal:\n");
    for (command, what) in steps {
        _ = writeln!(text, "  {command:<width$}  # {what}");
    }
    text.push_str("\nCtrl-C stops it; nothing is lost\n");
    text
}

/// From an export to a mounted file system, which is root's to do.
fn attaching(
    config: &Config,
    exports: &LayoutExports,
    volume: &str,
) -> [(String, &'static str); 4] {
    let (root, control) = match rustix::process::geteuid().is_root() {
        true => ("", control_flag(config)),
        // Root looks for a daemon elsewhere.
        false => ("sudo ", format!(" --control {}", config.control.display())),
    };
    let (export, disk) = (exports.of_volume(volume), "/dev/nbd0");
    let (device, what) = match config.layout {
        Layout::Volumes => (disk.to_owned(), "make a disk of the volume"),
        Layout::Partitions => (format!("{disk}p1"), "make a disk with a partition of each volume"),
        Layout::Linear => (disk.to_owned(), "make a disk of all volumes"),
        Layout::Mirror => (disk.to_owned(), "make a disk that is on each volume"),
    };
    [
        (format!("{root}modprobe nbd"), "the kernel's NBD client"),
        (format!("{root}hotbay{control} attach {export} {disk}"), what),
        (format!("{root}mke2fs {device}"), "the first time only: it erases"),
        (format!("{root}mount {device} /mnt"), "use it"),
    ]
}

/// How the other commands find this daemon, where they would not by themselves.
fn control_flag(config: &Config) -> String {
    let usual = crate::config::Environment::of_process()
        .and_then(|environment| environment.control(None))
        .is_ok_and(|path| path == config.control);
    let named =
        std::env::var_os("HOTBAY_CONTROL").is_some_and(|path| Path::new(&path) == config.control);
    match usual || named {
        true => String::new(),
        false => format!(" --control {}", config.control.display()),
    }
}
