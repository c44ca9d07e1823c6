//! What is known of a connection, from its first request to beyond its end.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use hotbay_nbd::Cookie;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::in_flight::{Flight, InFlight};

/// The most requests without an answer on a connection; more wait for their turn.
pub(super) const IN_FLIGHT_MAX: usize = 128;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nobody wanted anything of it any more.
    LetGo,
    /// The server on this machine closed it, or died.
    Closed,
    /// It broke, and not by the server, as far as can be told: a tunnel or a router closes connections too. Or the
    /// server lost step. What the server does with it is not known.
    Broken,
}

/// The end of a connection.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) how: Ending,
    pub(super) why: String,
    /// Changes had no answer: the server may still carry them out.
    pub(super) in_doubt: bool,
}

/// Shared by the connection's task and all who ask something of it.
#[derive(Debug)]
pub(super) struct Life {
    book: Mutex<Book>,
    has_ended: AtomicBool,
    /// Told when a request has been answered.
    pub(super) answered: Notify,
}

#[derive(Debug)]
struct Book {
    in_flight: InFlight,
    end: Option<End>,
}

impl Life {
    pub(super) fn new() -> Self {
        let book = Book { in_flight: InFlight::default(), end: None };
        Self { book: Mutex::new(book), has_ended: AtomicBool::new(false), answered: Notify::new() }
    }

    /// Enters requests that are about to be sent.
    pub(super) fn enter(&self, requests: impl FnOnce(&mut InFlight)) {
        requests(&mut self.book.lock().in_flight);
    }

    /// Lends the request of which a part of the answer has come; `None` where there is none with this cookie.
    pub(super) fn lend(&self, cookie: Cookie) -> Option<Flight> {
        self.book.lock().in_flight.lend(cookie)
    }

    /// Takes back what was lent.
    pub(super) fn give_back(&self, cookie: Cookie, flight: Flight) {
        self.book.lock().in_flight.give_back(cookie, flight);
    }

    /// Takes out the request that is being answered; `None` where there is none with this cookie.
    pub(super) fn take(&self, cookie: Cookie) -> Option<Flight> {
        let mut book = self.book.lock();
        let flight = book.in_flight.take(cookie);
        drop(book);
        self.answered.notify_one();
        flight
    }

    /// How many requests more may be sent.
    pub(super) fn room(&self) -> usize {
        IN_FLIGHT_MAX.saturating_sub(self.book.lock().in_flight.count())
    }

    /// Whether every request has its answer.
    pub(super) fn is_idle(&self) -> bool {
        self.book.lock().in_flight.count() == 0
    }

    /// Ends it: who waits for an answer learns that there will be none. `current` is the request whose answer was being taken.
    pub(super) fn finish(&self, how: Ending, why: String, current: Option<&Flight>) {
        let mut book = self.book.lock();
        let in_doubt =
            book.in_flight.changes() > 0 || current.is_some_and(|flight| flight.is_change);
        book.end.get_or_insert(End { how, why, in_doubt });
        self.has_ended.store(true, SeqCst);
        // Who is told finds the end there.
        let mut in_flight = std::mem::take(&mut book.in_flight);
        drop(book);
        in_flight.clear();
    }

    /// Whether it has ended; cheaper than to ask how.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(SeqCst)
    }

    /// How it ended, where it has.
    pub(super) fn end(&self) -> Option<End> {
        self.book.lock().end.clone()
    }
}
