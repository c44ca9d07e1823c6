//! `hotbay completions` and `hotbay man`: made of the same definitions as `--help`.

use std::fs;
use std::io;

use clap::CommandFactory as _;

use super::output;
use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::failure::Failure;

/// Prints the completions for a shell.
///
/// # Errors
/// Where standard output cannot be written.
pub(crate) fn completions(arguments: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "hotbay", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}

/// Writes a page for `hotbay` and one for each of its commands into a directory, which is made where there is none.
///
/// # Errors
/// Where the directory or a page cannot be written.
pub(crate) fn man(arguments: &ManArgs) -> Result<(), Failure> {
    let directory = &arguments.directory;
    let cannot = |error: io::Error| {
        Failure::new(format!("cannot write man pages to {}: {error}", directory.display()))
            .with_hint_if_denied(&error, "name a directory that you may write to, or use sudo")
    };
    fs::create_dir_all(directory).map_err(cannot)?;
    clap_mangen::generate_to(Cli::command(), directory).map_err(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_page_with_its_options_and_examples() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("new");
        man(&ManArgs { directory: directory.clone() }).unwrap();
        for command in Cli::command().get_subcommands() {
            let page = directory.join(format!("hotbay-{}.1", command.get_name()));
            assert!(page.exists(), "{}", page.display());
        }
        let page = fs::read_to_string(directory.join("hotbay-wait.1")).unwrap();
        for part in
            [".TH hotbay-wait 1", "\\-\\-timeout", "\\-\\-control", "hotbay wait usb absent"]
        {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }
}
