//! A disk with a mood: it is slow, fails, hangs or goes, as its seed decides, or at an I/O that was scripted.

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{Error, ErrorKind, Identity, Reply, Request, Result};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::chance::Chance;
use super::platter::Platter;
use super::tape::Tape;

/// A kind of I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Read,
    /// A write, zeroes or a trim.
    Change,
    Flush,
    /// A look whether it is there.
    Presence,
    /// A look who it is.
    Identify,
    Open,
}

impl Op {
    pub fn of(request: &Request) -> Self {
        match request {
            Request::Read { .. } | Request::Cache { .. } => Self::Read,
            Request::Flush => Self::Flush,
            _ => Self::Change,
        }
    }
}

/// What happens at an I/O.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk goes. Any part of this I/O, and of what was not synced, has reached the platter.
    Gone,
    /// An error, with the disk still there. Of a flush: what was dirty is marked clean.
    Error,
    /// It is not answered before somebody lets it land.
    Hang,
}

/// Each is "one in so many I/Os"; 0 is never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mood {
    pub slow: u64,
    pub gone: u64,
    pub error: u64,
    pub hang: u64,
}

#[derive(Debug)]
struct State {
    platter: Platter,
    is_there: bool,
    /// Counts how often it was plugged in; a handle is good for one stay.
    stay: u64,
    handles: usize,
    handle_is_dead: bool,
    flush_failed: bool,
    mood: Mood,
    scripts: Vec<(Op, usize, Fault)>,
    chance: Chance,
    /// What hangs, in the order in which it began.
    hanging: Vec<oneshot::Sender<()>>,
    /// What must never happen and did.
    wrongs: Vec<&'static str>,
}

#[derive(Debug)]
pub struct Disk {
    pub serial: String,
    state: Mutex<State>,
    tape: Tape,
}

/// How an I/O goes.
#[derive(Debug)]
pub struct Course {
    pub fault: Option<Fault>,
    pub wait: Duration,
    pub landing: Option<oneshot::Receiver<()>>,
    flush: u64,
}

impl Course {
    pub fn is_at_once(&self) -> bool {
        self.wait.is_zero() && self.landing.is_none()
    }

    /// Waits as long as the I/O takes; true where it hung.
    pub async fn pass(&mut self) -> bool {
        if !self.wait.is_zero() {
            tokio::time::sleep(self.wait).await;
        }
        match &mut self.landing {
            // A sender that is gone lets it land as well.
            Some(landing) => {
                let _ = landing.await;
                true
            }
            None => false,
        }
    }
}

impl Disk {
    pub fn new(serial: &str, platter: Platter, chance: Chance, tape: Tape) -> Arc<Self> {
        let state = State {
            platter,
            is_there: true,
            stay: 0,
            handles: 0,
            handle_is_dead: false,
            flush_failed: false,
            mood: Mood::default(),
            scripts: Vec::new(),
            chance,
            hanging: Vec::new(),
            wrongs: Vec::new(),
        };
        Arc::new(Self { serial: serial.to_owned(), state: Mutex::new(state), tape })
    }

    /// What it holds now.
    pub fn platter(&self) -> Platter {
        self.state.lock().platter.clone()
    }

    pub fn size_bytes(&self) -> u64 {
        self.state.lock().platter.len() as u64
    }

    pub fn set_mood(&self, mood: Mood) {
        self.state.lock().mood = mood;
    }

    /// A fault at the `nth` I/O of a kind, from 0, from now on.
    pub fn script(&self, op: Op, nth: usize, fault: Fault) {
        self.state.lock().scripts.push((op, nth, fault));
    }

    /// Nothing more happens to it, and what hung lands.
    pub fn calm(&self) {
        let mut state = self.state.lock();
        state.mood = Mood::default();
        state.scripts.clear();
        state.hanging.clear();
    }

    pub fn let_land(&self) {
        self.state.lock().hanging.clear();
    }

    /// Takes it away; any part of what was not synced is on the platter.
    pub fn yank(&self) {
        self.state.lock().go();
    }

    /// Puts it within reach again. Handles from before stay dead.
    pub fn plug(&self) {
        let mut state = self.state.lock();
        if !state.is_there {
            state.is_there = true;
            state.stay += 1;
        }
    }

    /// Somebody else fills it with something.
    pub fn fill(&self, byte: u8) {
        let mut state = self.state.lock();
        state.platter = Platter::filled(state.platter.len(), byte);
    }

    /// Somebody puts another content on it; gives the one that it had on its platter.
    pub fn exchange_content(&self, content: Vec<u8>) -> Vec<u8> {
        let mut state = self.state.lock();
        let before = std::mem::replace(&mut state.platter, Platter::holding(content));
        before.durable().to_vec()
    }

    /// Whether it is away, and nothing that was under way can reach it any more.
    pub fn is_let_go(&self) -> bool {
        let state = self.state.lock();
        !state.is_there && state.handles == 0
    }

    /// Its power goes, while nobody uses it.
    pub fn lose_cache(&self) {
        let mut state = self.state.lock();
        let mut keep = state.chance.keeper();
        state.platter.lose_cache(&mut keep);
    }

    /// Another one of its size, with something else on it.
    pub fn stranger(&self, byte: u8, mut chance: Chance) -> Arc<Self> {
        let serial = format!("{}-{:x}", self.serial, chance.next());
        let platter = Platter::filled(self.state.lock().platter.len(), byte);
        Self::new(&serial, platter, chance, self.tape.clone())
    }

    /// Whether a handle is open that is as good as ever.
    pub fn is_in_use(&self) -> bool {
        let state = self.state.lock();
        state.handles > 0 && !state.handle_is_dead
    }

    pub fn is_there(&self) -> bool {
        self.state.lock().is_there
    }

    pub fn take_wrongs(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.state.lock().wrongs)
    }

    pub(super) fn identity(&self, location: &str) -> Identity {
        Identity {
            size_bytes: self.size_bytes(),
            content: Vec::new(),
            hardware: Some(format!("serial:{}", self.serial)),
            file: None,
            location: location.to_owned(),
        }
    }

    /// Opens it; gives the number of the stay that the handle is good for.
    pub(super) fn open(&self) -> Result<u64> {
        let mut state = self.state.lock();
        if !state.is_there {
            return Err(Error::new(ErrorKind::Gone, "it is not there"));
        }
        if state.handles > 0 {
            state.wrongs.push("it was opened while it was open");
            return Err(Error::new(ErrorKind::Medium, "it is in use"));
        }
        state.handles += 1;
        state.handle_is_dead = false;
        state.flush_failed = false;
        Ok(state.stay)
    }

    pub(super) fn close(&self) {
        self.state.lock().handles -= 1;
    }

    pub(super) fn presence(&self, stay: u64) -> Result<()> {
        self.state.lock().presence(stay)
    }

    /// An I/O begins.
    pub(super) fn begin(&self, op: Op) -> Course {
        if matches!(op, Op::Change | Op::Flush) {
            self.tape.note(match op {
                Op::Flush => "a flush begins",
                _ => "a change begins",
            });
        }
        let mut state = self.state.lock();
        let fault = state.next_fault(op);
        let slow = state.mood.slow;
        let wait = match state.chance.one_in(slow) {
            true => state.chance.up_to(Duration::from_millis(40)),
            false => Duration::ZERO,
        };
        let landing = (fault == Some(Fault::Hang)).then(|| state.hang());
        let flush = match op {
            Op::Flush => {
                if state.flush_failed {
                    state.wrongs.push("it was flushed after a flush had failed");
                }
                state.platter.begin_flush()
            }
            _ => 0,
        };
        Course { fault, wait, landing, flush }
    }

    /// An I/O ends. One that hung lands on whatever is there by then.
    pub(super) fn end(
        &self,
        request: Request,
        course: &Course,
        stay: u64,
        has_hung: bool,
    ) -> Result<Reply> {
        if matches!(Op::of(&request), Op::Change | Op::Flush) {
            self.tape.note(match &request {
                Request::Flush => "a flush ends",
                _ => "a change ends",
            });
        }
        let mut state = self.state.lock();
        if has_hung && state.is_there && request.is_change() {
            state.platter.change(&request, &mut || true);
        }
        state.presence(stay)?;
        match course.fault {
            Some(Fault::Gone) => Err(state.fail_and_go(&request, course.flush)),
            Some(Fault::Error) => Err(state.fail(&request, course.flush)),
            Some(Fault::Hang) | None => Ok(state.carry_out(request, course.flush)),
        }
    }
}

impl State {
    /// Ends when what hangs is let land.
    fn hang(&mut self) -> oneshot::Receiver<()> {
        let (hanging, landing) = oneshot::channel();
        self.hanging.push(hanging);
        landing
    }

    fn presence(&self, stay: u64) -> Result<()> {
        match self.is_there && self.stay == stay {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Gone, "the disk is gone")),
        }
    }

    fn next_fault(&mut self, op: Op) -> Option<Fault> {
        let mut due = None;
        for (place, (kind, nth, _)) in self.scripts.iter_mut().enumerate() {
            if *kind == op {
                match nth {
                    0 => due = Some(place),
                    _ => *nth -= 1,
                }
            }
        }
        if let Some(place) = due {
            return Some(self.scripts.remove(place).2);
        }
        let Mood { gone, error, hang, .. } = self.mood;
        let odds = [(gone, Fault::Gone), (error, Fault::Error), (hang, Fault::Hang)];
        odds.into_iter().find(|&(times, _)| self.chance.one_in(times)).map(|(_, fault)| fault)
    }

    fn carry_out(&mut self, request: Request, flush: u64) -> Reply {
        match request {
            Request::Read { extent, mut buffer, .. } => {
                buffer.clear();
                buffer.extend_from_slice(&self.platter.read(extent));
                Reply::Data(buffer.freeze().into())
            }
            Request::Cache { .. } => Reply::Done,
            Request::Flush => {
                self.platter.end_flush(flush);
                Reply::Done
            }
            change => {
                self.platter.change(&change, &mut || true);
                if self.chance.one_in(8) {
                    self.platter.write_back(self.chance.next());
                }
                Reply::Done
            }
        }
    }

    fn fail_and_go(&mut self, request: &Request, flush: u64) -> Error {
        let mut keep = self.chance.keeper();
        match request {
            Request::Flush => self.platter.fail_flush(flush, &mut keep),
            _ if request.is_change() => self.platter.change(request, &mut keep),
            _ => {}
        }
        self.go();
        Error::new(ErrorKind::Gone, "the disk is gone")
    }

    fn fail(&mut self, request: &Request, flush: u64) -> Error {
        if let Request::Flush = request {
            let mut keep = self.chance.keeper();
            self.platter.fail_flush(flush, &mut keep);
            self.flush_failed = true;
            self.handle_is_dead = true;
        }
        Error::new(ErrorKind::Medium, "the disk has an error")
    }

    fn go(&mut self) {
        self.is_there = false;
        self.handle_is_dead = true;
        let mut keep = self.chance.keeper();
        self.platter.lose_cache(&mut keep);
    }
}
