//! Looking into journals.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::Name;

/// `journal`.
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is locked and nothing of the journal is changed, so a daemon may use it meanwhile.

Examples:
  hotbay journal list
  hotbay journal verify usb && echo 'every record is whole'
  hotbay journal export usb copy-of-the-stick.img --onto")]
#[command(arg_required_else_help = true)]
pub(crate) struct JournalArgs {
    /// The state directory [default: that of `hotbay serve`; name it where a configuration file names another]
    #[arg(long, env = "HOTBAY_STATE", value_name = "DIR", hide_env_values = true, global = true, display_order = super::LAST)]
    pub(crate) state: Option<PathBuf>,

    /// What to do
    #[command(subcommand)]
    pub(crate) command: JournalCommand,
}

/// What to do with journals.
#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// List the journals of all volumes: how much each holds, and whether it is whole
    List(JournalListArgs),
    /// Show the segments of a volume's journal, and where asked its extents and records
    Show(JournalShowArgs),
    /// Read and check every record of one journal, or of all; exit status 1 where one is damaged
    Verify(JournalVerifyArgs),
    /// Write what a volume's journal holds to a file; of a damaged one what is whole
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

    /// Show which parts of the volume it holds
    #[arg(long)]
    pub(crate) extents: bool,

    /// Show every record
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
