//! One session: as many requests under way as it may have, with few system calls.
//!
//! In each turn it asks for as much as the depth leaves room for, sends all of it with one call, and receives what there is
//! with one call. Both directions are always open: while there is something to be sent that the socket does not take, it
//! waits for either, since a server may stop receiving until its answers are taken.
//!
//! A latency is from before the call that sends the request to after the call that receives the last byte of its answer.

use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hotbay_nbd::{Command, CommandFlags, Cookie, Dialect, RequestHeader, SimpleReply};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::time::{ClockId, clock_gettime};

use super::connection::Connection;
use super::load::Load;
use super::measured::{Ended, Kind, Measured};
use super::order::Blocks;
use crate::failure::Failure;

/// What is received at a time: large enough for a batch of answers, small enough to stay in a core's cache.
const RECEIVED_BYTES: usize = 256 << 10;

/// Requests that go out with one call; the system takes 1024 pieces, and a write has two.
const SENT_AT_ONCE: usize = 512;

/// How often a session that waits looks whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LOOK_EVERY_TIMESPEC: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };

/// A server that is silent for so long is given up.
const PATIENCE: Duration = Duration::from_mins(2);

/// A session at work.
pub(super) struct Session<'a> {
    connection: Connection,
    load: &'a Load,
    payload: &'a [u8],
    number: usize,
    blocks: Blocks,
    chance: fastrand::Rng,
    /// How many blocks are still to be asked for.
    left: u64,
    writes_since_flush: u32,
    /// What is under way, by cookie.
    slots: Vec<Option<Asked>>,
    free: Vec<usize>,
    outgoing: Outgoing,
    incoming: Incoming,
    last_answer: Instant,
    measured: Measured,
}

/// A request that is under way.
#[derive(Clone, Copy, Debug)]
struct Asked {
    kind: Kind,
    offset: u64,
    at: Instant,
}

/// Requests that are to be sent.
#[derive(Debug, Default)]
struct Outgoing {
    headers: Vec<([u8; RequestHeader::BYTES], Kind)>,
    /// How many of them are gone.
    sent: usize,
    /// How many bytes of the next one, its payload with it, are gone.
    bytes_sent: usize,
}

/// What was received.
#[derive(Debug)]
struct Incoming {
    buffer: Vec<u8>,
    /// Bytes at the front that are the beginning of a reply.
    kept: usize,
    /// The answer whose bytes are being received, and how many there are still to come.
    data: Option<(usize, usize)>,
}

impl<'a> Session<'a> {
    /// Session `number` of the load.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn new(
        connection: Connection,
        load: &'a Load,
        payload: &'a [u8],
        number: usize,
    ) -> Result<Self, Failure> {
        connection.set_patience(LOOK_EVERY).map_err(|error| lost(number, &error))?;
        let (place, sessions) = (number as u64, load.sessions as u64);
        Ok(Self {
            connection,
            load,
            payload,
            number,
            blocks: Blocks::new(load.order, load.blocks, place, sessions),
            chance: fastrand::Rng::with_seed(place),
            left: load.share(number),
            writes_since_flush: 0,
            slots: vec![None; load.depth],
            free: (0..load.depth).rev().collect(),
            outgoing: Outgoing::default(),
            incoming: Incoming { buffer: vec![0; RECEIVED_BYTES], kept: 0, data: None },
            last_answer: Instant::now(),
            measured: Measured::new(),
        })
    }

    /// Asks until `end`, or until `stop` is set, and waits for the answers. One that fails stops the others.
    pub(super) fn run(mut self, end: Instant, stop: &AtomicBool) -> Ended {
        let before = thread_cpu();
        let failure = self.drive(end, stop).err();
        if failure.is_some() {
            stop.store(true, Ordering::Relaxed);
        }
        Ended { measured: self.measured, cpu: thread_cpu().saturating_sub(before), failure }
    }

    fn drive(&mut self, end: Instant, stop: &AtomicBool) -> Result<(), Failure> {
        self.last_answer = Instant::now();
        loop {
            let now = Instant::now();
            if now < end && !stop.load(Ordering::Relaxed) {
                self.ask(now);
            }
            if self.free.len() == self.slots.len() {
                return Ok(());
            }
            let all_is_sent = self.send().map_err(|error| lost(self.number, &error))?;
            self.receive(all_is_sent)?;
        }
    }

    /// Fills the depth.
    fn ask(&mut self, now: Instant) {
        while self.left > 0 {
            let Some(slot) = self.free.pop() else { return };
            let kind = self.next_kind();
            let (command, flags) = match kind {
                Kind::Read => (Command::Read, CommandFlags::NONE),
                Kind::Write => (Command::Write, self.load.write_flags),
                Kind::Flush => (Command::Flush, CommandFlags::NONE),
            };
            let (offset, length) = match kind {
                Kind::Flush => (0, 0),
                Kind::Read | Kind::Write => {
                    self.left -= 1;
                    let block = self.blocks.next();
                    let offset = self.load.offset + block * u64::from(self.load.block_bytes);
                    (offset, self.load.block_bytes)
                }
            };
            let (cookie, length) = (Cookie(slot as u64), length.into());
            self.outgoing.add(RequestHeader { command, flags, cookie, offset, length }, kind);
            if let Some(place) = self.slots.get_mut(slot) {
                *place = Some(Asked { kind, offset, at: now });
            }
        }
    }

    fn next_kind(&mut self) -> Kind {
        if self.load.flush_every.is_some_and(|writes| self.writes_since_flush >= writes) {
            self.writes_since_flush = 0;
            return Kind::Flush;
        }
        let writes = match self.load.writes_percent {
            0 => false,
            100 => true,
            percent => self.chance.u8(0..100) < percent,
        };
        if writes {
            self.writes_since_flush = self.writes_since_flush.saturating_add(1);
            Kind::Write
        } else {
            Kind::Read
        }
    }

    /// Sends what the socket takes; whether that is all.
    fn send(&mut self) -> io::Result<bool> {
        while !self.outgoing.is_empty() {
            let pieces = self.outgoing.pieces(self.payload);
            match self.connection.send(&pieces) {
                Ok(bytes) => self.outgoing.went(bytes, self.payload.len()),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(false),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        self.connection.flush()
    }

    /// Receives what there is, and waits where there is nothing.
    fn receive(&mut self, all_is_sent: bool) -> Result<(), Failure> {
        let flags = if all_is_sent {
            RecvFlags::empty()
        } else {
            let either = PollFlags::IN | PollFlags::OUT;
            let mut sockets = [PollFd::new(&self.connection, either)];
            match poll(&mut sockets, Some(&LOOK_EVERY_TIMESPEC)) {
                Ok(_) | Err(Errno::INTR) => RecvFlags::DONTWAIT,
                Err(error) => return Err(lost(self.number, &error)),
            }
        };
        let room = self.incoming.buffer.get_mut(self.incoming.kept..).unwrap_or_default();
        match self.connection.receive(room, flags) {
            Ok(0) => Err(lost(self.number, &"the server closed it")),
            Ok(bytes) => self.take(bytes, Instant::now()),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => Ok(()),
                io::ErrorKind::WouldBlock if self.last_answer.elapsed() < PATIENCE => Ok(()),
                io::ErrorKind::WouldBlock => {
                    let seconds = PATIENCE.as_secs();
                    let silent = format_args!("the server has said nothing for {seconds} s");
                    Err(lost(self.number, &silent))
                }
                _ => Err(lost(self.number, &error)),
            },
        }
    }

    /// Takes the answers in what was received.
    fn take(&mut self, bytes: usize, now: Instant) -> Result<(), Failure> {
        let end = self.incoming.kept + bytes;
        let mut place = 0;
        loop {
            if let Some((slot, missing)) = self.incoming.data {
                let there = missing.min(end - place);
                place += there;
                if there < missing {
                    self.incoming.data = Some((slot, missing - there));
                    break;
                }
                self.incoming.data = None;
                self.answered(slot, now);
            }
            let mut rest = self.incoming.buffer.get(place..end).unwrap_or_default();
            let Some(reply) = SimpleReply::decode(&mut rest).map_err(|wrong| {
                lost(self.number, &format_args!("the server lost step: {wrong}"))
            })?
            else {
                break;
            };
            place += SimpleReply::BYTES;
            self.reply(reply, now)?;
        }
        self.incoming.buffer.copy_within(place..end, 0);
        self.incoming.kept = end - place;
        self.last_answer = now;
        Ok(())
    }

    fn reply(&mut self, reply: SimpleReply, now: Instant) -> Result<(), Failure> {
        let slot = usize::try_from(reply.cookie.0).unwrap_or(usize::MAX);
        let Some(Some(asked)) = self.slots.get(slot).copied() else {
            return Err(lost(self.number, &"the server answered what was not asked"));
        };
        match reply.result {
            Ok(()) if asked.kind == Kind::Read => {
                self.incoming.data = Some((slot, self.load.block_bytes as usize));
            }
            Ok(()) => self.answered(slot, now),
            Err(error) => {
                self.measured.refused(asked.kind, asked.offset, error);
                self.release(slot);
            }
        }
        Ok(())
    }

    fn answered(&mut self, slot: usize, now: Instant) {
        if let Some(asked) = self.release(slot) {
            self.measured.answered(asked.kind, now.duration_since(asked.at));
        }
    }

    fn release(&mut self, slot: usize) -> Option<Asked> {
        let asked = self.slots.get_mut(slot)?.take()?;
        self.free.push(slot);
        Some(asked)
    }
}

impl Outgoing {
    fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    fn add(&mut self, header: RequestHeader, kind: Kind) {
        let mut bytes = [0; RequestHeader::BYTES];
        header.encode(&mut bytes.as_mut_slice(), Dialect::Simple);
        self.headers.push((bytes, kind));
    }

    /// What is to be sent with one call.
    fn pieces<'b>(&'b self, payload: &'b [u8]) -> Vec<IoSlice<'b>> {
        let waiting = self.headers.get(self.sent..).unwrap_or_default();
        let mut pieces = Vec::with_capacity(2 * waiting.len().min(SENT_AT_ONCE));
        let mut gone = self.bytes_sent;
        for (header, kind) in waiting.iter().take(SENT_AT_ONCE) {
            let payload = if *kind == Kind::Write { payload } else { &[] };
            for piece in [header.as_slice(), payload] {
                let left = piece.get(gone..).unwrap_or_default();
                gone = gone.saturating_sub(piece.len());
                if !left.is_empty() {
                    pieces.push(IoSlice::new(left));
                }
            }
        }
        pieces
    }

    /// So many bytes are gone.
    fn went(&mut self, bytes: usize, payload_bytes: usize) {
        self.bytes_sent += bytes;
        while let Some((header, kind)) = self.headers.get(self.sent) {
            let whole = header.len() + if *kind == Kind::Write { payload_bytes } else { 0 };
            if self.bytes_sent < whole {
                return;
            }
            self.bytes_sent -= whole;
            self.sent += 1;
        }
        self.headers.clear();
        self.sent = 0;
    }
}

fn lost(session: usize, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("session {session} is lost: {why}"))
}

/// What this thread has used of a processor.
fn thread_cpu() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(used.tv_sec).unwrap_or_default(),
        u32::try_from(used.tv_nsec).unwrap_or_default(),
    )
}
