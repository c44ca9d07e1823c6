//! The whole story in a minute.

use crate::failure::Failure;

/// Runs the demonstration.
pub(crate) fn run() -> Result<(), Failure> {
    Err(Failure::new("cannot run the demonstration: this build is incomplete"))
}
