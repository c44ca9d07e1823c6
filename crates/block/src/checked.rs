//! The one place where the contract of [`Device`] is checked.

use crate::{BoxFuture, Device, DeviceInfo, Error, ErrorKind, Execution, Extent, Reply, Request};

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
    if extent.end() > info.size_bytes {
        let kind = match request {
            Request::Write { .. } | Request::Zero { .. } => ErrorKind::NoSpace,
            _ => ErrorKind::Invalid,
        };
        let size = info.size_bytes;
        let error =
            Error::new(kind, format!("{extent} is past the end of a device of {size} bytes"));
        return Err(error.at(size.max(extent.offset())));
    }
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

fn check_reply(extent: Option<Extent>, is_read: bool, answer: &Result<Reply, Error>) {
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
        Err(_) => {}
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
        let (extent, is_read) = (request.extent(), matches!(request, Request::Read { .. }));
        if extent.is_some_and(Extent::is_empty) {
            let nothing =
                if is_read { Reply::Data(crate::Payload::default()) } else { Reply::Done };
            return Execution::Done(Ok(nothing));
        }
        let execution = self.0.execute(request);
        if let Execution::Done(answer) = &execution {
            check_reply(extent, is_read, answer);
        }
        execution
    }

    fn exchanged(&self) -> BoxFuture<'static, ()> {
        self.0.exchanged()
    }
}
