//! The bounds of a server. The protocol's own are in `hotbay_nbd::limits`.

use std::time::Duration;

/// The bounds of a server; [`Limits::default`] serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections at once, with those that still negotiate. More wait in the listening sockets'
    /// backlog. Default 1024, at least 1.
    pub connections: usize,
    /// How long a client may take to negotiate. Default 30 s.
    pub handshake_deadline: Duration,
    /// The most requests of one session under way, or answered and not yet sent. At it the session stops
    /// reading. Default 256, at least 1.
    pub requests_per_session: usize,
    /// The most bytes that these requests carry, in either direction; one request is always let through.
    /// Default 128 MiB.
    pub bytes_per_session: usize,
    /// The most bytes that the requests of all sessions together carry. Beyond it a session has one request at a time, which
    /// every session may always have: who does not take replies holds up nobody else. Default 1 GiB.
    pub bytes_in_all: usize,
    /// How long a server that is being stopped waits for its sessions to answer what is under way.
    /// Default 30 s.
    pub stop_deadline: Duration,
    /// How long a session that has nothing to do looks for its client's next request before it sleeps. Meant
    /// for tens of microseconds; a processor is busy meanwhile. Default 0: not at all.
    pub busy_poll: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            handshake_deadline: Duration::from_secs(30),
            requests_per_session: 256,
            bytes_per_session: 128 << 20,
            bytes_in_all: 1 << 30,
            stop_deadline: Duration::from_secs(30),
            busy_poll: Duration::ZERO,
        }
    }
}
