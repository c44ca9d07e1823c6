//! Media going in and out, and what happens to them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hotbay_media::MediumSpec;

use crate::config::Name;

/// `insert`.
#[derive(Debug, Args)]
#[command(after_help = "\
It returns when the medium is accepted and all that was written while it was away has reached it. Interrupting \
the command does not interrupt the replay.

Examples:
  hotbay insert usb                # the medium that was in last
  hotbay insert usb /dev/sdc1      # the same stick, seen under another name
  hotbay insert backup --replace   # eject the medium that is in longest for it
  hotbay insert a /dev/sdd --new   # a fresh disk in place of one that is lost for ever")]
pub(crate) struct InsertArgs {
    /// Whose medium
    pub(crate) volume: Name,

    /// PATH, file:PATH[?create=SIZE], wwn:NAME, serial:NUMBER, mem:SIZE or nbd://HOST/EXPORT [default: the medium that was in
    /// last, at first that of the configuration]
    pub(crate) medium: Option<MediumSpec>,

    /// Where every bay is occupied, eject the medium that is in longest; without it that is an error
    #[arg(long)]
    pub(crate) replace: bool,

    /// MEDIUM is a fresh one, in place of one that is lost for ever: it gets everything, where all of it is in the journal or on
    /// another copy of a mirror. The lost one is not taken back
    #[arg(long, requires = "medium")]
    pub(crate) new: bool,
}

/// A command that takes a volume alone.
#[derive(Debug, Args)]
pub(crate) struct VolumeArg {
    /// Whose medium
    pub(crate) volume: Name,
}

/// `swap`.
#[derive(Debug, Args)]
#[command(after_help = "\
It copies the content while the volume is in use, and returns when the volume is on the new medium. Interrupting \
the command does not interrupt the copy. What the new medium held is overwritten, unless with --as-is.

Examples:
  hotbay swap data /dev/nvme0n1p3
  hotbay swap data 'file:/srv/data.img?create=64MiB'
  hotbay swap floppy /srv/disk2.adf --as-is")]
pub(crate) struct SwapArgs {
    /// Whose medium
    pub(crate) volume: Name,

    /// The new one: PATH, file:PATH[?create=SIZE], wwn:NAME, serial:NUMBER, mem:SIZE or nbd://HOST/EXPORT; of the volume's size, or
    /// of any with --as-is
    pub(crate) medium: MediumSpec,

    /// Copy nothing: the volume gets the new medium's content, and its sessions are closed
    #[arg(long)]
    pub(crate) as_is: bool,
}

/// `resolve`.
#[derive(Debug, Args)]
#[command(after_help = "\
A volume is in conflict where the medium in its bay was changed while it was away, or is an older copy of itself. Nothing \
was written to it. 'hotbay eject' gives it back as it is.

Examples:
  hotbay resolve usb save lacks.img  # what the journal holds, before it is given up
  hotbay resolve usb discard         # the medium counts; sessions are closed
  hotbay resolve usb replay          # the journal counts: it is laid over the medium; check the file system then
  hotbay resolve b newest            # in a mirror, whose newest copy is lost: the one on b counts")]
pub(crate) struct ResolveArgs {
    /// Which volume
    pub(crate) volume: Name,

    /// What counts
    #[command(subcommand)]
    pub(crate) by: ResolveCommand,
}

/// What counts.
#[derive(Debug, Subcommand)]
pub(crate) enum ResolveCommand {
    /// Lay the journal over the medium as it is; sessions go on
    Replay,
    /// Give the journal up: the volume is what the medium holds, and its sessions are closed. Of a copy of a mirror: what the
    /// mirror holds counts, and it becomes a copy again
    Discard,
    /// Let this copy of a mirror count though it lacks something, because those that have everything are lost, or because it is in
    /// conflict; sessions are closed
    Newest,
    /// Write what the journal holds to a fresh file, as 'hotbay journal export' does; the volume stays in conflict
    Save(ResolveSaveArgs),
}

/// `resolve VOLUME save`.
#[derive(Debug, Args)]
pub(crate) struct ResolveSaveArgs {
    /// The file to create: sparse, of the volume's size
    pub(crate) file: PathBuf,

    /// The state directory [default: that of `hotbay serve`; name it where a configuration file names another]
    #[arg(long, env = "HOTBAY_STATE", value_name = "DIR", hide_env_values = true)]
    pub(crate) state: Option<PathBuf>,
}

/// `fault`.
#[derive(Debug, Args)]
#[command(after_help = "\
SPEC is ACTION [on OP [N]] [at OFFSET+LENGTH] [after TIME] [once|always|every] [back TIME [blank|changed]]
Several are separated by `;`.

  error [ERRNO]     the request fails: EIO, ENOSPC, ENODEV, …       hang [TIME]    no answer, until --clear or for TIME
  delay TIME        the answer comes so much later                 torn [SIZE]    a write is done in part, then it is gone
  vanish            the medium is gone                             lose-unsynced  gone, and what was not synced with it
  corrupt           one bit is another                             count          nothing happens, it is counted

  OP: read, write, sync, look (is it there?), identify, open, io (the first three), any; N: the Nth of them from now on

They happen to a real medium: torn, lose-unsynced, corrupt on write and back … changed change what is on it.
docs/faults.md explains each word.

Examples:
  hotbay fault usb vanish on write 100 back 2s
  hotbay fault usb 'hang on sync; corrupt on read at 1MiB+4KiB always'
  hotbay fault usb --clear
  hotbay status usb              # what is armed, and how often it has happened")]
pub(crate) struct FaultArgs {
    /// To whose medium
    pub(crate) volume: Name,

    /// What happens; beside what is armed already
    #[arg(required_unless_present = "clear")]
    pub(crate) spec: Vec<String>,

    /// End all faults: what hangs is carried out now, and what is away may come back
    #[arg(long)]
    pub(crate) clear: bool,
}

/// `scrub`.
#[derive(Debug, Args)]
#[command(after_help = "\
Clients go on meanwhile. Copies that are behind, or whose medium is away, are left out. Exit status 1 where copies differ and \
are not repaired.

Examples:
  hotbay scrub a
  hotbay scrub a --repair            # what volume a holds is right")]
pub(crate) struct ScrubArgs {
    /// The copy that the others are compared with
    pub(crate) volume: Name,

    /// Write what VOLUME holds to the copies that differ
    #[arg(long)]
    pub(crate) repair: bool,
}
