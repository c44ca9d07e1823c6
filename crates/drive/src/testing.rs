//! What makes a drive's schedule repeatable, or holds it up; and its [parts] alone.
//!
//! A drive hands what may wait for a disk to threads, and what a thread finishes first is nobody's choice. A test that has
//! [told](pace_waiting_work) how long such work takes gets it done on its own thread, after so much of the runtime's time. On a
//! runtime of one thread whose clock is held still nothing is left to chance then: the same seed gives the same history.

pub mod parts;

use std::cell::RefCell;
use std::time::Duration;

use tokio::task::{JoinHandle, yield_now};
use tokio::time::sleep;

use crate::volume::Volume;

/// Says how long the next piece of work takes.
type Pace = Box<dyn FnMut() -> Duration>;

thread_local! {
    static PACE: RefCell<Option<Pace>> = const { RefCell::new(None) };
}

/// From now on, what drives on this thread would hand to a thread that may wait is done here, when as much time has
/// passed as `pace` says. Where that is none, others go first once.
pub fn pace_waiting_work(pace: impl FnMut() -> Duration + 'static) {
    PACE.set(Some(Box::new(pace)));
}

/// As long as what is given is held, a step of reclaiming space in the volume's journal counts as being at work.
pub async fn reclaim_step_at_work(volume: &Volume) -> impl Drop + '_ {
    volume.reclaiming.stops().await
}

/// Work that is done on this thread; or the work as it came, where nobody has said how long it takes.
///
/// As on a thread of its own, it is done whether or not its end is waited for.
pub(crate) fn in_line<T: Send + 'static, W: FnOnce() -> T + Send + 'static>(
    work: W,
) -> Result<JoinHandle<T>, W> {
    let Some(time) = PACE.with_borrow_mut(|pace| pace.as_mut().map(|pace| pace())) else {
        return Err(work);
    };
    Ok(tokio::spawn(async move {
        match time.is_zero() {
            true => yield_now().await,
            false => sleep(time).await,
        }
        work()
    }))
}
