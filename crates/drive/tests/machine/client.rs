//! A client at work, which keeps account of what it was told.

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{Device, Durability, Error, ErrorKind, Extent, Hole, Reply, Request};
use parking_lot::Mutex;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

use super::chance::Chance;
use super::ledger::{Begun, Ledger, payload};
use super::tape::Tape;
use super::{PLACE_BYTES, STUCK};

/// How a client works.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// The longest extent, in places.
    pub longest: u64,
    /// The longest rest between two requests.
    pub rest: Duration,
    /// One in so many requests is a flush.
    pub flushes: u64,
    /// Errors that a disk's own errors excuse.
    pub excuses: &'static [ErrorKind],
}

pub struct Client {
    pub device: Arc<dyn Device>,
    pub ledger: Arc<Mutex<Ledger>>,
    pub chance: Chance,
    pub habits: Habits,
    pub tape: Tape,
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Write,
    WriteThrough,
    Zero,
    Trim,
    Read,
}

const ACTS: [(u64, Act); 5] =
    [(10, Act::Write), (2, Act::WriteThrough), (1, Act::Zero), (1, Act::Trim), (4, Act::Read)];

impl Client {
    /// Works until it is dropped, or finds something wrong.
    pub async fn work(mut self) -> String {
        loop {
            if let Err(wrong) = self.request().await {
                return wrong;
            }
            self.rest().await;
        }
    }

    /// So many requests, one after the other.
    pub async fn work_off(&mut self, requests: usize) -> Result<(), String> {
        for _ in 0..requests {
            self.request().await?;
            self.rest().await;
        }
        Ok(())
    }

    pub async fn request(&mut self) -> Result<(), String> {
        if self.chance.one_in(self.habits.flushes) {
            return self.flush().await;
        }
        let extent = self.extent();
        match self.chance.weighed(&ACTS) {
            Act::Read => self.read(extent).await,
            Act::Write => self.write(extent, Durability::Deferred).await,
            Act::WriteThrough => self.write(extent, Durability::Stable).await,
            Act::Zero => {
                let (hole, durability) = (Hole::Allowed, Durability::Deferred);
                self.zero(extent, Request::zero(extent, hole, durability)).await
            }
            Act::Trim => {
                let durability = Durability::Deferred;
                self.zero(extent, Request::Trim { extent, durability }).await
            }
        }
    }

    async fn rest(&mut self) {
        match self.chance.one_in(2) {
            true => yield_now().await,
            false => sleep(self.chance.up_to(self.habits.rest)).await,
        }
    }

    fn extent(&mut self) -> Extent {
        let places = self.ledger.lock().places();
        let length = 1 + self.chance.below(self.habits.longest.min(places));
        let from = self.chance.below(places - length + 1);
        Extent::new(from * PLACE_BYTES, length * PLACE_BYTES).unwrap()
    }

    pub async fn write(&mut self, extent: Extent, durability: Durability) -> Result<(), String> {
        let begun = self.ledger.lock().begin_write(extent);
        let data = payload(begun).into();
        self.change(begun, Request::Write { extent, data, durability }).await
    }

    async fn zero(&mut self, extent: Extent, request: Request) -> Result<(), String> {
        let begun = self.ledger.lock().begin_zeroes(extent);
        self.change(begun, request).await
    }

    async fn change(&mut self, begun: Begun, request: Request) -> Result<(), String> {
        let stable = request.durability() == Some(Durability::Stable);
        let answer = self.ask(request).await?;
        self.ledger.lock().end_change(begun, answer.is_some(), stable);
        Ok(())
    }

    pub async fn flush(&mut self) -> Result<(), String> {
        let begun = self.ledger.lock().begin_flush();
        if self.ask(Request::Flush).await?.is_some() {
            self.ledger.lock().end_flush(begun);
        }
        Ok(())
    }

    async fn read(&mut self, extent: Extent) -> Result<(), String> {
        let begun = self.ledger.lock().begin_read();
        let Some(reply) = self.ask(Request::read(extent)).await? else {
            self.ledger.lock().give_up_read(begun);
            return Ok(());
        };
        let bytes = reply.into_payload().into_bytes();
        self.ledger.lock().end_read(begun, extent, &bytes)
    }

    /// `None` for an error that is excused.
    async fn ask(&mut self, request: Request) -> Result<Option<Reply>, String> {
        self.tape.note("a request");
        let told = format!("{} {:?}", name_of(&request), request.extent());
        let is_read = matches!(request, Request::Read { .. });
        let began = Instant::now();
        let answer = timeout(STUCK, self.device.execute(request).answer()).await;
        self.tape.mix(told.as_bytes());
        self.tape.mix(&began.elapsed().as_millis().to_le_bytes());
        match answer.map_err(|_| format!("{told} hangs"))? {
            Ok(reply) => Ok(Some(reply)),
            Err(error) if self.is_excused(is_read, &error) => Ok(None),
            Err(error) => Err(format!("{told} was answered: {}", error.with_sources())),
        }
    }

    fn is_excused(&self, is_read: bool, error: &Error) -> bool {
        let absent = is_read && error.kind() == ErrorKind::TimedOut;
        absent
            || error.kind() == ErrorKind::ShuttingDown
            || self.habits.excuses.contains(&error.kind())
    }
}

const fn name_of(request: &Request) -> &'static str {
    match request {
        Request::Read { .. } => "a read",
        Request::Write { .. } => "a write",
        Request::Zero { .. } => "zeroes",
        Request::Trim { .. } => "a trim",
        Request::Cache { .. } => "a prefetch",
        Request::Flush => "a flush",
    }
}
