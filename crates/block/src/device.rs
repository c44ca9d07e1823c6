//! The contract of a block device.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::{Extent, Reply, Request, Result, Status};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a device is and can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Size in bytes.
    pub size_bytes: u64,
    /// The request size in bytes that suits it best; a power of two. Any alignment is accepted.
    pub preferred_block_bytes: u32,
    /// It refuses every change with [`ErrorKind::ReadOnly`](crate::ErrorKind::ReadOnly).
    pub read_only: bool,
    /// It is a spinning disk or behaves like one.
    pub rotational: bool,
}

/// A request on its way: answered at once, or a future that will answer.
///
/// The two cases are apart so that what the page cache can serve costs no allocation and no hand-over.
/// The future owns what it needs, so that it may outlive a medium's stay in its bay.
#[must_use = "a request is only carried out when its execution is driven to its end"]
pub enum Execution {
    /// Answered without waiting.
    Done(Result<Reply>),
    /// Will be answered by this future.
    Later(BoxFuture<'static, Result<Reply>>),
}

impl Execution {
    /// An execution that the future completes.
    pub fn later(future: impl Future<Output = Result<Reply>> + Send + 'static) -> Self {
        Self::Later(Box::pin(future))
    }

    /// The answer, once it is there.
    ///
    /// # Errors
    /// Those of the request.
    pub async fn answer(self) -> Result<Reply> {
        match self {
            Self::Done(answer) => answer,
            Self::Later(future) => future.await,
        }
    }
}

impl fmt::Debug for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(answer) => f.debug_tuple("Done").field(answer).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}

/// A thing that holds blocks, or presents some.
///
/// * **Who calls, how often.** Any number of tasks at once, with any number of requests under way.
/// * **Order.** Requests under way together are carried out in any order. A request that begins after
///   another was answered sees its effect. Overlapping changes that are under way together leave the bytes
///   of one or the other in each block, and every later read agrees on which.
/// * **Range.** An extent that ends past [`DeviceInfo::size_bytes`] is refused with
///   [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace) (write, zeroes) or
///   [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) (all others), and nothing is changed.
/// * **Quick zeroes.** Zeroes with [`Speed::Fast`](crate::Speed::Fast) are made as any zeroes, or refused with
///   [`ErrorKind::Slow`](crate::ErrorKind::Slow) at once and nothing is changed. That kind answers nothing else. What was
///   refused once may be quick later: the medium behind a device changes.
/// * **Durable when.** A change with [`Durability::Stable`](crate::Durability::Stable): when it is answered.
///   Any other: when a flush that began after its answer succeeds. A change that fails may be there in part.
/// * **Blocking.** `execute` may do I/O on the calling thread where that is expected not to wait (page
///   cache); whatever waits goes into the future.
/// * **Dropping the future** does not undo the request: it may take effect at any later time. A caller that
///   cares about order drives each execution to its end; sessions do so even when their client is gone.
pub trait Device: Send + Sync + fmt::Debug {
    /// What the device is now. Constant while sessions are open, but for a size that grows, and see [`Device::exchanged`].
    fn info(&self) -> DeviceInfo;

    /// Carries out one request. The execution borrows nothing of the device.
    fn execute(&self, request: Request) -> Execution;

    /// What is known of an extent, which is not empty, without reading it: pieces in ascending order and without gaps, from
    /// the extent's beginning. At least one and at most `most` of them, so that they may end before the extent does.
    ///
    /// A hole reads as zeroes until it is changed. The rest is a hint: it may be out of date when it is there. Nothing
    /// here waits for a medium that is away, and the future may be dropped at any time. The default knows of stored
    /// bytes alone.
    fn status(&self, extent: Extent, most: usize) -> BoxFuture<'static, Result<Vec<Status>>> {
        let _ = most;
        Box::pin(std::future::ready(Ok(vec![Status::unknown(extent)])))
    }

    /// Completes when the content behind the device has been exchanged for another one, so that every
    /// session opened before this must be closed. The default never does.
    fn exchanged(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

impl<D: Device + ?Sized> Device for std::sync::Arc<D> {
    fn info(&self) -> DeviceInfo {
        (**self).info()
    }

    fn execute(&self, request: Request) -> Execution {
        (**self).execute(request)
    }

    fn status(&self, extent: Extent, most: usize) -> BoxFuture<'static, Result<Vec<Status>>> {
        (**self).status(extent, most)
    }

    fn exchanged(&self) -> BoxFuture<'static, ()> {
        (**self).exchanged()
    }
}
