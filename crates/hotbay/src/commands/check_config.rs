//! `hotbay check-config`.

use super::output;
use crate::cli::CheckConfigArgs;
use crate::config::{self, Environment, Overrides, TlsConfig};
use crate::failure::Failure;

/// Shows what a daemon would make of a file. Opens nothing but the file and the certificates that it names.
///
/// # Errors
/// What a daemon would say about it.
pub(crate) fn run(arguments: &CheckConfigArgs, environment: &Environment) -> Result<(), Failure> {
    let config = config::load(Some(&arguments.file), Overrides::default(), environment)?;
    config.tls.as_ref().map(TlsConfig::load).transpose()?;
    output::print(&config::summary(&config))
}
