//! STARTTLS: the rest of the connection is carried in TLS.

use bytes::BytesMut;

use super::{Known, OptionCode, Refusal, ReplyKind, put_option, put_reply};

/// Whether a server's negotiation may be, must be, or is carried in TLS ("TLS modes", proto.md).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// There is none, and STARTTLS is refused.
    #[default]
    Off,
    /// The client may ask for it, before anything or later.
    Offered,
    /// The client must ask for it: until then it may do nothing else, but leave.
    Required,
    /// It has begun.
    Established,
}

impl Tls {
    /// Whether a client may say this much.
    pub(crate) const fn admits(self, known: Option<Known>) -> bool {
        !matches!(self, Self::Required) || matches!(known, Some(Known::StartTls | Known::Abort))
    }
}

/// The server's answer. Where it is ACK, what comes next in either direction is TLS.
pub(crate) fn answer(data: &[u8], tls: Tls, output: &mut BytesMut) -> Result<(), Refusal> {
    let (kind, text) = match tls {
        _ if !data.is_empty() => (ReplyKind::INVALID, "STARTTLS has no data"),
        Tls::Offered | Tls::Required => {
            put_reply(output, OptionCode::STARTTLS, ReplyKind::ACK, &[]);
            return Ok(());
        }
        Tls::Off => (ReplyKind::POLICY, "this server was set up without TLS"),
        Tls::Established => (ReplyKind::INVALID, "TLS has begun already"),
    };
    Err(Refusal::new(kind, text))
}

/// The client's request.
pub(crate) fn ask(output: &mut BytesMut) {
    put_option(output, OptionCode::STARTTLS, &[]);
}
