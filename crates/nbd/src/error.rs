//! What goes wrong: the error numbers of the wire, and why a negotiation ends.

use crate::option::OptionCode;

/// The errors that a server may answer a request with, and no others ("Error values").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ErrorNumber {
    /// A change of what is read-only.
    #[error("operation not permitted")]
    NotPermitted,
    /// The storage failed.
    #[error("input/output error")]
    Io,
    /// No memory for the request.
    #[error("cannot allocate memory")]
    NoMemory,
    /// The request is wrong: range, length, command or flags.
    #[error("invalid argument")]
    Invalid,
    /// No room, or a write or zeroes past the end.
    #[error("no space left on device")]
    NoSpace,
    /// A READ with DF is too long for one piece.
    #[error("value too large")]
    Overflow,
    /// WRITE_ZEROES with FAST_ZERO would not be fast.
    #[error("operation not supported")]
    NotSupported,
    /// The server is being stopped.
    #[error("server is shutting down")]
    ShuttingDown,
}

impl ErrorNumber {
    /// Its number on the wire.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::NotPermitted => 1,
            Self::Io => 5,
            Self::NoMemory => 12,
            Self::Invalid => 22,
            Self::NoSpace => 28,
            Self::Overflow => 75,
            Self::NotSupported => 95,
            Self::ShuttingDown => 108,
        }
    }

    /// The error of a number that is not 0. A number that is not in the protocol counts as EINVAL, as the
    /// protocol wants it.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::NotPermitted,
            5 => Self::Io,
            12 => Self::NoMemory,
            28 => Self::NoSpace,
            75 => Self::Overflow,
            95 => Self::NotSupported,
            108 => Self::ShuttingDown,
            _ => Self::Invalid,
        }
    }
}

/// A header that does not begin with its magic number: the two sides are out of step, and nothing that
/// follows can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wrong magic number: expected {expected:#x}, found {found:#x}")]
pub struct WrongMagic {
    /// The number that had to be there.
    pub expected: u64,
    /// The number that was there.
    pub found: u64,
}

/// Why a server ends a negotiation without an answer. The connection is to be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// An option did not begin with its magic number.
    #[error(transparent)]
    Magic(#[from] WrongMagic),
    /// The client set flags that this server has not offered.
    #[error("unknown client flags: {bits:#x}")]
    UnknownClientFlags {
        /// The flags that are not known.
        bits: u32,
    },
    /// A client that does not know fixed newstyle may send EXPORT_NAME alone, since it expects no replies.
    #[error("option {option} from a client that does not know fixed newstyle")]
    NotFixedNewstyle {
        /// What it sent.
        option: OptionCode,
    },
    /// EXPORT_NAME, which has no reply that says no, for an export that is not there.
    #[error("no export {name:?}")]
    UnknownExport {
        /// The name that was asked for.
        name: String,
    },
    /// EXPORT_NAME with a name that cannot be one: too long, not UTF-8, or with a NUL.
    #[error("export name of {length} bytes is not valid")]
    InvalidName {
        /// Its length in bytes.
        length: u32,
    },
    /// EXPORT_NAME, which has no reply that says no, after EXTENDED_HEADERS.
    #[error("EXPORT_NAME after EXTENDED_HEADERS")]
    ExportNameInExtended,
    /// EXPORT_NAME, which has no reply that says no, where TLS is required and has not begun.
    #[error("EXPORT_NAME in the clear, where TLS is required")]
    TlsRequired,
    /// Bytes in the clear came together with STARTTLS. They may be somebody else's, and count for nothing.
    #[error("{count} bytes in the clear behind STARTTLS")]
    BytesBehindStartTls {
        /// How many were there.
        count: usize,
    },
    /// More options than [`OPTIONS_MAX`](crate::limits::OPTIONS_MAX).
    #[error("too many options in one negotiation")]
    TooManyOptions,
    /// It was fed after it had ended.
    #[error("the negotiation is over")]
    Over,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_as_the_same_error() {
        for number in [1, 5, 12, 22, 28, 75, 95, 108] {
            assert_eq!(ErrorNumber::from_number(number).number(), number);
        }
        assert_eq!(ErrorNumber::from_number(2), ErrorNumber::Invalid);
    }
}
