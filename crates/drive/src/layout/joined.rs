//! A joined disk as a device.
//!
//! A request within one area is that area's; any other is split, its parts are under way together, and it is answered
//! once, when all of them are. A change that touches something that cannot be changed is refused before any part of it
//! begins, and so are zeroes that must be quick in two volumes: the one could make them, and the other refuse.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{join_all, select_all};
use hotbay_block::{
    BoxFuture, Device, DeviceInfo, Error, ErrorKind, Execution, Extent, Payload, Reply, Request,
    Result, Status,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::area::Area;

/// A client that insists is not logged more often than this.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Areas side by side.
#[derive(Debug)]
pub(super) struct Joined {
    name: String,
    /// By offset; each begins where the one before it ends, the first at 0; one of them is a volume's.
    areas: Vec<Area>,
    info: DeviceInfo,
    refusal_told: Mutex<Option<Instant>>,
}

impl Joined {
    /// The disk `name`, of areas that lie side by side from 0.
    pub(super) fn new(name: &str, areas: Vec<Area>) -> Self {
        let volumes = || areas.iter().filter_map(Area::volume).map(|volume| volume.info());
        let info = DeviceInfo {
            size_bytes: areas.last().map_or(0, |area| area.extent.end()),
            preferred_block_bytes: volumes().map(|v| v.preferred_block_bytes).max().unwrap_or(4096),
            read_only: volumes().any(|volume| volume.read_only),
            rotational: volumes().any(|volume| volume.rotational),
        };
        Self { name: name.to_owned(), areas, info, refusal_told: Mutex::default() }
    }

    /// The areas that an extent touches, in order.
    fn touched(&self, extent: Extent) -> &[Area] {
        let first = self.areas.partition_point(|area| area.extent.end() <= extent.offset());
        let end = self.areas.partition_point(|area| area.extent.offset() < extent.end());
        &self.areas[first..end]
    }

    fn change_or_read(&self, request: Request, extent: Extent) -> Execution {
        match self.touched(extent) {
            [area] => match area.permits(&request) {
                Ok(()) => area.execute(request),
                Err(error) => Execution::Done(Err(self.refused(error))),
            },
            areas => self.split(&request, extent, areas),
        }
    }

    fn split(&self, request: &Request, extent: Extent, areas: &[Area]) -> Execution {
        let parts = areas.iter().filter_map(|area| {
            let inner = area.extent.intersection(extent)?;
            Some((area, request.part_at(inner, inner.offset())))
        });
        let parts: Vec<(&Area, Request)> = parts.collect();
        for (area, part) in &parts {
            if let Err(error) = area.permits(part) {
                return Execution::Done(Err(self.refused(error)));
            }
        }
        let volumes = areas.iter().filter(|area| area.volume().is_some()).count();
        if request.must_be_fast() && volumes > 1 {
            return Execution::Done(Err(ErrorKind::Slow.into()));
        }
        all(parts.into_iter().map(|(area, part)| area.execute(part)).collect())
    }

    fn flush(&self) -> Execution {
        let volumes = self.areas.iter().filter(|area| area.volume().is_some());
        all(volumes.map(|area| area.execute(Request::Flush)).collect())
    }

    fn refused(&self, error: Error) -> Error {
        let (now, mut told) = (Instant::now(), self.refusal_told.lock());
        if told.is_none_or(|told| now - told >= TELL_EVERY) {
            *told = Some(now);
            tracing::warn!(disk = self.name, "refused: {error}");
        }
        error
    }
}

/// Drives all parts, and answers once with what they answered: the data in order, or the first error.
fn all(parts: Vec<Execution>) -> Execution {
    if parts.iter().all(|part| matches!(part, Execution::Done(_))) {
        let answers = parts.into_iter().filter_map(|part| part.answer().now_or_never());
        return Execution::Done(together(answers));
    }
    // Each to its end, also where one has failed: its effect must not come after the answer.
    Execution::later(join_all(parts.into_iter().map(Execution::answer)).map(together))
}

fn together(answers: impl IntoIterator<Item = Result<Reply>>) -> Result<Reply> {
    let mut data: Option<Payload> = None;
    for answer in answers {
        if let Reply::Data(part) = answer? {
            data.get_or_insert_default().extend(part);
        }
    }
    Ok(data.map_or(Reply::Done, Reply::Data))
}

impl Device for Joined {
    fn info(&self) -> DeviceInfo {
        self.info
    }

    fn execute(&self, request: Request) -> Execution {
        match request.extent() {
            Some(extent) => self.change_or_read(request, extent),
            None => self.flush(),
        }
    }

    /// Of the first area that the extent touches; who wants to know of the next one asks again.
    fn status(&self, extent: Extent, most: usize) -> BoxFuture<'static, Result<Vec<Status>>> {
        let first = self.touched(extent).first();
        match first.and_then(|area| Some((area, area.extent.intersection(extent)?))) {
            Some((area, inner)) => area.status(inner, most),
            None => std::future::ready(Ok(vec![Status::unknown(extent)])).boxed(),
        }
    }

    fn exchanged(&self) -> BoxFuture<'static, ()> {
        let volumes = self.areas.iter().filter_map(Area::volume);
        select_all(volumes.map(|volume| volume.exchanged())).map(drop).boxed()
    }
}
