//! EXTENDED_HEADERS: lengths of 64 bits, and answers in chunks, from now on.

use bytes::BytesMut;

use super::{OptionCode, Refusal, ReplyKind, put_option, put_reply};
use crate::Dialect;

/// The server's answer, and the dialect that it leads to. To ask again changes nothing.
pub(crate) fn answer(data: &[u8], output: &mut BytesMut) -> Result<Dialect, Refusal> {
    if !data.is_empty() {
        return Err(Refusal::new(ReplyKind::INVALID, "EXTENDED_HEADERS has no data"));
    }
    put_reply(output, OptionCode::EXTENDED_HEADERS, ReplyKind::ACK, &[]);
    Ok(Dialect::Extended)
}

/// The client's request.
pub(crate) fn ask(output: &mut BytesMut) {
    put_option(output, OptionCode::EXTENDED_HEADERS, &[]);
}
