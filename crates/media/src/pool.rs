//! Work that may wait for a medium, on a thread that may wait.

use hotbay_block::{Error, ErrorKind, Result};

/// Carries out `work` on tokio's blocking pool. Dropping the future does not stop work that has begun.
///
/// # Errors
/// Those of the work; [`ErrorKind::ShuttingDown`] where the runtime ends before it began.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) if stopped.is_panic() => std::panic::resume_unwind(stopped.into_panic()),
        Err(_) => Err(Error::new(ErrorKind::ShuttingDown, "the daemon is being stopped")),
    }
}
