//! Pipes that are offered with long READs, used again and again.
//!
//! What a device lends goes from its page cache to the socket without a copy (see [`Lent`](hotbay_block::Lent)). Not every
//! device lends, and one that does may have nothing to lend now: after some READs in a row of which nothing was lent a pipe is offered from
//! time to time only, since to make one costs as much as a short read.

use hotbay_block::Pipe;
use rustix::pipe::fcntl_setpipe_size;

/// The most requests that are taken and not answered with which one more READ is offered a pipe: a bound on the pipes of a session.
const TAKEN_MAX: usize = 8;
/// The bytes that go into a pipe. The system lets nobody but root have more.
const ROOM_BYTES: usize = 1 << 20;
/// So many READs in a row that were offered a pipe for nothing show that there is nothing to lend.
const MISSES: u32 = 4;
/// Of so many READs one is offered a pipe then.
const OFFERED_ONE_IN: u32 = 16;

/// The pipes of a session.
#[derive(Debug)]
pub(super) struct Pipes {
    spare: Vec<Pipe>,
    /// The READs that were offered a pipe since one made use of it.
    misses: u32,
    passed_over: u32,
    /// The system gives none.
    are_refused: bool,
}

impl Pipes {
    /// None yet; for a stream that takes bytes from a pipe, or one that does not.
    pub(super) const fn new(stream_takes_them: bool) -> Self {
        let are_refused = !stream_takes_them;
        Self { spare: Vec::new(), misses: 0, passed_over: 0, are_refused }
    }

    /// A pipe for a READ of so many bytes, with so many requests not answered, where one is worth it.
    pub(super) fn offer(&mut self, length: u64, taken: usize) -> Option<Pipe> {
        if self.are_refused || length > ROOM_BYTES as u64 || taken >= TAKEN_MAX {
            return None;
        }
        if !self.are_used() {
            self.passed_over += 1;
            if !self.passed_over.is_multiple_of(OFFERED_ONE_IN) {
                return None;
            }
        }
        let pipe = self.spare.pop().or_else(make);
        self.are_refused = pipe.is_none();
        pipe
    }

    /// Whether what is offered is used, as far as is known.
    pub(super) const fn are_used(&self) -> bool {
        self.misses < MISSES
    }

    /// A READ that was offered a pipe is answered.
    pub(super) const fn note(&mut self, is_lent: bool) {
        self.misses = if is_lent { 0 } else { self.misses.saturating_add(1) };
    }

    /// Takes a pipe back.
    pub(super) fn take_back(&mut self, pipe: Pipe) {
        if self.spare.len() < TAKEN_MAX {
            self.spare.push(pipe);
        }
    }

    /// Whether some are kept.
    pub(super) const fn are_kept(&self) -> bool {
        !self.spare.is_empty()
    }

    /// Lets go of all that are not out.
    pub(super) fn release(&mut self) {
        self.spare = Vec::new();
    }
}

fn make() -> Option<Pipe> {
    let (reader, writer) = std::io::pipe().ok()?;
    let room_bytes = fcntl_setpipe_size(&writer, ROOM_BYTES).ok()?;
    (room_bytes >= ROOM_BYTES).then(|| Pipe::new(reader, writer, ROOM_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: u64 = ROOM_BYTES as u64;

    #[test]
    fn a_pipe_is_used_again_and_their_number_is_bounded() {
        let mut pipes = Pipes::new(true);
        assert!(pipes.offer(LONG + 1, 0).is_none());
        assert!(pipes.offer(LONG, TAKEN_MAX).is_none());
        for _ in 0..2 * TAKEN_MAX {
            pipes.take_back(make().unwrap());
        }
        assert_eq!(pipes.spare.len(), TAKEN_MAX);
        drop(pipes.offer(LONG, 0).unwrap());
        assert_eq!(pipes.spare.len(), TAKEN_MAX - 1);
        assert!(pipes.are_kept());
        pipes.release();
        assert!(!pipes.are_kept());
        assert!(Pipes::new(false).offer(LONG, 0).is_none());
    }

    #[test]
    fn who_does_not_lend_is_seldom_asked() {
        let mut pipes = Pipes::new(true);
        let mut offered = |lends: bool| {
            let count = (0..160).filter(|_| {
                let pipe = pipes.offer(LONG, 0);
                if pipe.is_some() {
                    pipes.note(lends);
                }
                pipe.is_some()
            });
            count.count()
        };
        assert_eq!(offered(true), 160);
        assert_eq!(offered(false), 4 + 156 / 16);
        assert!(offered(true) >= 160 - 16);
    }

    #[test]
    fn who_lends_now_and_then_is_always_asked() {
        let mut pipes = Pipes::new(true);
        for read in 0..40 {
            assert!(pipes.offer(LONG, 0).is_some());
            pipes.note(read % 4 == 0);
        }
    }
}
