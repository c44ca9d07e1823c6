//! ABORT: the client ends the negotiation.

use bytes::BytesMut;

use super::{OptionCode, ReplyKind, put_option, put_reply};

/// The server's answer. Data, which it must not have, do not keep it from being carried out.
pub(crate) fn answer(output: &mut BytesMut) {
    put_reply(output, OptionCode::ABORT, ReplyKind::ACK, &[]);
}

/// The client's request; it may close without waiting for the answer.
pub(crate) fn ask(output: &mut BytesMut) {
    put_option(output, OptionCode::ABORT, &[]);
}
