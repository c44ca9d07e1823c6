//! Memory for what is carried from one place to another, used again and again.
//!
//! A copy of gigabytes that took fresh memory for each piece would spend more on it than on the copy: an allocator gives back
//! to the kernel what is freed at the end of its heap, and the kernel then zeroes and maps each page of 4 KiB anew.

use std::sync::{Arc, Weak};

use bytes::{Bytes, BytesMut};
use hotbay_block::Extent;
use parking_lot::Mutex;

/// Buffers that come back once what they held is not needed any more. They are let go with this.
#[derive(Clone, Debug)]
pub(crate) struct Buffers(Arc<Shelf>);

#[derive(Debug)]
struct Shelf {
    free: Mutex<Vec<BytesMut>>,
    kept_max: usize,
    bytes_max: usize,
}

/// A buffer while its bytes are in use by somebody.
struct Lent {
    buffer: BytesMut,
    home: Weak<Shelf>,
}

impl Buffers {
    /// Keeps at most so many that nobody uses, for pieces of at most this length.
    pub(crate) fn for_pieces(kept_max: usize, longest: Extent) -> Self {
        // One that grows may become twice as large as what is asked for.
        let bytes_max = 2 * longest.len_in_memory();
        Self(Arc::new(Shelf { free: Mutex::default(), kept_max, bytes_max }))
    }

    /// An empty buffer, with memory where there is one that was used before.
    pub(crate) fn take(&self) -> BytesMut {
        self.0.free.lock().pop().unwrap_or_default()
    }

    /// The bytes of a buffer, which comes back when the last who has them lets go.
    pub(crate) fn lend(&self, buffer: BytesMut) -> Bytes {
        Bytes::from_owner(Lent { buffer, home: Arc::downgrade(&self.0) })
    }

    /// The same of what a device has read into a buffer. Where it was read elsewhere it is given as it is.
    pub(crate) fn lend_again(&self, read: Bytes) -> Bytes {
        read.try_into_mut().map_or_else(|bytes| bytes, |buffer| self.lend(buffer))
    }
}

impl Shelf {
    fn put(&self, mut buffer: BytesMut) {
        buffer.clear();
        let mut free = self.free.lock();
        if free.len() < self.kept_max && (1..=self.bytes_max).contains(&buffer.capacity()) {
            free.push(buffer);
        }
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            home.put(std::mem::take(&mut self.buffer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(buffers: &Buffers, byte: u8) -> BytesMut {
        let mut buffer = buffers.take();
        buffer.extend_from_slice(&[byte; 4096]);
        buffer
    }

    #[test]
    fn a_buffer_is_used_again_when_the_last_lets_go_of_its_bytes_and_not_before() {
        let buffers = Buffers::for_pieces(2, Extent::between(0, 1 << 20));
        let first = buffers.lend(filled(&buffers, 1));
        let (memory, part) = (first.as_ptr(), first.slice(100..200));
        drop(first);
        let second = buffers.lend(filled(&buffers, 2));
        assert_ne!(second.as_ptr(), memory);
        assert_eq!(part, [1; 100].as_slice());
        drop(part);
        let third = buffers.lend(filled(&buffers, 3));
        assert_eq!(third.as_ptr(), memory);
        assert_eq!(third, [3; 4096].as_slice());
    }

    #[test]
    fn what_was_read_into_a_buffer_comes_back_and_what_others_hold_does_not() {
        let buffers = Buffers::for_pieces(2, Extent::between(0, 1 << 20));
        let read = filled(&buffers, 1).freeze();
        let (memory, held) = (read.as_ptr(), read.clone());
        drop(buffers.lend_again(read));
        assert_eq!(buffers.take().capacity(), 0);
        drop(buffers.lend_again(held));
        assert_eq!(filled(&buffers, 2).as_ptr(), memory);
    }

    #[test]
    fn no_more_and_no_larger_buffers_are_kept_than_it_was_made_for() {
        let buffers = Buffers::for_pieces(2, Extent::between(0, 4096));
        let lent: Vec<Bytes> = (1..5).map(|byte| buffers.lend(filled(&buffers, byte))).collect();
        drop(lent);
        assert_eq!(buffers.0.free.lock().len(), 2);
        let mut large = buffers.take();
        large.reserve(10_000);
        drop(buffers.lend(large));
        assert_eq!(buffers.0.free.lock().len(), 1);
        let late = buffers.lend(filled(&buffers, 9));
        drop(buffers);
        assert_eq!(late, [9; 4096].as_slice());
    }
}
