//! Block devices of this machine.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hotbay_server::ListenAddress;

use crate::attach::{Attached, NbdDevice};
use crate::config::{Name, parse_duration};

/// `attach`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
It needs root, and the kernel's NBD client: 'modprobe nbd'. 'hotbay doctor' says whether both are there.

It prints the device's path when it can be used and returns; a process stays that connects the device again whenever \
the daemon was restarted. What it has to say is in the kernel's log. Where that process was killed, the same line \
starts another.

Requests wait while the daemon is away. After --wait-for-daemon they fail and the device is disconnected.

/etc/hotbay/attach may say what an export is to become, in lines of EXPORT DEVICE OPTION,OPTION:
  usb     /dev/nbd0
  backup  -          server=unix:/run/hotbay-b/nbd.sock,wait-for-daemon=1h    # - is a device that is free
Flags win over it. With the udev rule of hotbay a device is also /dev/hotbay/EXPORT.

Examples:
  mount $(hotbay attach usb) /mnt
  hotbay attach usb /dev/nbd0 --wait-for-daemon 1h
  hotbay attach --all
  hotbay attach --list
  hotbay attach usb --resize      # after the volume has grown where this machine's 'hotbay volume grow' was not asked")]
pub(crate) struct AttachArgs {
    /// The export: a volume's name
    #[arg(required_unless_present_any = ["list", "all"])]
    pub(crate) export: Option<Name>,

    /// The device [default: that of its line in the table, else one that is free]
    #[arg(value_name = "/dev/nbdN")]
    pub(crate) device: Option<NbdDevice>,

    /// How long the daemon may be away before requests fail: 30s, 5m, 1h [default: as in the table, else 5m]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) wait_for_daemon: Option<Duration>,

    /// Where the server is: unix:PATH or tcp:HOST:PORT [default: as in the table, else what the daemon tells]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) server: Option<ListenAddress>,

    /// Attach each export of the table that is not attached yet
    #[arg(long, conflicts_with_all = ["export", "list", "foreground", "wait_for_daemon", "server"])]
    pub(crate) all: bool,

    /// The table [default: /etc/hotbay/attach, which may be missing]
    #[arg(long, value_name = "FILE")]
    pub(crate) table: Option<PathBuf>,

    /// Stay, and tell what happens on standard error: for systemd and its like
    #[arg(long)]
    pub(crate) foreground: bool,

    /// Show which device is attached to which export
    #[arg(long, conflicts_with_all = ["export", "foreground"])]
    pub(crate) list: bool,

    /// With --list: one line of JSON, for scripts
    #[arg(long, requires = "list")]
    pub(crate) json: bool,

    /// Give the device, while it is in use, the size that its export has grown to
    #[arg(long, conflicts_with_all = ["list", "all", "table", "foreground", "wait_for_daemon", "server"])]
    pub(crate) resize: bool,

    /// Be the process that stays
    #[arg(long, hide = true)]
    pub(crate) resident: bool,
}

/// `detach`.
#[derive(Debug, Args)]
#[command(after_help = "\
A device that is mounted, or in use in another way, is not let go. It returns when the kernel has let it go.

Examples:
  umount /mnt && hotbay detach /dev/nbd0
  hotbay detach usb")]
pub(crate) struct DetachArgs {
    /// The device, or the export that is attached
    #[arg(value_name = "/dev/nbdN|EXPORT")]
    pub(crate) attached: Attached,
}
