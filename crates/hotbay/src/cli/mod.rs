//! The command line. It is a contract with scripts: a word that is here stays.

mod attach;
mod journal;
mod load;
mod machine;
mod media;
mod serve;
#[cfg(test)]
mod tests;
mod volume;
mod watching;

use std::path::PathBuf;

use clap::{Arg, Parser, Subcommand, value_parser};

pub(crate) use attach::{AttachArgs, DetachArgs};
pub(crate) use journal::{
    JournalArgs, JournalCommand, JournalExportArgs, JournalListArgs, JournalShowArgs,
    JournalVerifyArgs,
};
pub(crate) use load::{
    BenchArgs, ScenarioArgs, ScenarioCommand, ScenarioRunArgs, ScenarioSweepArgs,
};
pub(crate) use machine::{
    CompletionsArgs, DoctorArgs, ManArgs, OwnerArgs, TlsArgs, TlsClientArgs, TlsCommand,
    TlsMakeArgs,
};
pub(crate) use media::{
    FaultArgs, InsertArgs, ResolveArgs, ResolveCommand, ResolveSaveArgs, ScrubArgs, SwapArgs,
    VolumeArg,
};
pub(crate) use serve::{CheckConfigArgs, ServeArgs};
pub(crate) use volume::{
    VolumeAddArgs, VolumeArgs, VolumeCommand, VolumeGrowArgs, VolumeRemoveArgs,
};
pub(crate) use watching::{EventsArgs, StatusArgs, WaitArgs};

const EXAMPLES: &str = "\
A first look, no root needed:
  hotbay demo

A drive with a stick that may be pulled at any time:
  hotbay serve --volume usb=/dev/sdb1
  mount $(hotbay attach usb) /mnt
  hotbay eject usb          # take the stick away; /mnt goes on working
  hotbay insert usb         # bring it back; what was written meanwhile goes to it

Exit status:
  0 done   1 refused or failed   2 wrong usage   3 `hotbay wait` ran out of time";

/// Where an option stands that many commands have: behind their own.
const LAST: usize = 900;

/// `--control` of a command that asks no daemon: it may be written, as with any other, and is not shown.
fn unused_control() -> Arg {
    let control = Arg::new("control").long("control").global(true).hide(true);
    control.value_name("PATH").value_parser(value_parser!(PathBuf))
}

const TOP: &str = "\
It asks the daemon twice a second. e ejects, i inserts, s swaps the volume that is selected, each after a question; q ends it.

Example:
  hotbay top";

const EJECT: &str = "\
Whatever is on its way to the medium is carried out, the medium is synced and let go. Then it returns, and the medium may be \
unplugged. The volume goes on: writes go to the journal, reads of what only the medium has wait for it.

Example:
  hotbay eject usb && echo 'take the stick out'";

const PULL: &str = "\
As if the medium had been torn out; nothing that was acknowledged is lost. For tests; to unplug a medium, eject it.

Example:
  hotbay pull usb";

const DEMO: &str = "\
A stick is pulled while it is being written, forgets what it had not synced, and comes back; then two volumes share one bay. Nothing \
is pretended: a real drive, real files in the directory for temporary files, and every byte compared at the end. Nothing is left \
behind.

Example:
  hotbay demo";

const RELOAD: &str = "\
Volumes may come and go, and their settings, hooks and the number of bays change. Certificates are read again, for the clients \
that come after it. A file that says something wrong changes nothing. SIGHUP does the same, and the log has the answer.

Exit status 1 where the file is wrong, or a change that is possible while the daemon runs was refused.

Example:
  hotbay check-config /etc/hotbay.toml && hotbay reload";

/// A drive whose media may be pulled, returned and exchanged under a mounted file system.
///
/// `hotbay serve` is the daemon: it presents volumes to NBD clients such as nbd-client, qemu or libnbd. The commands
/// that change or show its drive ask it over its control socket.
#[derive(Debug, Parser)]
#[command(name = "hotbay", version, after_help = EXAMPLES, disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The daemon's control socket [default: /run/hotbay/control.sock as root, else
    /// $XDG_RUNTIME_DIR/hotbay/control.sock, else run/control.sock in the state directory]
    #[arg(
        long,
        global = true,
        env = "HOTBAY_CONTROL",
        value_name = "PATH",
        hide_env_values = true,
        display_order = LAST
    )]
    pub(crate) control: Option<PathBuf>,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Present a drive to NBD clients, until SIGINT or SIGTERM
    Serve(ServeArgs),
    /// Show the drive and its volumes
    Status(StatusArgs),
    /// Watch the drive on a whole terminal, with keys to eject, insert and swap
    #[command(after_help = TOP)]
    Top,
    /// Put a medium into a bay and bring the journal's writes to it
    Insert(InsertArgs),
    /// Take a medium out politely; returns when it may be taken away
    #[command(after_help = EJECT)]
    Eject(VolumeArg),
    /// Take a medium out as a hand would: no sync, no drain
    #[command(after_help = PULL)]
    Pull(VolumeArg),
    /// Exchange a medium for another one while the volume is in use
    Swap(SwapArgs),
    /// Decide what counts where a medium was changed while it was away
    Resolve(ResolveArgs),
    /// Let scripted faults happen to a volume's medium, for tests
    Fault(FaultArgs),
    /// Compare the copies of a mirror, and repair them where that is asked for
    Scrub(ScrubArgs),
    /// Add, remove or grow a volume while the daemon runs
    Volume(VolumeArgs),
    /// Read the configuration file again; what cannot change while the daemon runs is named
    #[command(after_help = RELOAD)]
    Reload,
    /// Wait until a volume is in a state; exit status 3 when time runs out
    Wait(WaitArgs),
    /// Show what happened
    Events(EventsArgs),
    /// Make a block device of an export, which outlives restarts of the daemon
    Attach(AttachArgs),
    /// Let a block device go
    #[command(arg(unused_control()))]
    Detach(DetachArgs),
    /// Look into the journals of volumes, with or without a daemon
    #[command(arg(unused_control()))]
    Journal(JournalArgs),
    /// Check a configuration file and show what a daemon would make of it
    #[command(arg(unused_control()))]
    CheckConfig(CheckConfigArgs),
    /// Say which volume a disk belongs to, also while it is in no bay
    #[command(arg(unused_control()))]
    Owner(OwnerArgs),
    /// Make certificates for NBD in TLS
    #[command(arg(unused_control()))]
    Tls(TlsArgs),
    /// Look at this machine and its drive, and say what to do
    Doctor(DoctorArgs),
    /// Print completions for a shell
    #[command(arg(unused_control()))]
    Completions(CompletionsArgs),
    /// Write the man pages into a directory
    #[command(arg(unused_control()))]
    Man(ManArgs),
    /// Show the whole story in a minute, on this machine, no root needed
    #[command(after_help = DEMO, arg(unused_control()))]
    Demo,
    /// Run a load against a medium that faults, from a small file, with a verdict
    #[command(arg(unused_control()))]
    Scenario(ScenarioArgs),
    /// Measure an export of any NBD server with a load of reads or writes
    #[command(arg(unused_control()))]
    Bench(BenchArgs),
}
