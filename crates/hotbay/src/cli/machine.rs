//! What a machine needs around a daemon.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::Name;

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

/// `owner`.
#[derive(Debug, Args)]
#[command(after_help = "\
A disk is known by what its hardware says of itself, so it must have been a volume's medium once. No disk is opened and no daemon is asked; \
the state directory is its user's alone to read. Exit status 1 where the disk is nobody's.

Examples:
  sudo hotbay owner /dev/sdb1
  hotbay owner --udev /dev/sdb1      # as the udev rule of hotbay does")]
pub(crate) struct OwnerArgs {
    /// The block device
    #[arg(value_name = "DEVICE")]
    pub(crate) device: PathBuf,

    /// The state directory [default: that of `hotbay serve`]
    #[arg(long, env = "HOTBAY_STATE", value_name = "DIR", hide_env_values = true)]
    pub(crate) state: Option<PathBuf>,

    /// Print properties for udev, with which desktops leave the disk alone; nothing where it is nobody's
    #[arg(long)]
    pub(crate) udev: bool,
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
#[command(arg_required_else_help = true)]
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
