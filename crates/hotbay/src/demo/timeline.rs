//! What the demonstration prints: when, what is in the bay, and what happened.

use std::io::{IsTerminal as _, stdout};
use std::sync::Arc;
use std::time::Duration;

use hotbay_drive::Drive;
use tokio::time::{Instant, sleep};

use crate::commands::output;
use crate::failure::Failure;

/// How long a person is given for a line.
const READING_TIME: Duration = Duration::from_millis(900);

/// The width of a bay on paper.
const BAY: usize = 8;

/// Prints lines as things happen.
pub(super) struct Timeline {
    drive: Arc<Drive>,
    began: Instant,
    reader: Reader,
}

/// Who reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Someone at a terminal, who is given time for each line.
    Person,
    /// A pipe or a file.
    Program,
}

impl Timeline {
    /// Begins, with what the drive is.
    ///
    /// # Errors
    /// Where standard output cannot be written; so it is with the others.
    pub(super) fn begin(drive: Arc<Drive>) -> Result<Self, Failure> {
        let reader = if stdout().is_terminal() { Reader::Person } else { Reader::Program };
        output::print_line(
            "a drive with one bay and two volumes, usb and backup, 32 MiB each, on files",
        )?;
        Ok(Self { drive, began: Instant::now(), reader })
    }

    /// Begins a part of the story.
    pub(super) async fn chapter(&self, title: &str) -> Result<(), Failure> {
        output::print_line(format!("\n{title}"))?;
        self.give_time().await;
        Ok(())
    }

    /// Tells what has just happened.
    pub(super) async fn say(&self, what: &str) -> Result<(), Failure> {
        let seconds = self.began.elapsed().as_secs_f64();
        output::print_line(format!("  {seconds:6.2} s  [{:^BAY$}]  {what}", self.in_the_bay()))?;
        self.give_time().await;
        Ok(())
    }

    /// The end of a story that went well.
    pub(super) fn end(&self) -> Result<(), Failure> {
        output::print_line(
            "\nnothing was lost\nnext: 'hotbay serve' makes such a drive to attach and mount",
        )
    }

    fn in_the_bay(&self) -> String {
        let volumes = self.drive.status().volumes;
        let inside = volumes.into_iter().find(|volume| volume.bay.is_some());
        inside.map_or_else(String::new, |volume| volume.name)
    }

    async fn give_time(&self) {
        if self.reader == Reader::Person {
            sleep(READING_TIME).await;
        }
    }
}
