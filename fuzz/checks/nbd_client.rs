//! A server's side of a negotiation, as a client takes it: whatever it says, the client keeps within its bounds and comes
//! to an end.
//!
//! The first byte chooses what the client wants and the size of the pieces, the rest is what the server says.

use bytes::BytesMut;
use hotbay_nbd::Dialect;
use hotbay_nbd::client::{Goal, Handshake, Step};
use hotbay_nbd::limits::{OPTION_BYTES_MAX, STRING_BYTES_MAX};

const HELD_MAX: usize = OPTION_BYTES_MAX as usize + 1024;

pub(crate) fn check(data: &[u8]) {
    let Some((choice, told)) = data.split_first() else { return };
    let dialect =
        [Dialect::Simple, Dialect::Structured, Dialect::Extended][usize::from(choice % 6) / 2];
    let goal = match choice % 2 {
        0 => Goal::Open { export: "usb".into(), dialect },
        _ => Goal::List,
    };
    let mut handshake = Handshake::new(goal).expect("the name is short");
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let mut pieces = told.chunks(usize::from(*choice).max(1));
    loop {
        match handshake.advance(&mut input, &mut output) {
            Ok(Step::Receive) => {
                assert!(input.len() <= HELD_MAX, "{} bytes held", input.len());
                assert!(output.split().len() <= HELD_MAX);
                let Some(piece) = pieces.next() else { return };
                input.extend_from_slice(piece);
            }
            Ok(Step::Opened(opened)) => {
                for text in [opened.name, opened.description].into_iter().flatten() {
                    assert!(text.len() <= STRING_BYTES_MAX);
                }
                return;
            }
            Ok(Step::StartTls | Step::Listed(_)) | Err(_) => return,
        }
    }
}
