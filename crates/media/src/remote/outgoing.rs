//! Bytes on their way to the server: headers and small payloads copied together, long payloads as they are.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};
use hotbay_nbd::{Dialect, RequestHeader};

/// A payload up to this long is copied: that is cheaper than a piece of its own.
const COPIED_BYTES_MAX: usize = 8 << 10;

/// What is to be sent, in order.
#[derive(Debug)]
pub(super) struct Outgoing {
    dialect: Dialect,
    pieces: VecDeque<Bytes>,
    /// What follows the pieces.
    tail: BytesMut,
}

impl Outgoing {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self { dialect, pieces: VecDeque::new(), tail: BytesMut::new() }
    }

    pub(super) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Adds a request.
    pub(super) fn push(&mut self, header: &RequestHeader, data: Bytes) {
        header.encode(&mut self.tail, self.dialect);
        if data.len() <= COPIED_BYTES_MAX {
            self.tail.extend_from_slice(&data);
        } else {
            self.pieces.push_back(self.tail.split().freeze());
            self.pieces.push_back(data);
        }
    }
}

impl Buf for Outgoing {
    fn remaining(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum::<usize>() + self.tail.len()
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&self.tail, |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let all = self.pieces.iter().map(|piece| &piece[..]).chain([&self.tail[..]]);
        let mut count = 0;
        for (slice, bytes) in slices.iter_mut().zip(all.filter(|bytes| !bytes.is_empty())) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(front) = self.pieces.front_mut() {
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.pieces.pop_front();
        }
        self.tail.advance(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotbay_nbd::{Command, CommandFlags, Cookie};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_order(
            lengths in prop::collection::vec(0_usize..3 * COPIED_BYTES_MAX, 0..6),
            steps in prop::collection::vec(1_usize..20_000, 1..8),
        ) {
            let (mut outgoing, mut expected) = (Outgoing::new(Dialect::Extended), BytesMut::new());
            for (number, length) in (0..).zip(lengths) {
                let header = RequestHeader {
                    command: Command::Write, flags: CommandFlags::NONE, cookie: Cookie(number),
                    offset: 0, length: u64::try_from(length).unwrap(),
                };
                let data = Bytes::from(vec![number.to_le_bytes()[0]; length]);
                header.encode(&mut expected, Dialect::Extended);
                expected.extend_from_slice(&data);
                outgoing.push(&header, data);
            }
            prop_assert_eq!(outgoing.remaining(), expected.len());
            for step in steps.into_iter().cycle() {
                if !outgoing.has_remaining() { break; }
                let mut slices = [IoSlice::new(&[]); 3];
                let count = outgoing.chunks_vectored(&mut slices);
                let seen: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
                let step = step.min(seen.len());
                prop_assert!(step > 0);
                prop_assert_eq!(&seen[..step], &expected[..step]);
                outgoing.advance(step);
                expected.advance(step);
            }
            prop_assert!(expected.is_empty());
        }
    }
}
