//! The command line. It is a contract with scripts: a word that is here stays.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use hotbay_media::{ByteSize, MediumSpec};
use hotbay_nbd::uri::NbdUri;

use hotbay_server::ListenAddress;

use crate::attach::{Attached, NbdDevice};
use crate::config::{
    BayCount, BusyPoll, Layout, Metrics, Name, Overrides, VolumeFlag, parse_duration,
};
use crate::control::State;

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

const RELOAD: &str = "\
Volumes may come and go, and their settings, hooks and the number of bays change. A file that says something wrong changes nothing. \
SIGHUP does the same, and the log has the answer.

Exit status 1 where the file is wrong, or a change that is possible while the daemon runs was refused.";

/// A drive whose media may be pulled, returned and exchanged under a mounted file system.
///
/// `hotbay serve` is the daemon: it presents volumes to NBD clients such as nbd-client, qemu or libnbd. All
/// other commands ask it over its control socket.
#[derive(Debug, Parser)]
#[command(name = "hotbay", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// The daemon's control socket [default: /run/hotbay/control.sock as root, else
    /// $XDG_RUNTIME_DIR/hotbay/control.sock, else run/control.sock in the state directory]
    #[arg(
        long,
        global = true,
        env = "HOTBAY_CONTROL",
        value_name = "PATH",
        hide_env_values = true
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
    Top,
    /// Put a medium into a bay and bring the journal's writes to it
    Insert(InsertArgs),
    /// Take a medium out politely; returns when it may be taken away
    Eject(VolumeArg),
    /// Take a medium out as a hand would: no sync, no drain
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
    Detach(DetachArgs),
    /// Look into the journals of volumes, with or without a daemon
    Journal(JournalArgs),
    /// Check a configuration file and show what a daemon would make of it
    CheckConfig(CheckConfigArgs),
    /// Make certificates for NBD in TLS
    Tls(TlsArgs),
    /// Look at this machine and its drive, and say what to do
    Doctor(DoctorArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Write the man pages into a directory
    Man(ManArgs),
    /// Show the whole story in a minute, on this machine, no root needed
    Demo,
    /// Run a load against a medium that faults, from a small file, with a verdict
    Scenario(ScenarioArgs),
    /// Measure an export of any NBD server with a load of reads or writes
    Bench(BenchArgs),
}

/// `serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Flags win over the environment, the environment over the file, the file over the defaults. With neither a file \
nor --volume there are two volumes a and b of 64MiB each, as files in the state directory.

A volume that the state directory knows stays on the medium that it was on last, wherever a swap has brought it.

MEDIUM is one of:
  PATH, file:PATH           a regular file or a block device
  wwn:NAME, serial:NUMBER   the disk that says so of itself (lsblk -o NAME,WWN,SERIAL); with -partN its partition
  file:PATH?create=64MiB    the same; a file of this size is created where there is none
  mem:64MiB                 memory of the daemon, kept until it ends
  nbd://HOST[:PORT]/EXPORT, nbd+unix:///EXPORT?socket=PATH
                            an export of another server; when the network goes away, that is a removal;
                            nbds in place of nbd for TLS

Examples:
  hotbay serve
  hotbay serve /etc/hotbay.toml
  hotbay serve --volume usb=/dev/sdb1 --listen tcp:127.0.0.1:10809
  hotbay serve --bays 1 --volume a=/srv/a.img --volume b=/srv/b.img

The log goes to standard error; HOTBAY_LOG sets what is in it: error, warn, info (the default), debug, trace.")]
pub(crate) struct ServeArgs {
    /// The configuration file; every key is explained in config/reference.toml
    #[arg(value_name = "CONFIG.toml")]
    pub(crate) config: Option<PathBuf>,

    /// Add a volume, or give another medium to the one of this name in the file; repeatable
    #[arg(long = "volume", value_name = "NAME=MEDIUM")]
    pub(crate) volumes: Vec<VolumeFlag>,

    /// How many media fit in at once, 1 to 64 [default: one bay for each volume]
    #[arg(long, value_name = "N")]
    pub(crate) bays: Option<BayCount>,

    /// How the volumes become exports: `volumes` (each under its name), `partitions` of one disk,
    /// `linear` (one after the other), or `mirror` (each a copy of the same) [default: volumes]
    #[arg(long, value_name = "LAYOUT")]
    pub(crate) layout: Option<Layout>,

    /// Where NBD clients connect: unix:PATH or tcp:HOST:PORT; repeatable, replaces the list of the file
    /// [default: unix: and nbd.sock beside the control socket's default]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Vec<ListenAddress>,

    /// Clients over TCP must use TLS, and show a certificate: server-cert.pem, server-key.pem and ca-cert.pem in this directory,
    /// as `hotbay tls make DIR` makes them, instead of the file's
    #[arg(long, value_name = "DIR")]
    pub(crate) tls: Option<PathBuf>,

    /// The directory for journals, on stable storage [default: /var/lib/hotbay as root, else
    /// $XDG_STATE_HOME/hotbay or ~/.local/state/hotbay]
    #[arg(long, env = "HOTBAY_STATE", value_name = "DIR", hide_env_values = true)]
    pub(crate) state: Option<PathBuf>,

    /// Serve metrics for Prometheus over HTTP: a port, for this machine alone, or IP:PORT, or off [default: off]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Option<Metrics>,

    /// How long a session spins before it sleeps, up to 50us: a processor for the latency of an only client
    /// that asks for one thing at a time [default: 0s, not at all]
    #[arg(long, value_name = "TIME")]
    pub(crate) busy_poll: Option<BusyPoll>,
}

impl ServeArgs {
    /// What the command line and the environment say about the configuration.
    pub(crate) fn overrides(self, control: Option<PathBuf>) -> (Option<PathBuf>, Overrides) {
        let Self { config, volumes, bays, layout, listen, tls, state, metrics, busy_poll } = self;
        let overrides =
            Overrides { volumes, bays, layout, listen, tls, control, state, metrics, busy_poll };
        (config, overrides)
    }
}

/// `status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hotbay status
  hotbay status usb --json | jq -r '.volumes[0].state'
  hotbay status --watch

Sizes in JSON are in bytes, times in milliseconds; docs/control.md explains each key.")]
pub(crate) struct StatusArgs {
    /// This volume alone [default: all]
    pub(crate) volume: Option<Name>,

    /// One line of JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,

    /// Show it again each second, until Ctrl-C
    #[arg(long)]
    pub(crate) watch: bool,
}

/// `insert`.
#[derive(Debug, Args)]
#[command(after_help = "\
It returns when the medium is accepted and all that was written while it was away has reached it. Interrupting \
the command does not interrupt the replay.

Examples:
  hotbay insert usb                # the medium that was in last
  hotbay insert usb /dev/sdc1      # the same stick, seen under another name
  hotbay insert backup --replace   # eject the medium that is in longest for it")]
pub(crate) struct InsertArgs {
    /// Whose medium
    pub(crate) volume: Name,

    /// PATH, file:PATH[?create=SIZE], wwn:NAME, serial:NUMBER, mem:SIZE or nbd://HOST/EXPORT [default: the medium that was in
    /// last, at first that of the configuration]
    pub(crate) medium: Option<MediumSpec>,

    /// Where every bay is occupied, eject the medium that is in longest; without it that is an error
    #[arg(long)]
    pub(crate) replace: bool,
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

    /// Write what it holds to those that differ
    #[arg(long)]
    pub(crate) repair: bool,
}

/// `volume`.
#[derive(Debug, Args)]
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
Clients go on; those that are connected keep the size that they know, and see the new one when they connect again. A file system \
in the volume is its client's to grow.

Example:
  hotbay volume grow data 2GiB")]
pub(crate) struct VolumeGrowArgs {
    /// Which volume
    pub(crate) volume: Name,

    /// To what size: 64MiB, 2GiB
    pub(crate) size: ByteSize,
}

/// `wait`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hotbay wait usb absent --timeout 5m && echo 'the stick is out'
  hotbay wait usb present || exit    # exit status 3: time ran out")]
pub(crate) struct WaitArgs {
    /// Which volume
    pub(crate) volume: Name,

    /// Which state
    pub(crate) state: State,

    /// How long at most: 500ms, 30s, 5m, 1h
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
}

/// `events`.
#[derive(Debug, Args)]
#[command(after_help = "\
Times are UTC. The daemon remembers its last 4096 events, each with a number. A gap in the numbers says that some \
were missed.

Examples:
  hotbay events
  hotbay events --follow --json | jq -r 'select(.volume == \"usb\") | .text'")]
pub(crate) struct EventsArgs {
    /// Go on with what happens next, until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,

    /// One line of JSON for each event, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// `attach`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
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
  hotbay attach --list")]
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

/// `journal`.
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is locked and nothing of the journal is changed, so a daemon may use it meanwhile.

Examples:
  hotbay journal list
  hotbay journal verify usb && echo 'every record is whole'
  hotbay journal export usb copy-of-the-stick.img --onto")]
pub(crate) struct JournalArgs {
    /// The state directory [default: that of `hotbay serve`; name it where a configuration file names another]
    #[arg(long, env = "HOTBAY_STATE", value_name = "DIR", hide_env_values = true, global = true)]
    pub(crate) state: Option<PathBuf>,

    /// What to do
    #[command(subcommand)]
    pub(crate) command: JournalCommand,
}

/// What to do with journals.
#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// List the journals: how much each holds, and whether it is whole
    List(JournalListArgs),
    /// Show the segments of one, and its extents or records
    Show(JournalShowArgs),
    /// Read and check every record; exit status 1 where one is damaged
    Verify(JournalVerifyArgs),
    /// Write what one holds to a file; of a damaged one what is whole
    Export(JournalExportArgs),
}

/// `journal list`.
#[derive(Debug, Args)]
pub(crate) struct JournalListArgs {
    /// One line of JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// `journal show`.
#[derive(Debug, Args)]
pub(crate) struct JournalShowArgs {
    /// Whose journal
    pub(crate) volume: Name,

    /// Also which parts of the volume it holds
    #[arg(long)]
    pub(crate) extents: bool,

    /// Also every record
    #[arg(long)]
    pub(crate) records: bool,

    /// One line of JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

/// `journal verify`.
#[derive(Debug, Args)]
pub(crate) struct JournalVerifyArgs {
    /// Whose journal [default: each]
    pub(crate) volume: Option<Name>,
}

/// `journal export`.
#[derive(Debug, Args)]
#[command(after_help = "\
A fresh FILE has the volume's size and is sparse: zeroes stand where the journal has nothing (`journal show --extents` \
tells which parts it has). With --onto a copy of the medium, FILE is what the volume holds.

Examples:
  hotbay journal export usb what-the-stick-lacks.img
  cp --sparse=always stick.img copy.img && hotbay journal export usb copy.img --onto")]
pub(crate) struct JournalExportArgs {
    /// Whose journal
    pub(crate) volume: Name,

    /// The file to create
    pub(crate) file: PathBuf,

    /// Write onto a file or a block device that is there, of the volume's size
    #[arg(long)]
    pub(crate) onto: bool,
}

/// `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
It changes nothing. Exit status 1 says that something is to be done.

Examples:
  hotbay doctor
  sudo hotbay doctor /etc/hotbay.toml
  hotbay doctor --json | jq -r '.[] | select(.verdict == \"problem\") | .advice'")]
pub(crate) struct DoctorArgs {
    /// The configuration file [default: none, and what a daemon does without one]
    #[arg(value_name = "CONFIG.toml")]
    pub(crate) config: Option<PathBuf>,

    /// The state directory [default: that of the file, or of `hotbay serve`]
    #[arg(long, env = "HOTBAY_STATE", value_name = "DIR", hide_env_values = true)]
    pub(crate) state: Option<PathBuf>,

    /// One line of JSON, for scripts: `check`, `verdict` (good, note or problem), `found`, `advice`
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tls`.
#[derive(Debug, Args)]
#[command(after_help = "\
The names of the files are those that libnbd, nbdkit and qemu look for in a directory. Each key is for its owner alone; ca-key.pem \
is needed for further certificates and nothing else: keep it where no client and no server is.

Examples:
  hotbay tls make /etc/hotbay/tls --name disks.example
  hotbay serve --tls /etc/hotbay/tls --listen tcp:0.0.0.0:10809
  hotbay tls client /etc/hotbay/tls laptop ./for-laptop
  nbdinfo 'nbds://disks.example/usb?tls-certificates=for-laptop'")]
pub(crate) struct TlsArgs {
    /// What to make
    #[command(subcommand)]
    pub(crate) command: TlsCommand,
}

/// What to make.
#[derive(Debug, Subcommand)]
pub(crate) enum TlsCommand {
    /// A CA, and a certificate that it signed for a server and for a client each
    Make(TlsMakeArgs),
    /// A certificate for one more client, signed by a CA that was made before
    Client(TlsClientArgs),
}

/// `tls make`.
#[derive(Debug, Args)]
pub(crate) struct TlsMakeArgs {
    /// The directory, made where there is none: ca-cert.pem, ca-key.pem, server-cert.pem, server-key.pem, client-cert.pem,
    /// client-key.pem. None of them may be there
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// A name or an IP address by which clients reach the server, beside localhost, 127.0.0.1 and ::1; repeatable
    #[arg(long = "name", value_name = "HOST")]
    pub(crate) names: Vec<String>,
}

/// `tls client`.
#[derive(Debug, Args)]
pub(crate) struct TlsClientArgs {
    /// The directory of the CA: ca-cert.pem and ca-key.pem
    #[arg(value_name = "DIR")]
    pub(crate) ca: PathBuf,

    /// The client's name, by which allow lists know it
    #[arg(value_name = "NAME")]
    pub(crate) name: Name,

    /// The directory for the client, made where there is none: ca-cert.pem, client-cert.pem, client-key.pem
    #[arg(value_name = "NEW-DIR")]
    pub(crate) directory: PathBuf,
}

/// `completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hotbay completions bash > /etc/bash_completion.d/hotbay
  hotbay completions zsh > /usr/local/share/zsh/site-functions/_hotbay
  hotbay completions fish > ~/.config/fish/completions/hotbay.fish")]
pub(crate) struct CompletionsArgs {
    /// Which shell
    pub(crate) shell: clap_complete::Shell,
}

/// `man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hotbay man /usr/local/share/man/man1 && man hotbay-serve")]
pub(crate) struct ManArgs {
    /// The directory, made where there is none: a page for hotbay, and one for each command
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

/// `check-config`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  hotbay check-config /etc/hotbay.toml && systemctl restart hotbay")]
pub(crate) struct CheckConfigArgs {
    /// The configuration file
    #[arg(value_name = "CONFIG.toml")]
    pub(crate) file: PathBuf,
}

/// `scenario`.
#[derive(Debug, Args)]
#[command(after_help = "\
It starts a daemon of its own in a temporary directory, with one volume whose medium is a file; no root needed. The commands in \
a scenario are run as they stand: run none that you would not run yourself. docs/scenarios.md explains what may stand in \
one; config/scenarios/ has three.

Examples:
  hotbay scenario run config/scenarios/usb-pull.toml
  hotbay scenario sweep config/scenarios/ext2-sweep.toml --every 10

Exit status: 0 PASS   1 FAIL, or the scenario is wrong   2 wrong usage")]
pub(crate) struct ScenarioArgs {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: ScenarioCommand,
}

/// What to do with a scenario.
#[derive(Debug, Subcommand)]
pub(crate) enum ScenarioCommand {
    /// Run it once, and say PASS or FAIL
    Run(ScenarioRunArgs),
    /// Run it once for each write to the medium, which is pulled at that write, and say after which the check fails
    Sweep(ScenarioSweepArgs),
}

/// `scenario run`.
#[derive(Debug, Args)]
pub(crate) struct ScenarioRunArgs {
    /// The scenario
    #[arg(value_name = "FILE.toml")]
    pub(crate) file: PathBuf,

    /// Leave the directory with the medium and the state for a look
    #[arg(long)]
    pub(crate) keep: bool,
}

/// `scenario sweep`.
#[derive(Debug, Args)]
pub(crate) struct ScenarioSweepArgs {
    /// The scenario
    #[arg(value_name = "FILE.toml")]
    pub(crate) file: PathBuf,

    /// Pull at each so-many-th write only
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) every: u32,

    /// Pull at so many writes at most
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,

    /// Run so many at the same time, 1 to 64
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) parallel: u8,
}

/// `bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
It reads unless it is told to write. WRITES DESTROY THE DATA that is on the export, from --offset on, and are refused \
without --destroy-data.

It uses one thread for each session and says how much of a core the busiest one took: near 100 % it is this client \
that was measured, not the server. Latencies run from before a request is sent until its answer is received in full.

URI is one of:
  nbd://HOST[:PORT]/EXPORT
  nbd+unix:///EXPORT?socket=PATH

Examples:
  hotbay bench 'nbd+unix:///usb?socket=/run/hotbay/nbd.sock'
  hotbay bench nbd://localhost/a --sessions 4 --depth 8
  hotbay bench nbd://localhost/a --sequential --block 1MiB --depth 4
  hotbay bench nbd://localhost/scratch --write --destroy-data --flush-every 100 --json")]
pub(crate) struct BenchArgs {
    /// The export
    pub(crate) uri: NbdUri,

    /// Read [default]
    #[arg(long, conflicts_with_all = ["write", "mixed"])]
    pub(crate) read: bool,

    /// Write; destroys the data on the export
    #[arg(long, conflicts_with = "mixed")]
    pub(crate) write: bool,

    /// Read and write, so many of a hundred requests being writes; destroys the data on the export
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=99))]
    pub(crate) mixed: Option<u8>,

    /// Nothing on the export is needed any more: it may be overwritten
    #[arg(long)]
    pub(crate) destroy_data: bool,

    /// The length of a request
    #[arg(long, value_name = "SIZE", default_value = "4KiB")]
    pub(crate) block: ByteSize,

    /// How many requests of a session are under way, 1 to 1024
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) depth: u16,

    /// How many sessions, 1 to 1024
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) sessions: u16,

    /// Every block once in random order before any comes again [default]
    #[arg(long, conflicts_with = "sequential")]
    pub(crate) random: bool,

    /// One block after the other, each session in a part of its own
    #[arg(long)]
    pub(crate) sequential: bool,

    /// Leave out what lies before this
    #[arg(long, value_name = "SIZE", default_value = "0")]
    pub(crate) offset: ByteSize,

    /// Use no more than this from the offset on [default: up to the end]
    #[arg(long, value_name = "SIZE")]
    pub(crate) length: Option<ByteSize>,

    /// How long; Ctrl-C ends it earlier, and tells what was measured
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(crate) time: Duration,

    /// End after so many requests of all sessions together, where that is sooner
    #[arg(long, value_name = "N")]
    pub(crate) requests: Option<u64>,

    /// Each write is answered when it is on stable storage
    #[arg(long)]
    pub(crate) fua: bool,

    /// A flush follows so many writes of a session
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) flush_every: Option<u32>,

    /// One line of JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_lines_of_the_contract_are_understood() {
        for line in [
            "hotbay serve",
            "hotbay serve h.toml --volume a=x.img --volume b=mem:1MiB --bays 1 --layout volumes",
            "hotbay serve --listen unix:/x --listen tcp:[::1]:10809 --control /c --state /s",
            "hotbay status",
            "hotbay status usb --json --watch",
            "hotbay insert usb",
            "hotbay insert usb file:/srv/a.img?create=64MiB --replace",
            "hotbay eject usb --control /c",
            "hotbay --control /c pull usb",
            "hotbay swap usb /dev/sdb --as-is",
            "hotbay scrub a --repair",
            "hotbay reload",
            "hotbay volume add usb=/dev/sdb1",
            "hotbay volume remove usb --close-sessions --keep-journal",
            "hotbay volume grow usb 128MiB",
            "hotbay wait usb present --timeout 30s",
            "hotbay events --follow --json",
            "hotbay fault usb vanish on write 100 back 2s",
            "hotbay fault usb --clear",
            "hotbay check-config h.toml",
            "hotbay serve --tls /tls --listen tcp:h:1",
            "hotbay tls make /tls --name h.example --name 192.0.2.1",
            "hotbay tls client /tls laptop /new",
            "hotbay attach usb",
            "hotbay attach usb /dev/nbd3 --wait-for-daemon 1h --foreground --server tcp:h:1",
            "hotbay attach --list",
            "hotbay attach --all --table t",
            "hotbay detach /dev/nbd3",
            "hotbay detach usb",
            "hotbay detach /dev/hotbay/usb",
            "hotbay journal list --json",
            "hotbay journal --state /s show usb --extents --records",
            "hotbay journal verify",
            "hotbay journal export usb f.img --onto --state /s",
            "hotbay demo",
            "hotbay scenario run s.toml --keep",
            "hotbay scenario sweep s.toml --every 10 --limit 5 --parallel 4",
            "hotbay bench nbd://h/a",
            "hotbay bench nbd+unix:///a?socket=/s --read --random --time 500ms --json",
            "hotbay bench nbd://h --write --destroy-data --sequential --fua --block 1MiB --depth 4 --requests 9",
            "hotbay bench nbd://h --mixed 30 --destroy-data --flush-every 10 --sessions 4 --offset 1MiB --length 1GiB",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn wrong_lines_are_usage_errors_that_say_what_to_write() {
        for (line, says) in [
            ("hotbay", "Usage"),
            ("hotbay inject usb", "insert"),
            ("hotbay insert", "<VOLUME>"),
            ("hotbay insert a/b", "no name because of `/`"),
            ("hotbay insert usb mem:64MB", "write 64MiB"),
            ("hotbay wait usb gone", "present, absent, replaying, copying, conflict, failed"),
            ("hotbay wait usb present --timeout 30", "30s"),
            ("hotbay serve --bays 0", "from 1 to 64"),
            ("hotbay serve --layout raid", "no layout"),
            ("hotbay serve --listen /x", "unix:PATH or tcp:HOST:PORT"),
            ("hotbay serve --volume usb", "NAME=MEDIUM"),
            ("hotbay scenario run", "<FILE.toml>"),
            ("hotbay scenario sweep s.toml --every 0", "1.."),
            ("hotbay bench", "<URI>"),
            ("hotbay bench /run/nbd.sock", "nbd+unix:///EXPORT?socket=PATH"),
            ("hotbay bench nbd://h --read --write", "cannot be used with"),
            ("hotbay bench nbd://h --write --mixed 3", "cannot be used with"),
            ("hotbay bench nbd://h --mixed 100", "1..=99"),
            ("hotbay bench nbd://h --depth 0", "1..=1024"),
            ("hotbay bench nbd://h --block 4k", "4KiB"),
            ("hotbay bench nbd://h --time 10", "30s"),
            ("hotbay fault usb", "<SPEC>"),
            ("hotbay attach", "<EXPORT>"),
            ("hotbay attach usb /dev/sda", "write /dev/nbd0"),
            ("hotbay detach", "</dev/nbdN|EXPORT>"),
            ("hotbay detach a/b", "no name because of `/`"),
            ("hotbay attach usb --all", "cannot be used with"),
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(says), "{line}: {error}");
        }
    }

    #[test]
    fn version_and_help_are_no_errors() {
        for (line, kind) in [
            ("hotbay --version", ErrorKind::DisplayVersion),
            ("hotbay --help", ErrorKind::DisplayHelp),
            ("hotbay serve --help", ErrorKind::DisplayHelp),
        ] {
            let shown = parse(line).unwrap_err();
            assert_eq!((shown.kind(), shown.exit_code()), (kind, 0), "{line}");
        }
    }

    #[test]
    fn wait_has_half_a_minute() {
        let Command::Wait(arguments) = parse("hotbay wait usb absent").unwrap().command else {
            panic!("`wait` is parsed as another command")
        };
        assert_eq!(arguments.timeout, Duration::from_secs(30));
        assert_eq!(arguments.state, State::Absent);
    }
}
