//! The daemon.

use crate::config::Config;
use crate::failure::Failure;

/// Serves the drive until a signal ends it.
pub(crate) fn serve(config: Config) -> Result<(), Failure> {
    let name = config.name;
    Err(Failure::new(format!("cannot serve drive {name}: this build is incomplete")))
}
