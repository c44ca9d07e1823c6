//! Why a client cannot go on.

use crate::WrongMagic;
use crate::option::{OptionCode, ReplyKind};

/// Why the client's side of a negotiation ends. The connection is to be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server does not speak NBD, or lost step.
    #[error(transparent)]
    Magic(#[from] WrongMagic),
    /// The server is older than fixed newstyle.
    #[error("the server does not speak fixed newstyle")]
    NotFixedNewstyle,
    /// The name that was to be asked for is longer than the protocol allows.
    #[error("an export name has at most 4096 bytes, not {length}")]
    NameTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The server said no.
    #[error("the server refuses {option}: {}", if text.is_empty() { kind.to_string() } else { text.clone() })]
    Refused {
        /// To what.
        option: OptionCode,
        /// How.
        kind: ReplyKind,
        /// Why, in the server's words; may be empty.
        text: String,
    },
    /// The server answered what was not asked, or what makes no sense.
    #[error("unexpected answer to {option}: {kind}, {length} bytes")]
    UnexpectedReply {
        /// To what it is an answer.
        option: OptionCode,
        /// Its kind.
        kind: ReplyKind,
        /// The length of its data in bytes.
        length: u32,
    },
    /// The server went past one of the bounds in [`limits`](crate::limits).
    #[error("the server's answer to {option} is too long")]
    TooMuch {
        /// To what it is an answer.
        option: OptionCode,
    },
    /// Bytes in the clear came together with the answer to STARTTLS. They may be somebody else's, and count for nothing.
    #[error("{count} bytes in the clear behind STARTTLS")]
    BytesBehindStartTls {
        /// How many were there.
        count: usize,
    },
    /// It was fed after it had ended.
    #[error("the negotiation is over")]
    Over,
}
