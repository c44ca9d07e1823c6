//! What the daemon prints when it serves: where it is, and what to type next.

use std::fmt::Write as _;
use std::path::Path;

use hotbay_drive::{Drive, State};
use hotbay_media::ByteSize;
use hotbay_server::ListenAddress;

use crate::config::Config;

/// The lines for a person who has just started the daemon.
pub(crate) fn welcome(config: &Config, drive: &Drive, addresses: &[ListenAddress]) -> String {
    let mut text = format!("drive {} is ready\n", config.name);
    for volume in drive.status().volumes {
        let size = ByteSize(volume.size_bytes);
        let medium = volume.medium.unwrap_or_default();
        let place = match volume.state {
            State::Present | State::Replaying | State::Copying => format!("on {medium}"),
            State::Absent => format!("its medium {medium} is away, the journal takes its writes"),
            State::Failed => "its journal is broken, see 'hotbay events'".to_owned(),
        };
        _ = writeln!(text, "  volume {}  {size}, {place}", volume.name);
    }
    for address in addresses {
        _ = writeln!(text, "  listening on {address}");
    }
    let control = control_flag(config);
    let first = config.volumes.first().map_or_else(String::new, |volume| volume.name.to_string());
    _ = writeln!(text, "\nin another terminal:");
    if let Some(address) = addresses.first() {
        for (command, what) in next_steps(address, &first) {
            _ = writeln!(text, "  {command:<58}  # {what}");
        }
    }
    for (command, what) in [
        (format!("hotbay{control} status"), "how it is doing"),
        (format!("hotbay{control} eject {first}"), "take the medium away, the mount goes on"),
        (format!("hotbay{control} insert {first}"), "and bring it back"),
    ] {
        _ = writeln!(text, "  {command:<58}  # {what}");
    }
    text.push_str("\nCtrl-C stops it; nothing is lost\n");
    text
}

fn next_steps(address: &ListenAddress, volume: &str) -> [(String, &'static str); 3] {
    let attach = match address {
        ListenAddress::Unix(path) => {
            format!("nbd-client -unix {} /dev/nbd0 -N {volume}", path.display())
        }
        ListenAddress::Tcp { host, port } => {
            format!("nbd-client {host} {port} /dev/nbd0 -N {volume}")
        }
    };
    [
        (attach, "attach it, as root (modprobe nbd)"),
        ("mke2fs /dev/nbd0".to_owned(), "the first time"),
        ("mount /dev/nbd0 /mnt".to_owned(), "use it"),
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
