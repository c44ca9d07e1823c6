//! One area of a joined disk: a volume, or bytes that cannot be changed.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::ready;
use futures_util::{FutureExt as _, TryFutureExt as _};
use hotbay_block::{
    Allocation, BoxFuture, Device, Error, ErrorKind, Execution, Extent, Payload, Place, Reply,
    Request, Result, Status,
};

/// A part of a joined disk.
#[derive(Debug)]
pub(super) struct Area {
    /// Where it lies on the disk; not empty.
    pub(super) extent: Extent,
    pub(super) holds: Holds,
}

/// What an area holds.
#[derive(Debug)]
pub(super) enum Holds {
    /// A volume, or as much of its beginning as the area is long.
    Volume(Arc<dyn Device>),
    /// A part of the partition table, as long as the area.
    Table(Bytes),
    /// Nothing.
    Zeroes,
}

impl Area {
    /// A part of the partition table.
    pub(super) fn table(offset: u64, bytes: Bytes) -> Self {
        let extent = Extent::between(offset, offset + bytes.len() as u64);
        Self { extent, holds: Holds::Table(bytes) }
    }

    /// The volume in it.
    pub(super) fn volume(&self) -> Option<&Arc<dyn Device>> {
        match &self.holds {
            Holds::Volume(device) => Some(device),
            Holds::Table(_) | Holds::Zeroes => None,
        }
    }

    /// Whether a request, which lies wholly within the area, may be carried out. Tools write a table back as they have
    /// read it, so that a change to what is there already is none.
    ///
    /// # Errors
    /// Where it would change what cannot be changed.
    pub(super) fn permits(&self, request: &Request) -> Result<()> {
        let Some(extent) = request.extent() else { return Ok(()) };
        let stays = match (&self.holds, request) {
            (Holds::Volume(_), _) => true,
            (Holds::Table(bytes), Request::Write { data, .. }) => {
                bytes[self.extent.range_of(extent)] == data[..]
            }
            (Holds::Table(bytes), Request::Zero { .. }) => {
                is_zero(&bytes[self.extent.range_of(extent)])
            }
            (Holds::Zeroes, Request::Write { data, .. }) => is_zero(data),
            (Holds::Zeroes, Request::Zero { .. }) => true,
            // What is trimmed may read as anything, so also as before.
            (_, Request::Read { .. } | Request::Trim { .. }) => true,
            (_, Request::Cache { .. } | Request::Flush) => true,
        };
        match stays {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::ReadOnly,
                format!(
                    "{extent} would change the partition table or a gap between partitions, which cannot be written"
                ),
            )),
        }
    }

    /// Carries out a request that lies wholly within the area and is permitted.
    pub(super) fn execute(&self, request: Request) -> Execution {
        let extent = request.extent();
        match (&self.holds, extent) {
            (Holds::Volume(device), Some(extent)) => {
                let begins = self.extent.offset();
                moved_by(begins, device.execute(request.at(extent.offset() - begins)))
            }
            (Holds::Volume(device), None) => device.execute(request),
            (_, Some(extent)) if matches!(request, Request::Read { .. }) => {
                Execution::Done(Ok(Reply::Data(self.bytes(extent))))
            }
            _ => Execution::Done(Ok(Reply::Done)),
        }
    }

    /// What is known of an extent that lies wholly within the area.
    pub(super) fn status(
        &self,
        extent: Extent,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<Status>>> {
        let begins = self.extent.offset();
        match &self.holds {
            Holds::Volume(device) => {
                let inner = extent.moved_to(extent.offset() - begins);
                let status = device.status(inner, most);
                let moved = move |status: Status| {
                    let extent = status.extent.moved_to(status.extent.offset() + begins);
                    Status { extent, ..status }
                };
                status
                    .map_ok(move |pieces| pieces.into_iter().map(moved).collect())
                    .map_err(move |error| error.moved_by(begins))
                    .boxed()
            }
            Holds::Table(_) => ready(Ok(vec![Status::unknown(extent)])).boxed(),
            Holds::Zeroes => {
                let (allocation, place) = (Allocation::Hole, Place::Medium);
                ready(Ok(vec![Status { extent, allocation, place }])).boxed()
            }
        }
    }

    fn bytes(&self, extent: Extent) -> Payload {
        match &self.holds {
            Holds::Table(bytes) => bytes.slice(self.extent.range_of(extent)).into(),
            Holds::Zeroes | Holds::Volume(_) => Payload::zeroes(extent),
        }
    }
}

/// The same execution, on a device that begins `offset` bytes into the disk.
fn moved_by(offset: u64, execution: Execution) -> Execution {
    match execution {
        Execution::Done(answer) => Execution::Done(answer.map_err(|error| error.moved_by(offset))),
        Execution::Later(answer) if offset == 0 => Execution::Later(answer),
        Execution::Later(answer) => {
            Execution::later(answer.map_err(move |error| error.moved_by(offset)))
        }
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
