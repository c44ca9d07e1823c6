//! The requests that have no answer yet, by the cookie under which the server knows them.

use bytes::BytesMut;
use hotbay_nbd::Cookie;
use hotbay_nbd::client::{Answering, Refusal};
use slab::Slab;
use tokio::sync::oneshot;

/// What a request came to, or the server's no.
pub(super) type Answer = Result<Given, Refusal>;

/// What a request came to.
#[derive(Debug)]
pub(super) struct Given {
    /// Of a read.
    pub(super) bytes: BytesMut,
    /// Of a block status: how many bytes, and what is said of them.
    pub(super) extents: Vec<(u64, u64)>,
}

/// A request without an answer.
#[derive(Debug)]
pub(super) struct Flight {
    /// What of the answer is there.
    pub(super) answering: Answering,
    /// Where the bytes of a read go, and how many there will be.
    pub(super) into: BytesMut,
    pub(super) bytes: usize,
    /// It changes what is stored.
    pub(super) is_change: bool,
    pub(super) asker: oneshot::Sender<Answer>,
}

/// All of a connection.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    flights: Slab<(u32, Lent)>,
    serial: u32,
    changes: usize,
}

/// A request, or `None` while what comes of its answer is being taken.
type Lent = Option<Flight>;

impl InFlight {
    /// Enters a request; gives the cookie to send it under.
    pub(super) fn add(&mut self, flight: Flight) -> Cookie {
        self.serial = self.serial.wrapping_add(1);
        self.changes += usize::from(flight.is_change);
        let place = self.flights.insert((self.serial, Some(flight)));
        let place = u32::try_from(place).expect("the places are few");
        Cookie(u64::from(self.serial) << 32 | u64::from(place))
    }

    /// Takes the request out that has this cookie; `None` where there is none: a cookie tells also a request from
    /// the one that had its place before.
    pub(super) fn take(&mut self, cookie: Cookie) -> Option<Flight> {
        let flight = self.lent(cookie)?.take()?;
        self.flights.remove(place_of(cookie)?);
        self.changes -= usize::from(flight.is_change);
        Some(flight)
    }

    /// Lends the request that has this cookie, which still counts; `None` where there is none.
    pub(super) fn lend(&mut self, cookie: Cookie) -> Option<Flight> {
        self.lent(cookie)?.take()
    }

    /// Takes back what was lent.
    pub(super) fn give_back(&mut self, cookie: Cookie, flight: Flight) {
        if let Some(lent) = self.lent(cookie) {
            *lent = Some(flight);
        }
    }

    fn lent(&mut self, cookie: Cookie) -> Option<&mut Lent> {
        let (serial, lent) = self.flights.get_mut(place_of(cookie)?)?;
        (u64::from(*serial) == cookie.0 >> 32).then_some(lent)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.flights.len()
    }

    /// How many of them change what is stored.
    pub(super) fn changes(&self) -> usize {
        self.changes
    }

    /// Lets go of all: who asked learns that there will be no answer.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn place_of(cookie: Cookie) -> Option<usize> {
    usize::try_from(cookie.0 & u64::from(u32::MAX)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotbay_nbd::{Command, CommandFlags, Dialect, RequestHeader};

    fn flight(is_change: bool) -> Flight {
        let header = RequestHeader {
            command: Command::Flush,
            flags: CommandFlags::NONE,
            cookie: Cookie(0),
            offset: 0,
            length: 0,
        };
        let answering = Answering::to(&header, Dialect::Simple, None);
        Flight {
            answering,
            into: BytesMut::new(),
            bytes: 0,
            is_change,
            asker: oneshot::channel().0,
        }
    }

    #[test]
    fn what_is_lent_counts_and_is_lent_once() {
        let mut all = InFlight::default();
        let cookie = all.add(flight(true));
        let lent = all.lend(cookie).unwrap();
        assert!(all.lend(cookie).is_none() && all.take(cookie).is_none());
        assert_eq!((all.count(), all.changes()), (1, 1));
        all.give_back(cookie, lent);
        assert!(all.take(cookie).is_some());
        assert_eq!((all.count(), all.changes()), (0, 0));
    }

    #[test]
    fn a_cookie_is_good_for_one_answer() {
        let mut all = InFlight::default();
        let first = all.add(flight(true));
        let second = all.add(flight(false));
        assert_eq!((all.count(), all.changes()), (2, 1));
        assert!(all.take(first).is_some());
        assert!(all.take(first).is_none());
        let third = all.add(flight(true));
        assert_ne!(first, third, "though it has the first one's place");
        assert!(all.take(first).is_none());
        assert!(all.take(Cookie(u64::MAX)).is_none());
        assert!(all.take(second).is_some());
        assert!(all.take(third).is_some());
        assert_eq!((all.count(), all.changes()), (0, 0));
    }
}
