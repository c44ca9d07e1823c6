//! The commands that a scenario names.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;

use tokio::process::Command;

use crate::bounded_command::Group;

/// How much of what a command said is told where it fails, in bytes from the end.
const TOLD_BYTES: usize = 600;

/// Runs commands in the scenario's directory, with what they need to know in their environment.
#[derive(Clone, Debug)]
pub(super) struct Shell {
    pub(super) directory: PathBuf,
    environment: Vec<(&'static str, OsString)>,
}

impl Shell {
    /// For a scenario in this directory, whose medium is `image`.
    pub(super) fn new(directory: &Path, image: &Path) -> Self {
        let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("hotbay"));
        let socket = directory.join("nbd.sock");
        let mut uri = OsString::from(format!("nbd+unix:///{}?socket=", super::stage::VOLUME));
        uri.push(&socket);
        let environment = vec![
            ("HOTBAY", own.into()),
            ("HOTBAY_CONTROL", directory.join("control.sock").into()),
            ("HOTBAY_DIR", directory.into()),
            ("HOTBAY_IMAGE", image.into()),
            ("HOTBAY_SOCKET", socket.into()),
            ("HOTBAY_URI", uri),
        ];
        Self { directory: directory.to_owned(), environment }
    }

    /// The same with another image.
    pub(super) fn on(&self, image: &Path) -> Self {
        let mut shell = self.clone();
        for (name, value) in &mut shell.environment {
            if *name == "HOTBAY_IMAGE" {
                *value = image.into();
            }
        }
        shell
    }

    /// Runs a command to its end. When this is dropped the command is killed, with all that it started in its process group.
    ///
    /// # Errors
    /// Where it cannot be started, or does not succeed; with the end of what it said.
    pub(super) async fn run(&self, what: &str, command: &str) -> Result<(), String> {
        let cannot_start = |error| format!("{what} cannot be started: {error}");
        let child = Command::new("/bin/sh")
            .args(["-c", command])
            .current_dir(&self.directory)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(cannot_start)?;
        let group = Group::of(&child);
        let ended = pin!(child.wait_with_output());
        // Bound anew, so that it is dropped before the child is.
        let group = group;
        let ended = ended.await.map_err(cannot_start)?;
        group.outlives();
        if ended.status.success() {
            return Ok(());
        }
        let said = [ended.stdout, ended.stderr].concat();
        let last = said.get(said.len().saturating_sub(TOLD_BYTES)..).unwrap_or(&said);
        let said = String::from_utf8_lossy(last);
        let lines: Vec<&str> =
            said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        Err(format!("{what} ended with {}: {}", ended.status, lines.join(" / ")))
    }
}
