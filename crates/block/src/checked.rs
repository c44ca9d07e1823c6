//! The one place where the contract of [`Device`] is checked.

use crate::{
    BoxFuture, Device, DeviceInfo, Error, ErrorKind, Execution, Extent, Reply, Request, Status,
};

/// Wraps a device so that no request that breaks the contract reaches it, and asserts that its answers keep it.
///
/// Ranges and write protection are checked here and nowhere below. Wrong requests are errors of the client and
/// are answered; wrong answers are bugs of the device and are caught in debug builds.
#[derive(Debug)]
pub struct Checked<D>(D);

impl<D: Device> Checked<D> {
    /// Checks all that goes to `device` and comes from it.
    pub const fn new(device: D) -> Self {
        Self(device)
    }
}

/// Refuses a request that `info` does not allow.
fn check(request: &Request, info: DeviceInfo) -> Result<(), Error> {
    if info.read_only && request.is_change() {
        return Err(ErrorKind::ReadOnly.into());
    }
    let Some(extent) = request.extent() else { return Ok(()) };
    let kind = match request {
        Request::Write { .. } | Request::Zero { .. } => ErrorKind::NoSpace,
        _ => ErrorKind::Invalid,
    };
    check_range(extent, info.size_bytes, kind)?;
    if let Request::Write { data, .. } = request
        && data.len() as u64 != extent.length()
    {
        let given = data.len();
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("{given} bytes for a write of {extent}"),
        ));
    }
    Ok(())
}

fn check_range(extent: Extent, size: u64, kind: ErrorKind) -> Result<(), Error> {
    if extent.end() <= size {
        return Ok(());
    }
    let text = format!("{extent} is past the end of a device of {size} bytes");
    Err(Error::new(kind, text).at(size.max(extent.offset())))
}

fn check_pieces(extent: Extent, most: usize, pieces: &[Status]) {
    debug_assert!((1..=most).contains(&pieces.len()), "there is a piece and no more than wanted");
    let mut at = extent.offset();
    for piece in pieces {
        debug_assert_eq!(piece.extent.offset(), at, "pieces follow each other");
        debug_assert!(!piece.extent.is_empty(), "no piece is empty");
        at = piece.extent.end();
    }
    debug_assert!(at <= extent.end(), "pieces are within the extent");
}

/// What an answer has to keep to.
#[derive(Clone, Copy)]
struct Expected {
    extent: Option<Extent>,
    is_read: bool,
    may_be_slow: bool,
}

impl Expected {
    const fn of(request: &Request) -> Self {
        let is_read = matches!(request, Request::Read { .. });
        Self { extent: request.extent(), is_read, may_be_slow: request.must_be_fast() }
    }
}

fn check_reply(expected: Expected, answer: &Result<Reply, Error>) {
    let Expected { extent, is_read, may_be_slow } = expected;
    match answer {
        Ok(Reply::Data(payload)) => {
            debug_assert!(is_read, "only a read is answered with data");
            debug_assert_eq!(
                Some(payload.len() as u64),
                extent.map(Extent::length),
                "a read is never short"
            );
        }
        Ok(Reply::Done) => debug_assert!(!is_read, "a read is answered with data"),
        Err(error) => debug_assert!(
            may_be_slow || error.kind() != ErrorKind::Slow,
            "only zeroes in a hurry are refused as slow"
        ),
    }
}

impl<D: Device> Device for Checked<D> {
    fn info(&self) -> DeviceInfo {
        self.0.info()
    }

    fn execute(&self, request: Request) -> Execution {
        if let Err(error) = check(&request, self.0.info()) {
            return Execution::Done(Err(error));
        }
        let expected = Expected::of(&request);
        if expected.extent.is_some_and(Extent::is_empty) {
            return Execution::Done(Ok(match expected.is_read {
                true => Reply::Data(crate::Payload::default()),
                false => Reply::Done,
            }));
        }
        let execution = self.0.execute(request);
        if let Execution::Done(answer) = &execution {
            check_reply(expected, answer);
        }
        execution
    }

    fn status(
        &self,
        extent: Extent,
        most: usize,
    ) -> BoxFuture<'static, Result<Vec<Status>, Error>> {
        let empty = || Error::new(ErrorKind::Invalid, "there is nothing to be known of no bytes");
        let checked = check_range(extent, self.0.info().size_bytes, ErrorKind::Invalid);
        if let Err(error) = checked.and(if extent.is_empty() { Err(empty()) } else { Ok(()) }) {
            return Box::pin(std::future::ready(Err(error)));
        }
        let status = self.0.status(extent, most.max(1));
        Box::pin(async move {
            let pieces = status.await?;
            check_pieces(extent, most.max(1), &pieces);
            Ok(pieces)
        })
    }

    fn exchanged(&self) -> BoxFuture<'static, ()> {
        self.0.exchanged()
    }
}
