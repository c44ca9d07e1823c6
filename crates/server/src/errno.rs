//! The one place where a device's error becomes a number of NBD.

use hotbay_block::ErrorKind;
use hotbay_nbd::ErrorNumber;

/// What a client is told.
///
/// Unsupported is EINVAL: the protocol keeps ENOTSUP for FAST_ZERO.
pub(crate) const fn of(kind: ErrorKind) -> ErrorNumber {
    match kind {
        ErrorKind::NoSpace => ErrorNumber::NoSpace,
        ErrorKind::Invalid | ErrorKind::Unsupported => ErrorNumber::Invalid,
        ErrorKind::Slow => ErrorNumber::NotSupported,
        ErrorKind::ReadOnly => ErrorNumber::NotPermitted,
        ErrorKind::ShuttingDown => ErrorNumber::ShuttingDown,
        // Gone, Medium, TimedOut, PreviousFailure, and kinds to come: the storage failed.
        _ => ErrorNumber::Io,
    }
}
