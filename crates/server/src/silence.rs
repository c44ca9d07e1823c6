//! Whether a client over TCP is still there while it owes acknowledgements.
//!
//! The kernel's keep-alive asks after an idle client alone. While replies are on their way it sends those again instead, for about
//! 15 min; where the client's window is closed, it asks from time to time whether that is open, as often. TCP_USER_TIMEOUT would
//! make either shorter, and end a client that lives as well: since Linux 5.11 it also counts the time that a window is closed,
//! though each question is answered. So the kernel is asked what it knows: how long it has heard nothing at all, and how often
//! it has tried in vain. A client that does not take its replies answers each question, and is left alone.

use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::sys;

/// How long a client may be silent that owes acknowledgements; as long as one that is idle, see `listener`.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// How often in vain the kernel has to have tried, too. Where a window is closed it asks ever less often, down to every 2 min.
const TRIES: u8 = 3;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// What the kernel knows of the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// When anything was acknowledged last, if only that the window is closed.
    pub(crate) since: Duration,
    /// Segments that were sent and not acknowledged.
    pub(crate) unacknowledged: u32,
    /// How often they were sent again, with nothing of them acknowledged since.
    pub(crate) sent_again: u8,
    /// How often it was asked whether a window is open, with no answer since.
    pub(crate) asked: u8,
}

impl Heard {
    /// Whether nobody can be there any more.
    fn is_silence(&self) -> bool {
        let tried = if self.unacknowledged > 0 { self.sent_again } else { self.asked };
        self.since >= SILENCE_MAX && tried >= TRIES
    }
}

/// Looks from time to time, while there is something to wait for.
#[derive(Debug)]
pub(crate) struct Silence(Pin<Box<Sleep>>);

impl Silence {
    /// Of a connection that begins.
    pub(crate) fn new() -> Self {
        Self(Box::pin(sleep(LOOK_EVERY)))
    }

    /// To be called whenever the socket is waited for: ready, with the error to end the connection with, when its client is gone.
    pub(crate) fn poll(
        &mut self,
        socket: BorrowedFd<'_>,
        context: &mut Context<'_>,
    ) -> Poll<io::Error> {
        while self.0.as_mut().poll(context).is_ready() {
            // Of a socket that tells nothing, what comes next will tell.
            if let Ok(heard) = sys::heard(socket)
                && heard.is_silence()
            {
                let seconds = heard.since.as_secs();
                let what = format!("the client has acknowledged nothing for {seconds} s");
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, what));
            }
            self.0.as_mut().reset(Instant::now() + LOOK_EVERY);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn heard(seconds: u64, unacknowledged: u32, sent_again: u8, asked: u8) -> Heard {
        Heard { since: Duration::from_secs(seconds), unacknowledged, sent_again, asked }
    }

    #[test]
    fn who_owes_nothing_or_answers_is_there() {
        for (heard, is_silence) in [
            // Idle, which is the keep-alive's.
            (heard(3600, 0, 0, 0), false),
            // Vanished amid replies: a short time ago, and long enough.
            (heard(60, 9, 8, 0), false),
            (heard(90, 9, 8, 0), true),
            // Sent a moment ago, after a long time without a word.
            (heard(3600, 1, 0, 0), false),
            (heard(3600, 1, 2, 0), false),
            // A closed window: each question is answered, also where they are 2 min apart.
            (heard(119, 0, 0, 0), false),
            (heard(119, 0, 0, 1), false),
            (heard(240, 0, 0, 2), false),
            // Not any more.
            (heard(360, 0, 0, 3), true),
            // What was sent again earlier says nothing of a window that is closed now.
            (heard(119, 0, 5, 1), false),
        ] {
            assert_eq!(heard.is_silence(), is_silence, "{heard:?}");
        }
    }

    #[tokio::test]
    async fn the_kernel_tells_of_a_tcp_connection_and_of_no_other() {
        use std::os::fd::AsFd;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connected, accepted) =
            tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
        let (_client, (server, _)) = (connected.unwrap(), accepted.unwrap());
        let known = sys::heard(server.as_fd()).unwrap();
        assert!(known.since < SILENCE_MAX && known.unacknowledged == 0, "{known:?}");
        let (local, _other) = tokio::net::UnixStream::pair().unwrap();
        sys::heard(local.as_fd()).unwrap_err();
    }
}
