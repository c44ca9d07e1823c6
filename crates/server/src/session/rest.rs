//! When a session lets go of its memory.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// How long a session has to be without work before it lets go of its memory. Shorter pauses are the client's
/// time to think, and memory that was touched is worth keeping for what it asks next.
const REST: Duration = Duration::from_secs(1);

/// Tells when a session has been without work for [`REST`]. Armed at most once in that time, whatever the load.
#[derive(Debug, Default)]
pub(super) struct Rest {
    timer: Option<Pin<Box<Sleep>>>,
    worked: bool,
}

impl Rest {
    /// Notes that there was work.
    pub(super) const fn note_work(&mut self) {
        self.worked = true;
    }

    /// To be called when there is nothing to do: ready when memory is to be let go.
    pub(super) fn poll_due(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let timer = self.timer.get_or_insert_with(|| {
                self.worked = false;
                Box::pin(sleep(REST))
            });
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if !std::mem::take(&mut self.worked) {
                self.timer = None;
                return Poll::Ready(());
            }
            timer.as_mut().reset(Instant::now() + REST);
        }
    }
}
