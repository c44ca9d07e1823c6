//! The bytes that a read answers with.

use bytes::{Bytes, BytesMut};

use crate::Extent;

/// Zeroes that are answered from, at most so many in a part.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// Bytes in one or more parts, in order. A read that is served from several places is not copied together.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    first: Bytes,
    rest: Vec<Bytes>,
}

impl Payload {
    /// As many zeroes as the extent has bytes, all from one piece of memory.
    #[must_use]
    pub fn zeroes(extent: Extent) -> Self {
        let mut payload = Self::default();
        for piece in extent.pieces(ZEROES.len() as u64) {
            payload.push(Bytes::from_static(&ZEROES[..piece.len_in_memory()]));
        }
        payload
    }

    /// The number of bytes in all parts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts().map(Bytes::len).sum()
    }

    /// Whether there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds bytes behind those that are there.
    pub fn push(&mut self, part: Bytes) {
        if self.first.is_empty() {
            self.first = part;
        } else if !part.is_empty() {
            self.rest.push(part);
        }
    }

    /// Adds all parts of another payload behind those that are there.
    pub fn extend(&mut self, other: Self) {
        for part in other.into_parts() {
            self.push(part);
        }
    }

    /// The parts, in order; none of them is empty, but for a payload of no bytes.
    pub fn parts(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// The parts themselves, in order.
    pub fn into_parts(self) -> impl Iterator<Item = Bytes> {
        std::iter::once(self.first).chain(self.rest)
    }

    /// All bytes in one piece; copies only where there are several parts.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        if self.rest.is_empty() {
            return self.first;
        }
        let mut whole = BytesMut::with_capacity(self.len());
        self.parts().for_each(|part| whole.extend_from_slice(part));
        whole.freeze()
    }
}

impl From<Bytes> for Payload {
    fn from(first: Bytes) -> Self {
        Self { first, rest: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeroes_of_any_length() {
        for length in [0, 1, 64 << 10, (64 << 10) + 1, 1 << 20] {
            let zeroes = Payload::zeroes(Extent::between(0, length));
            assert_eq!(zeroes.len() as u64, length);
            assert!(zeroes.into_bytes().iter().all(|byte| *byte == 0));
        }
    }
}
