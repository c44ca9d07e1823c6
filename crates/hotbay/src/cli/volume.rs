//! Volumes that come, go and grow.

use clap::{Args, Subcommand};
use hotbay_media::ByteSize;

use crate::config::{Name, VolumeFlag};

/// `volume`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct VolumeArgs {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: VolumeCommand,
}

/// What to do with the volumes of a running daemon.
#[derive(Debug, Subcommand)]
pub(crate) enum VolumeCommand {
    /// Add a volume, which is there after a restart, too
    Add(VolumeAddArgs),
    /// Remove a volume, which is not there after a restart either; its medium is synced and let go
    Remove(VolumeRemoveArgs),
    /// Make a volume and its medium, a regular file, larger
    Grow(VolumeGrowArgs),
}

/// `volume add`.
#[derive(Debug, Args)]
#[command(after_help = "\
The configuration file stays as it is; the state directory remembers the volume. It has the settings of [defaults]; for its own put \
it into the file, which counts from then on. Where layout is not `volumes`, the volumes cannot change while the daemon runs.

Examples:
  hotbay volume add usb=/dev/sdc1
  hotbay volume add 'scratch=/srv/scratch.img?create=1GiB'")]
pub(crate) struct VolumeAddArgs {
    /// The volume, with a medium as `hotbay serve` takes it
    #[arg(value_name = "NAME=MEDIUM")]
    pub(crate) volume: VolumeFlag,
}

/// `volume remove`.
#[derive(Debug, Args)]
#[command(after_help = "\
What the medium holds stays there; what a memory medium holds is gone. Where everything is on the medium, nothing of the volume is kept \
in the state directory. A volume of the configuration file stays removed until the file does not name it any more, or it is added \
again.

Examples:
  hotbay volume remove usb
  hotbay volume remove usb --keep-journal     # 'hotbay journal export usb' reads it, 'hotbay volume add' goes on with it")]
pub(crate) struct VolumeRemoveArgs {
    /// Which volume
    pub(crate) volume: Name,

    /// Close its sessions; without it, open ones are an error
    #[arg(long)]
    pub(crate) close_sessions: bool,

    /// Leave a journal where it is that holds what no medium has, or that is broken; without it, such a one is an error
    #[arg(long)]
    pub(crate) keep_journal: bool,
}

/// `volume grow`.
#[derive(Debug, Args)]
#[command(after_help = "\
Clients go on. Block devices that 'hotbay attach' has made of it on this machine grow with it, mounted or not, where root asks; other \
clients that are connected know the new size when they connect again. A file system in the volume is its client's to grow.

Example:
  hotbay volume grow data 2GiB && resize2fs /dev/nbd0")]
pub(crate) struct VolumeGrowArgs {
    /// Which volume
    pub(crate) volume: Name,

    /// To what size: 64MiB, 2GiB
    pub(crate) size: ByteSize,
}
