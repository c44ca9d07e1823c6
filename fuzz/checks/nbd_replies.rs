//! A server's replies, as a client takes them: whatever it says, each request has at most the bytes that it asked for, each of them
//! once, before it is done; and what is out of step is found out without waiting for more than the longest reply.
//!
//! The first byte chooses the dialect and the size of the pieces, the second the request, the rest is what the server says.

use bytes::BytesMut;
use hotbay_nbd::client::{Answering, Brings, Reply};
use hotbay_nbd::limits::{ERROR_BYTES_MAX, STATUS_EXTENTS_MAX};
use hotbay_nbd::{Command, CommandFlags, Cookie, Dialect, RequestHeader};

/// The request's first byte, and how many.
const OFFSET: u64 = 0x1000;
const LENGTH: usize = 0x40;

pub(crate) fn check(data: &[u8]) {
    let [choice, request, said @ ..] = data else { return };
    let dialects = [Dialect::Simple, Dialect::Structured, Dialect::Extended];
    let dialect = dialects[usize::from(choice % 3)];
    let commands = [Command::Read, Command::BlockStatus, Command::Write, Command::Flush];
    let header = RequestHeader {
        command: commands[usize::from(request % 4)],
        flags: CommandFlags::NONE,
        cookie: Cookie(0),
        offset: OFFSET,
        length: LENGTH as u64,
    };
    let mut conversation = Conversation {
        dialect,
        header,
        answering: Answering::to(&header, dialect, Some(0)),
        taken: [false; LENGTH],
        input: BytesMut::new(),
        to_skip: 0,
    };
    for piece in said.chunks(usize::from(*choice).max(1)) {
        conversation.input.extend_from_slice(piece);
        if conversation.take_all().is_none() {
            return;
        }
        let most = 32 + 16 * STATUS_EXTENTS_MAX + ERROR_BYTES_MAX;
        assert!((conversation.input.len() as u64) < most + u64::from(*choice));
    }
}

struct Conversation {
    dialect: Dialect,
    header: RequestHeader,
    answering: Answering,
    /// The bytes of the read that have come.
    taken: [bool; LENGTH],
    input: BytesMut,
    /// Bytes of the read that are to come.
    to_skip: usize,
}

impl Conversation {
    /// Takes what is there; `None` where the connection is at its end.
    fn take_all(&mut self) -> Option<()> {
        loop {
            let skipped = self.to_skip.min(self.input.len());
            let _ = self.input.split_to(skipped);
            self.to_skip -= skipped;
            if self.to_skip > 0 {
                return Some(());
            }
            let Some(reply) = Reply::decode(&mut self.input, self.dialect).ok()? else {
                return Some(());
            };
            self.take(reply)?;
        }
    }

    fn take(&mut self, reply: Reply) -> Option<()> {
        let done = reply.done;
        let brings = self.answering.take(reply).ok()?;
        let (at, length) = match brings {
            Brings::Nothing => (0, 0),
            Brings::Bytes { at, length } | Brings::Zeroes { at, length } => (at, length),
        };
        let (at, length) =
            (usize::try_from(at).expect("small"), usize::try_from(length).expect("small"));
        let place = &mut self.taken[at..][..length];
        assert!(!place.contains(&true), "a byte came twice");
        place.fill(true);
        if matches!(brings, Brings::Bytes { .. }) {
            self.to_skip = length;
        }
        if done {
            let fresh = Answering::to(&self.header, self.dialect, Some(0));
            let outcome = std::mem::replace(&mut self.answering, fresh).outcome();
            let is_read = self.header.command == Command::Read;
            assert!(
                outcome.is_err() || !is_read || !self.taken.contains(&false),
                "bytes are missing"
            );
            if let Ok(extents) = outcome {
                assert_eq!(extents.is_empty(), self.header.command != Command::BlockStatus);
            }
            self.taken = [false; LENGTH];
        }
        Some(())
    }
}
