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
    // Beside it, so that what else is in the directory is left alone.
    let made = tempfile::tempdir_in(directory).map_err(cannot)?;
    clap_mangen::generate_to(Cli::command(), made.path()).map_err(cannot)?;
    for page in fs::read_dir(made.path()).map_err(cannot)? {
        let page = page.map_err(cannot)?;
        let text = fs::read_to_string(page.path()).map_err(cannot)?;
        fs::write(directory.join(page.file_name()), as_written(&text)).map_err(cannot)?;
    }
    Ok(())
}

/// A page whose indented lines, which are tables and commands, stand as they were written: a formatter would fill them up and
/// break them where the line ends.
fn as_written(page: &str) -> String {
    let mut text = String::new();
    let mut is_filled = true;
    for line in page.lines() {
        if line.starts_with("  ") == is_filled {
            text.push_str(if is_filled { ".nf\n" } else { ".fi\n" });
            is_filled = !is_filled;
        }
        match line {
            "Example:" | "Examples:" => text.push_str(".SH EXAMPLES"),
            ".SH EXTRA" => text.push_str(".SH DETAILS"),
            _ => text.push_str(line),
        }
        text.push('\n');
        if line.starts_with(".TH") {
            // Neither stretched to the margin nor hyphenated: much of it is to be typed.
            text.push_str(".ad l\n.nh\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_indented_stands_as_it_was_written() {
        let page =
            ".TH a 1\nSome\nwords.\n.SH EXTRA\nA table:\n  a  b\n  c  d\nMore.\n\nExample:\n  a\n";
        let expected = ".TH a 1\n.ad l\n.nh\nSome\nwords.\n.SH DETAILS\nA table:\n.nf\n  a  b\n  c  d\n.fi\nMore.\n\n.SH EXAMPLES\n.nf\n  a\n";
        assert_eq!(as_written(page), expected);
    }

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
        assert!(
            !page.contains("EXTRA") && page.contains(".SH EXAMPLES\n.nf\n  hotbay wait usb"),
            "{page}"
        );
        let others = fs::read_dir(&directory).unwrap().filter(|entry| {
            entry.as_ref().unwrap().path().extension().is_none_or(|extension| extension != "1")
        });
        assert_eq!(others.count(), 0, "nothing else is left in the directory");
    }
}
