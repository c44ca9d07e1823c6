//! Starting the daemon, and looking at its configuration.

use std::path::PathBuf;

use clap::Args;
use hotbay_server::ListenAddress;

use crate::config::{BayCount, BusyPoll, Layout, Metrics, Overrides, VolumeFlag};

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

    /// How many media fit in at once, 1 to 128 [default: one bay for each volume]
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
