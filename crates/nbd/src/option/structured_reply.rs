//! STRUCTURED_REPLY: answers in chunks from now on.

use bytes::BytesMut;

use super::{OptionCode, Refusal, ReplyKind, put_option, put_reply};
use crate::Dialect;

/// The server's answer, and the dialect that it leads to. To ask again changes nothing.
pub(crate) fn answer(
    data: &[u8],
    dialect: Dialect,
    output: &mut BytesMut,
) -> Result<Dialect, Refusal> {
    if !data.is_empty() {
        return Err(Refusal::new(ReplyKind::INVALID, "STRUCTURED_REPLY has no data"));
    }
    if dialect == Dialect::Extended {
        let text = "extended headers were agreed upon already";
        return Err(Refusal::new(ReplyKind::EXTENDED_HEADERS_REQUIRED, text));
    }
    put_reply(output, OptionCode::STRUCTURED_REPLY, ReplyKind::ACK, &[]);
    Ok(Dialect::Structured)
}

/// The client's request.
pub(crate) fn ask(output: &mut BytesMut) {
    put_option(output, OptionCode::STRUCTURED_REPLY, &[]);
}
