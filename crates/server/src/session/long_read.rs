//! Long READs, on another thread.
//!
//! A device may copy from the page cache on the thread that calls it. For a long READ that takes as long as to send it,
//! and a thread that does both by turns leaves its client waiting. So a long READ is copied by a thread of the blocking
//! pool while this one sends what was copied before, if there is anything else to do: a READ on its own would only
//! be later by the hand-over. What a device lends (see `pipes`) is not copied, and stays on this thread.

use std::sync::Arc;

use hotbay_block::{Device, Error, ErrorKind, Execution, Request};
use hotbay_nbd::{Command, RequestHeader};
use tokio::task::spawn_blocking;

/// From this length on, copying takes much longer than a hand-over to another thread.
const LONG_BYTES: u64 = 256 << 10;

/// The most requests in flight with which one more is handed over; beyond it the session's own thread copies,
/// which is back-pressure too.
pub(super) const IN_FLIGHT_MAX: usize = 8;

/// Whether a request is a long READ.
pub(super) fn is_long_read(header: &RequestHeader) -> bool {
    header.command == Command::Read && header.length >= LONG_BYTES
}

/// Gives a request to the device on a thread of the blocking pool. Once it has begun there it goes on whatever becomes of
/// the execution.
pub(super) fn execute_elsewhere(
    device: &Arc<impl Device + 'static>,
    request: Request,
) -> Execution {
    let device = Arc::clone(device);
    let begun = spawn_blocking(move || device.execute(request));
    Execution::later(async move {
        match begun.await {
            Ok(execution) => execution.answer().await,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Error::new(ErrorKind::ShuttingDown, "the server is at its end")),
            },
        }
    })
}
