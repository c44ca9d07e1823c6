//! Loads, and what they find.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use hotbay_media::ByteSize;
use hotbay_nbd::uri::NbdUri;

use crate::config::parse_duration;

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
#[command(arg_required_else_help = true)]
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

    /// Pull at every K-th write only
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) every: u32,

    /// Pull at N of them at most, the first ones [default: at all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,

    /// Run N of them at the same time, 1 to 64
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
  nbds://HOST[:PORT]/EXPORT?tls-certificates=DIR, and nbds+unix the same, in TLS: the certificates are those of docs/remote-media.md, and \
what this client spends on decrypting counts as its own

Examples:
  hotbay bench 'nbd+unix:///usb?socket=/run/hotbay/nbd.sock'
  hotbay bench nbd://localhost/a --sessions 4 --depth 8
  hotbay bench nbd://localhost/a --sequential --block 1MiB --depth 4
  hotbay bench nbd://localhost/scratch --write --destroy-data --flush-every 100 --json
  hotbay bench 'nbds://disks.example/a?tls-certificates=tls'")]
pub(crate) struct BenchArgs {
    /// The export
    pub(crate) uri: NbdUri,

    /// Read, which is the default
    #[arg(long, conflicts_with_all = ["write", "mixed"])]
    pub(crate) read: bool,

    /// Write; destroys the data on the export
    #[arg(long, conflicts_with = "mixed")]
    pub(crate) write: bool,

    /// Read and write, PERCENT of the requests being writes; destroys the data on the export
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

    /// Every block once in random order before any comes again, which is the default
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

    /// End after N requests of all sessions together, where that is sooner
    #[arg(long, value_name = "N")]
    pub(crate) requests: Option<u64>,

    /// Each write is answered when it is on stable storage
    #[arg(long)]
    pub(crate) fua: bool,

    /// Flush after every N writes of a session
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) flush_every: Option<u32>,

    /// One line of JSON, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}
