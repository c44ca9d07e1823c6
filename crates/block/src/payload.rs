//! The bytes that a read answers with.

use bytes::{Bytes, BytesMut};

/// Bytes in one or more parts, in order. A read that is served from several places is not copied together.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    first: Bytes,
    rest: Vec<Bytes>,
}

impl Payload {
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
