//! Bytes that are lent: in a pipe of the operating system, by reference, instead of in memory.
//!
//! A long read from a page cache to a socket costs two copies, and both cost more than anything else about it. A medium that
//! can put what it has into a pipe without a copy may answer so, where whoever asks has offered one. Nothing here opens or
//! moves anything: the one side fills the pipe, the other empties it.
//!
//! **What is lent may still change**, until it is taken out: a write to the same bytes may show in it. So a read that is
//! answered with lent bytes is under way until they are taken, as far as anybody can tell, and what overlaps it is at the same
//! time. That is no news to a client, which has not seen the answer yet. Whoever wants to be sure what was read takes it
//! into memory at once ([`Lent::into_bytes`]), or offers no pipe.

use std::fmt;
use std::io::{self, PipeReader, PipeWriter, Read};

use bytes::Bytes;

/// An empty pipe, offered with a read.
#[derive(Debug)]
pub struct Pipe {
    reader: PipeReader,
    writer: PipeWriter,
    room_bytes: usize,
}

impl Pipe {
    /// A pipe that is empty and takes `room_bytes`, where they begin and end with a page.
    #[must_use]
    pub const fn new(reader: PipeReader, writer: PipeWriter, room_bytes: usize) -> Self {
        Self { reader, writer, room_bytes }
    }

    /// How many bytes it takes, where they begin and end with a page.
    #[must_use]
    pub const fn room_bytes(&self) -> usize {
        self.room_bytes
    }

    /// Where bytes are put in.
    #[must_use]
    pub const fn writer(&self) -> &PipeWriter {
        &self.writer
    }

    /// The answer, once exactly `length` bytes are in it. A pipe that was filled in part is of no use any more.
    #[must_use]
    pub const fn filled(self, length: usize) -> Lent {
        Lent { pipe: self, length }
    }
}

/// Bytes in a pipe.
pub struct Lent {
    pipe: Pipe,
    length: usize,
}

impl Lent {
    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Where they come out.
    #[must_use]
    pub const fn reader(&self) -> &PipeReader {
        &self.pipe.reader
    }

    /// So many of them were taken out of the reader.
    ///
    /// # Panics
    /// Where there were fewer.
    pub const fn taken(&mut self, count: usize) {
        assert!(count <= self.length, "no more is taken than is there");
        self.length -= count;
    }

    /// The pipe, to be used again; `None` where there is something in it.
    #[must_use]
    pub fn into_pipe(self) -> Option<Pipe> {
        self.is_empty().then_some(self.pipe)
    }

    /// Takes them into memory.
    ///
    /// # Panics
    /// Where the pipe does not hold what it was filled with.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        let mut bytes = vec![0; self.length];
        let read: io::Result<()> = self.pipe.reader.read_exact(&mut bytes);
        read.expect("a pipe holds what was put into it");
        bytes.into()
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lent bytes", self.length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lent(bytes: &[u8]) -> Lent {
        let (reader, writer) = io::pipe().unwrap();
        let pipe = Pipe::new(reader, writer, 4096);
        pipe.writer().write_all(bytes).unwrap();
        pipe.filled(bytes.len())
    }

    #[test]
    fn what_is_lent_comes_out_as_it_went_in() {
        let mut some = lent(b"some bytes");
        let mut first = [0; 5];
        some.reader().read_exact(&mut first).unwrap();
        some.taken(5);
        assert_eq!((&first, some.len()), (b"some ", 5));
        assert_eq!(some.into_bytes(), b"bytes".as_slice());
    }

    #[test]
    fn a_pipe_is_used_again_only_when_it_is_empty() {
        assert!(lent(b"something").into_pipe().is_none());
        let mut taken = lent(b"1");
        taken.reader().read_exact(&mut [0]).unwrap();
        taken.taken(1);
        assert_eq!(taken.into_pipe().map(|pipe| pipe.room_bytes()), Some(4096));
    }
}
