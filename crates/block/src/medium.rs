//! A device that can be taken away, and what tells who it is.

use std::fmt;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{BoxFuture, Device, Error, ErrorKind, Extent, Reply, Request, Result};

/// Blocks of one sample that are read at the same time; a sample is rarely of more.
const SAMPLED_AT_ONCE: usize = 128;

/// A device that may be removed at any time.
///
/// Beyond the contract of [`Device`]:
/// * Once it is gone, requests fail with [`ErrorKind::Gone`](crate::ErrorKind::Gone), whatever the operating
///   system says (ENOSPC, a read of 0 bytes, …). An error with the medium still there is
///   [`ErrorKind::Medium`](crate::ErrorKind::Medium).
/// * A flush succeeds only if, **after** its sync, the medium was still reachable by its name: a sync into
///   a file that was unlinked meanwhile is [`ErrorKind::Gone`](crate::ErrorKind::Gone).
/// * A flush that failed is never retried on the same handle, by anyone: the medium is to be dropped and opened
///   again. From then on the handle refuses each flush with
///   [`ErrorKind::PreviousFailure`](crate::ErrorKind::PreviousFailure).
pub trait Medium: Device {
    /// The medium as the user names it, such as `file:/srv/a.img`; for messages and to open it again.
    fn name(&self) -> &str;

    /// Whether the medium is still there; an error of kind `Gone` says how it was found to be missing.
    /// Looks at the medium itself, not at a memory of it. May take as long as a system call on it.
    fn presence(&self) -> BoxFuture<'_, Result<()>>;

    /// Reads from the medium what tells who it is.
    fn identify(&self) -> BoxFuture<'_, Result<Identity>>;

    /// Reads a few blocks by which it is recognised later; `None` for one that cannot be read with the medium still there.
    /// They are asked for together, so that a medium far away costs one way there and not one for each block. A question about the medium, like [`identify`](Self::identify), and no client's request.
    fn sample(&self, blocks: Vec<Extent>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>>> {
        let asked = blocks.into_iter().map(|block| self.execute(Request::read(block)).answer());
        let answers = stream::iter(asked).buffered(SAMPLED_AT_ONCE);
        Box::pin(answers.map(sampled).try_collect())
    }

    /// Makes the medium `size_bytes` long, with zeroes behind its earlier end; where it is that long already nothing happens. On
    /// stable storage when it returns, and [`Device::info`] tells it. Only called while no request is under way; if it is dropped
    /// it may happen all the same.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where media of this kind do not grow, and where it is longer already.
    fn grow(&self, size_bytes: u64) -> BoxFuture<'_, Result<()>> {
        let refusal =
            format!("it is no regular file, so its size is not hotbay's to change to {size_bytes}");
        Box::pin(std::future::ready(Err(Error::new(ErrorKind::Unsupported, refusal))))
    }
}

fn sampled(answer: Result<Reply>) -> Result<Option<Bytes>> {
    match answer {
        Ok(reply) => Ok(Some(reply.into_payload().into_bytes())),
        Err(error) if error.kind() == ErrorKind::Gone => Err(error),
        Err(_) => Ok(None),
    }
}

/// What tells who a medium is, from the strongest sign to the weakest. Plain data, kept while it is away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Identifiers found in the content, such as `ext:UUID`, `gpt:GUID`, `xfs:UUID`, sorted; empty where
    /// nothing is recognised.
    pub content: Vec<String>,
    /// What the hardware, or the medium itself, says: `wwn:…`, `serial:…`, `memory:UUID`.
    pub hardware: Option<String>,
    /// For a regular file `inode:DEVICE:NUMBER`, which survives a rename.
    pub file: Option<String>,
    /// Where it was found: the canonical path, for example.
    pub location: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.content.is_empty() {
            f.write_str(&self.content.join(" "))
        } else if let Some(hardware) = &self.hardware {
            f.write_str(hardware)
        } else {
            f.write_str(&self.location)
        }
    }
}

#[cfg(test)]
mod tests;
