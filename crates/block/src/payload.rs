//! The bytes that a read answers with.

use bytes::{Bytes, BytesMut};

use crate::{Extent, Lent};

/// Zeroes are handed out from here, so many at a time.
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// Bytes in one or more parts, in order. A read that is served from several places is not copied together.
///
/// Zeroes that are known to be zeroes, because nothing is stored there, are kept as a number.
#[derive(Debug, Default)]
pub struct Payload {
    first: Part,
    rest: Vec<Part>,
}

/// A part of a [`Payload`].
#[derive(Debug)]
pub enum Part {
    /// These bytes, whatever they are.
    Data(Bytes),
    /// So many zeroes.
    Zeroes(usize),
    /// Bytes that are not in memory; only for whoever has offered a [`Pipe`](crate::Pipe).
    Lent(Lent),
}

impl Part {
    /// The number of bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Data(data) => data.len(),
            Self::Zeroes(count) => *count,
            Self::Lent(lent) => lent.len(),
        }
    }

    /// Whether there is no byte.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// It as bytes in memory; zeroes in several pieces, from one place.
    pub fn into_pieces(self) -> impl Iterator<Item = Bytes> {
        let (mut data, mut zeroes) = match self {
            Self::Data(data) => (Some(data), 0),
            Self::Zeroes(count) => (None, count),
            Self::Lent(lent) => (Some(lent.into_bytes()), 0),
        };
        std::iter::from_fn(move || {
            let count = zeroes.min(ZEROES.len());
            zeroes -= count;
            data.take().or_else(|| (count > 0).then(|| Bytes::from_static(&ZEROES[..count])))
        })
    }
}

impl Default for Part {
    fn default() -> Self {
        Self::Data(Bytes::new())
    }
}

impl Payload {
    /// As many zeroes as the extent has bytes.
    #[must_use]
    pub fn zeroes(extent: Extent) -> Self {
        Self { first: Part::Zeroes(extent.len_in_memory()), rest: Vec::new() }
    }

    /// The number of bytes in all parts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts().map(Part::len).sum()
    }

    /// Whether there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether something of it is lent.
    #[must_use]
    pub fn is_lent(&self) -> bool {
        self.parts().any(|part| matches!(part, Part::Lent(_)))
    }

    /// Adds bytes behind those that are there.
    pub fn push(&mut self, data: Bytes) {
        self.add(Part::Data(data));
    }

    /// Adds so many zeroes behind what is there.
    pub fn push_zeroes(&mut self, count: usize) {
        match self.rest.last_mut().unwrap_or(&mut self.first) {
            Part::Zeroes(before) => *before += count,
            Part::Data(_) | Part::Lent(_) => self.add(Part::Zeroes(count)),
        }
    }

    /// Adds all parts of another payload behind those that are there.
    pub fn extend(&mut self, other: Self) {
        for part in other.into_parts() {
            match part {
                Part::Data(data) => self.push(data),
                Part::Zeroes(count) => self.push_zeroes(count),
                lent @ Part::Lent(_) => self.add(lent),
            }
        }
    }

    fn add(&mut self, part: Part) {
        if self.first.is_empty() {
            self.first = part;
        } else if !part.is_empty() {
            self.rest.push(part);
        }
    }

    /// The parts, in order; none of them is empty, but for a payload of no bytes.
    pub fn parts(&self) -> impl Iterator<Item = &Part> + Clone {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// The parts themselves, in order.
    pub fn into_parts(self) -> impl Iterator<Item = Part> {
        std::iter::once(self.first).chain(self.rest)
    }

    /// All bytes in one piece; copies only where there are several parts.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        if let (Part::Data(data), true) = (&self.first, self.rest.is_empty()) {
            return data.clone();
        }
        let mut whole = BytesMut::with_capacity(self.len());
        for part in self.into_parts() {
            match part {
                Part::Data(data) => whole.extend_from_slice(&data),
                Part::Zeroes(count) => whole.resize(whole.len() + count, 0),
                Part::Lent(lent) => whole.extend_from_slice(&lent.into_bytes()),
            }
        }
        whole.freeze()
    }
}

impl From<Lent> for Payload {
    fn from(first: Lent) -> Self {
        Self { first: Part::Lent(first), rest: Vec::new() }
    }
}

impl From<Bytes> for Payload {
    fn from(first: Bytes) -> Self {
        Self { first: Part::Data(first), rest: Vec::new() }
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

    #[test]
    fn parts_stay_in_order_and_zeroes_run_together() {
        let mut payload = Payload::default();
        payload.push_zeroes(100_000);
        payload.push_zeroes(40_000);
        payload.push(Bytes::from_static(b"data"));
        payload.push(Bytes::new());
        let mut other = Payload::from(Bytes::from_static(b"more"));
        other.push_zeroes(0);
        other.push_zeroes(3);
        payload.extend(other);
        let data = |text: &'static [u8]| Part::Data(Bytes::from_static(text));
        let parts = [Part::Zeroes(140_000), data(b"data"), data(b"more"), Part::Zeroes(3)];
        let shown = |part: &Part| format!("{part:?}");
        assert!(payload.parts().map(shown).eq(parts.iter().map(shown)), "{payload:?}");
        assert_eq!(payload.len(), 140_011);
        let pieces: Vec<Bytes> = parts.into_iter().flat_map(Part::into_pieces).collect();
        let whole = [vec![0; 140_000], b"datamore\0\0\0".to_vec()].concat();
        assert_eq!(pieces.concat(), whole);
        assert_eq!(payload.into_bytes(), whole);
    }
}
