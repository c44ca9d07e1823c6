//! A client's side of a negotiation, as a server takes it: whatever it sends, in whatever pieces, the server keeps within
//! its bounds, and the pieces make no difference.
//!
//! The first byte chooses the size of the pieces, the rest is what the client sends.

use bytes::BytesMut;
use hotbay_nbd::limits::OPTION_BYTES_MAX;
use hotbay_nbd::{
    BlockSizes, Export, ExportDescription, Exports, HandshakeError, ServerHandshake, Step, Tls,
    TransmissionFlags,
};

/// What a server may hold of what it was sent, or has to send: an option and its header, or the replies to one.
const HELD_MAX: usize = OPTION_BYTES_MAX as usize + 1024;

/// The answer to STARTTLS.
const ACKNOWLEDGED_BYTES: usize = 20;

struct One;

impl Exports for One {
    type Opened = ();

    fn list(&self) -> Vec<ExportDescription> {
        vec![ExportDescription { name: "usb".into(), description: "a stick".into() }]
    }

    fn open(&self, name: &str) -> Option<(Export, ())> {
        let flags = TransmissionFlags::HAS_FLAGS.with(TransmissionFlags::SEND_FLUSH);
        let (name, description) =
            (["", "usb"].contains(&name).then(|| name.to_owned())?, String::new());
        let block_sizes = BlockSizes::default();
        Some((Export { name, description, size_bytes: 1 << 20, flags, block_sizes }, ()))
    }
}

pub(crate) fn check(data: &[u8]) {
    let Some((size, sent)) = data.split_first() else { return };
    for tls in [Tls::Off, Tls::Offered, Tls::Required, Tls::Established] {
        let whole = negotiate(tls, sent.chunks(sent.len().max(1)));
        let pieces = negotiate(tls, sent.chunks(usize::from(*size).max(1)));
        assert_eq!(whole, pieces, "the pieces in which it comes make a difference: {tls:?}");
    }
}

/// All that the server says, and how it ends.
fn negotiate<'a>(tls: Tls, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, String) {
    let mut handshake = ServerHandshake::new(tls);
    let (mut input, mut output, mut said) = (BytesMut::new(), BytesMut::new(), Vec::new());
    let mut pieces = pieces;
    loop {
        let step = handshake.advance(&mut input, &mut output, &One);
        assert!(output.len() <= HELD_MAX, "{} bytes to send", output.len());
        said.extend_from_slice(&output.split());
        let end = match step {
            Ok(Step::Send) => continue,
            Ok(Step::Receive) => {
                assert!(input.len() <= HELD_MAX, "{} bytes held", input.len());
                match pieces.next() {
                    Some(piece) => {
                        input.extend_from_slice(piece);
                        continue;
                    }
                    None => "waits".into(),
                }
            }
            // Whether STARTTLS is acknowledged depends on what is known to be behind it; that nothing behind it counts does not.
            Ok(Step::StartTls) => {
                assert!(input.is_empty(), "bytes in the clear are kept for TLS");
                said.truncate(said.len() - ACKNOWLEDGED_BYTES);
                "begins TLS, or refuses to".into()
            }
            Err(HandshakeError::BytesBehindStartTls { .. }) => {
                said.truncate(said.len() - ACKNOWLEDGED_BYTES);
                "begins TLS, or refuses to".into()
            }
            Ok(Step::Transmit(chosen)) => format!("{:?}: {}", chosen.dialect, chosen.export.name),
            Ok(Step::Aborted) => "aborted".into(),
            Err(error) => format!("{error:?}"),
        };
        return (said, end);
    }
}
