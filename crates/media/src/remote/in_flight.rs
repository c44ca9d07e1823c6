//! The requests that have no answer yet, by the cookie under which the server knows them.

use bytes::BytesMut;
use hotbay_nbd::{Cookie, ErrorNumber};
use slab::Slab;
use tokio::sync::oneshot;

/// What a request came to: the bytes of a read, nothing for any other, or the server's no.
pub(super) type Answer = Result<BytesMut, ErrorNumber>;

/// A request without an answer.
#[derive(Debug)]
pub(super) struct Flight {
    /// Where the bytes of a read go, and how many there are.
    pub(super) into: BytesMut,
    pub(super) bytes: usize,
    /// It changes what is stored.
    pub(super) is_change: bool,
    pub(super) asker: oneshot::Sender<Answer>,
}

/// All of a connection.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    flights: Slab<(u32, Flight)>,
    serial: u32,
    changes: usize,
}

impl InFlight {
    /// Enters a request; gives the cookie to send it under.
    pub(super) fn add(&mut self, flight: Flight) -> Cookie {
        self.serial = self.serial.wrapping_add(1);
        self.changes += usize::from(flight.is_change);
        let place = self.flights.insert((self.serial, flight));
        let place = u32::try_from(place).expect("the places are few");
        Cookie(u64::from(self.serial) << 32 | u64::from(place))
    }

    /// Takes the request out that has this cookie; `None` where there is none: a cookie tells also a request from
    /// the one that had its place before.
    pub(super) fn take(&mut self, cookie: Cookie) -> Option<Flight> {
        let place = usize::try_from(cookie.0 & u64::from(u32::MAX)).ok()?;
        let is_it = |(serial, _): &(u32, Flight)| u64::from(*serial) == cookie.0 >> 32;
        self.flights.get(place).is_some_and(is_it).then(|| {
            let (_, flight) = self.flights.remove(place);
            self.changes -= usize::from(flight.is_change);
            flight
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(is_change: bool) -> Flight {
        Flight { into: BytesMut::new(), bytes: 0, is_change, asker: oneshot::channel().0 }
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
