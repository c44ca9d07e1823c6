//! The commands that ask a daemon, those that look at files, and the one that loads a server; one file each.
//!
//! What a command was asked for goes to standard output, and nothing else; progress, errors and hints go to
//! standard error.

pub(crate) mod attach;
pub(crate) mod bench;
pub(crate) mod check_config;
pub(crate) mod detach;
pub(crate) mod doctor;
pub(crate) mod eject;
pub(crate) mod events;
pub(crate) mod fault;
pub(crate) mod insert;
pub(crate) mod journal;
pub(crate) mod output;
pub(crate) mod owner;
mod progress;
pub(crate) mod pull;
pub(crate) mod reference;
pub(crate) mod reload;
pub(crate) mod resolve;
mod room;
pub(crate) mod scrub;
pub(crate) mod status;
pub(crate) mod swap;
mod table;
pub(crate) mod tls;
pub(crate) mod top;
pub(crate) mod volume;
pub(crate) mod wait;

use std::path::PathBuf;

use crate::config::Environment;
use crate::control::{ControlClient, ControlReply, ControlRequest, State};
use crate::failure::Failure;
use progress::ProgressDisplay;

/// Where the daemon is to be found.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    control: Result<PathBuf, Failure>,
}

impl Daemon {
    /// The one that was named, else the one at the default place. A place that cannot be told is an error only
    /// for those who ask.
    pub(crate) fn new(named: Option<PathBuf>, environment: &Environment) -> Self {
        let state = std::env::var_os("HOTBAY_STATE").map(PathBuf::from);
        let state = state.map(|directory| environment.current.join(directory));
        Self { control: named.map_or_else(|| environment.control(state.as_deref()), Ok) }
    }

    /// The path of its control socket.
    ///
    /// # Errors
    /// Where it cannot be told.
    fn control(&self) -> Result<&PathBuf, Failure> {
        self.control.as_ref().map_err(Clone::clone)
    }

    /// Connects.
    ///
    /// # Errors
    /// Where none answers.
    fn connect(&self) -> Result<ControlClient, Failure> {
        ControlClient::connect(self.control()?)
    }

    /// Asks for work and shows how far it is; the answer at its end.
    ///
    /// # Errors
    /// Those of the daemon.
    fn ask_for_work(&self, request: &ControlRequest) -> Result<ControlReply, Failure> {
        let mut display = ProgressDisplay::new();
        self.connect()?.ask(request, |reply| {
            if let ControlReply::Progress(progress) = reply {
                display.show(&progress);
            }
            Ok(())
        })
    }

    /// Asks for a change of a volume and shows how far it is; the volume's state after it.
    ///
    /// # Errors
    /// Those of the daemon.
    fn change(&self, request: &ControlRequest) -> Result<State, Failure> {
        match self.ask_for_work(request)? {
            ControlReply::Done { state, .. } => Ok(state),
            other => Err(unexpected(&other)),
        }
    }
}

/// The daemon gave the answer to another question.
fn unexpected(reply: &ControlReply) -> Failure {
    Failure::new(format!("the daemon gave an answer that does not fit: {reply:?}"))
        .with_hint("is it another version of hotbay? compare 'hotbay --version'")
}

#[cfg(test)]
mod tests;
