//! What only looks at a running drive.

use std::time::Duration;

use clap::Args;

use crate::config::{Name, parse_duration};
use crate::control::State;

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
