//! The signals that end a command which holds something, so that what it holds is let go in order; and the one by which a daemon
//! reads its configuration again.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// SIGHUP, which from its making on does not end the process.
pub(crate) struct Hangup(Signal);

impl Hangup {
    /// Listens for it; within a tokio runtime.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn new() -> Result<Self, Failure> {
        listen(SignalKind::hangup()).map(Self)
    }

    /// Ready when one has come since the last call, also when that was before this one.
    pub(crate) async fn received(&mut self) {
        self.0.recv().await;
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(format!("cannot wait for signals: {error}")))
}

/// SIGTERM or SIGINT, whichever comes first. From its making on neither of them ends the process by itself.
pub(crate) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Listens for both; within a tokio runtime.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn new() -> Result<Self, Failure> {
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Ready when one has come, also when that was before the call.
    pub(crate) async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
