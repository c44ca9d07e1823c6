//! Memory for reads, used again and again.
//!
//! A chunk is cut into buffers from front to back. When nothing of it is out any more it is whole again. A few
//! chunks take turns, so that slow reads do not keep fast ones from used memory.

use std::collections::VecDeque;

use bytes::BytesMut;

/// The size of a chunk for short reads, in bytes.
const CHUNK_BYTES: usize = 256 << 10;
/// Longer reads than this get memory of their own, which is not kept.
const KEPT_READ_BYTES_MAX: usize = 2 << 20;
/// The most chunks that are kept.
const CHUNKS_MAX: usize = 8;

/// The chunks; the last one is being cut.
#[derive(Debug, Default)]
pub(super) struct Arena {
    chunks: VecDeque<BytesMut>,
}

impl Arena {
    /// An empty buffer with room for at least `length` bytes.
    pub(super) fn buffer(&mut self, length: usize) -> BytesMut {
        if length > KEPT_READ_BYTES_MAX {
            return BytesMut::with_capacity(length);
        }
        let mut chunk = match self.chunks.pop_back() {
            Some(chunk) if chunk.capacity() >= length => chunk,
            used => self.next_chunk(used, length),
        };
        let rest = chunk.split_off(length);
        self.chunks.push_back(rest);
        chunk
    }

    /// A chunk with room for `length` bytes: the one that was used longest ago, if it is free again.
    fn next_chunk(&mut self, used: Option<BytesMut>, length: usize) -> BytesMut {
        self.chunks.extend(used);
        for _ in 0..self.chunks.len() {
            let Some(mut oldest) = self.chunks.pop_front() else { break };
            if oldest.try_reclaim(length) {
                return oldest;
            }
            self.chunks.push_back(oldest);
        }
        if self.chunks.len() >= CHUNKS_MAX {
            self.chunks.pop_front();
        }
        BytesMut::with_capacity(CHUNK_BYTES.max(length))
    }

    /// Whether it keeps memory.
    pub(super) fn holds_memory(&self) -> bool {
        !self.chunks.is_empty()
    }

    /// Lets go of all memory that is not out.
    pub(super) fn release(&mut self) {
        self.chunks = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_load_uses_the_same_memory() {
        let mut arena = Arena::default();
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let batch: Vec<BytesMut> = (0..32).map(|_| arena.buffer(4096)).collect();
            assert!(batch.iter().all(|buffer| buffer.is_empty() && buffer.capacity() >= 4096));
            places.extend(batch.iter().map(|buffer| buffer.as_ptr()));
        }
        assert_eq!(places.len(), CHUNK_BYTES / 4096);
    }

    #[test]
    fn memory_that_is_out_is_not_given_out_again() {
        let mut arena = Arena::default();
        let held: Vec<BytesMut> = (0..1000).map(|_| arena.buffer(4096)).collect();
        let places: std::collections::BTreeSet<_> = held.iter().map(|b| b.as_ptr()).collect();
        assert_eq!(places.len(), held.len());
        assert!(arena.chunks.len() <= CHUNKS_MAX);
    }

    #[test]
    fn a_long_read_is_not_kept() {
        let mut arena = Arena::default();
        assert!(arena.buffer(64 << 20).capacity() >= 64 << 20);
        assert!(!arena.holds_memory());
        arena.buffer(1 << 20);
        assert!(arena.holds_memory());
        arena.release();
        assert!(!arena.holds_memory());
    }
}
