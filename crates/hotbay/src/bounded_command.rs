//! A program of the operator's, run for a bounded time. One that takes too long is killed, with all that it started in its process
//! group.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How a command ended.
#[derive(Debug)]
pub(crate) enum Ended {
    By(ExitStatus),
    TookTooLong,
    Failed(std::io::Error),
}

/// Runs it with nothing to read, in a process group of its own, and waits for its end. If the future is dropped it is killed, with
/// its group.
pub(crate) async fn run(mut command: Command, most: Duration) -> Ended {
    command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    match start(command).await {
        Ok(child) => finish(child, most).await,
        Err(error) => Ended::Failed(error),
    }
}

/// Starts it on the blocking pool: the program may lie on a disk that does not answer.
async fn start(mut command: Command) -> std::io::Result<Child> {
    spawn_blocking(move || command.spawn()).await.map_err(std::io::Error::other)?
}

async fn finish(mut child: Child, most: Duration) -> Ended {
    let group = Group::of(&child);
    let ended = match timeout(most, child.wait()).await {
        Ok(Ok(status)) => Ended::By(status),
        Ok(Err(error)) => Ended::Failed(error),
        Err(_) => {
            drop(group);
            let _ = child.wait().await;
            return Ended::TookTooLong;
        }
    };
    group.outlives();
    ended
}

/// The process group that a child leads: killed when this is dropped, which must be before the child is.
pub(crate) struct Group(Option<Pid>);

impl Group {
    /// Of a child that was started with a process group of its own, and has not been waited for.
    pub(crate) fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }

    /// The child has ended by itself: what it left running may go on.
    pub(crate) fn outlives(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
