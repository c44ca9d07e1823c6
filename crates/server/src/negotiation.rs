//! The negotiation with one client: bytes between a socket and `hotbay_nbd::ServerHandshake`.

use std::io;

use bytes::BytesMut;
use hotbay_nbd::{Chosen, HandshakeError, ServerHandshake, Step};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::exports::{Negotiable, Opened};
use crate::tls::has_left;

/// Bytes received at once. With the bound on an option's data it bounds what a client can make this hold.
const RECEIVE_BYTES: usize = 4096;

/// What a client and this server have agreed upon.
pub(crate) struct Agreed {
    pub(crate) chosen: Chosen<Opened>,
    /// What the client sent behind it.
    pub(crate) received: BytesMut,
}

/// How a negotiation over one transport ends.
pub(crate) enum Outcome {
    /// A session begins.
    Agreed(Agreed),
    /// TLS begins: the negotiation is to go on over it.
    StartTls,
    /// The client wants no session.
    Left,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NegotiationError {
    #[error("the client has closed the connection")]
    Closed,
    #[error("the connection is lost")]
    Lost(#[from] io::Error),
    #[error("TLS cannot be begun")]
    Tls(#[source] io::Error),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

/// Negotiates over `stream` from where `handshake` is. Has no deadline of its own.
pub(crate) async fn negotiate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    handshake: &mut ServerHandshake,
    exports: &Negotiable<'_>,
) -> Result<Outcome, NegotiationError> {
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    loop {
        let step = handshake.advance(&mut input, &mut output, exports)?;
        if matches!(step, Step::Aborted) {
            // The client may close without waiting for the answer.
            let _ = stream.write_all_buf(&mut output).await;
            let _ = stream.shutdown().await;
            return Ok(Outcome::Left);
        }
        stream.write_all_buf(&mut output).await?;
        match step {
            Step::Send | Step::Aborted => {}
            Step::Receive => receive(stream, &mut input).await?,
            Step::StartTls => {
                stream.flush().await?;
                return Ok(Outcome::StartTls);
            }
            Step::Transmit(chosen) => {
                stream.flush().await?;
                return Ok(Outcome::Agreed(Agreed { chosen, received: input }));
            }
        }
    }
}

async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
) -> Result<(), NegotiationError> {
    stream.flush().await?;
    input.reserve(RECEIVE_BYTES);
    let mut room = bytes::BufMut::limit(input, RECEIVE_BYTES);
    let received = stream.read_buf(&mut room).await;
    if has_left(&received) {
        return Err(NegotiationError::Closed);
    }
    received?;
    Ok(())
}
