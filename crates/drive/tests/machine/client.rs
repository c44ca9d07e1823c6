//! A client at work, which keeps account of what it was told.

use std::sync::Arc;
use std::time::Duration;

use hotbay_block::{Device, Durability, Error, ErrorKind, Extent, Hole, Reply, Request};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

use super::STUCK;
use super::chance::Chance;
use super::tape::Tape;
use super::view::{Change, View};

/// How long a client rests that finds the daemon about to end, which may wait for a disk that hangs.
const TURNED_AWAY: Duration = Duration::from_millis(500);

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
    /// What is on it.
    pub view: View,
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
        let extent = self.view.extent(&mut self.chance, self.habits.longest);
        match self.chance.weighed(&ACTS) {
            Act::Read => self.read(extent).await,
            Act::Write => self.write(extent, Durability::Deferred).await,
            Act::WriteThrough => self.write(extent, Durability::Stable).await,
            Act::Zero => {
                let (hole, durability) = (Hole::Allowed, Durability::Deferred);
                self.zero(Request::zero(extent, hole, durability)).await
            }
            Act::Trim => {
                let durability = Durability::Deferred;
                self.zero(Request::Trim { extent, durability }).await
            }
        }
    }

    async fn rest(&mut self) {
        match self.chance.one_in(2) {
            true => yield_now().await,
            false => sleep(self.chance.up_to(self.habits.rest)).await,
        }
    }

    pub async fn write(&mut self, extent: Extent, durability: Durability) -> Result<(), String> {
        if !self.view.is_of_volumes(extent) {
            return self.write_in_vain(extent, durability).await;
        }
        let (change, data) = self.view.begin_write(extent);
        self.change(change, Request::Write { extent, data, durability }).await
    }

    /// What is no volume cannot be written, and nothing beside it is changed then.
    async fn write_in_vain(
        &mut self,
        extent: Extent,
        durability: Durability,
    ) -> Result<(), String> {
        let data = self.view.foreign(extent);
        let answer = self.told(Request::Write { extent, data, durability }).await?;
        match answer.map_err(|error| error.kind()) {
            Err(ErrorKind::ReadOnly) => Ok(()),
            answer => Err(format!("a write of {extent}, not all of volumes, is {answer:?}")),
        }
    }

    async fn zero(&mut self, request: Request) -> Result<(), String> {
        let change = self.view.begin_zeroes(request.extent().expect("it is of an extent"));
        self.change(change, request).await
    }

    async fn change(&mut self, change: Change, request: Request) -> Result<(), String> {
        let stable = request.durability() == Some(Durability::Stable);
        let answer = self.ask(request).await?;
        change.end(answer.is_some(), stable);
        Ok(())
    }

    pub async fn flush(&mut self) -> Result<(), String> {
        let begun = self.view.begin_flush();
        if self.ask(Request::Flush).await?.is_some() {
            self.view.end_flush(&begun);
        }
        Ok(())
    }

    async fn read(&mut self, extent: Extent) -> Result<(), String> {
        let begun = self.view.begin_read();
        let Some(reply) = self.ask(Request::read(extent)).await? else {
            self.view.give_up_read(&begun);
            return Ok(());
        };
        let bytes = reply.into_payload().into_bytes();
        self.view.end_read(&begun, extent, &bytes)
    }

    /// `None` for an error that is excused.
    async fn ask(&mut self, request: Request) -> Result<Option<Reply>, String> {
        let told = told_of(&request);
        let is_read = matches!(request, Request::Read { .. });
        match self.told(request).await? {
            Ok(reply) => Ok(Some(reply)),
            Err(error) if error.kind() == ErrorKind::ShuttingDown => {
                sleep(TURNED_AWAY).await;
                Ok(None)
            }
            Err(error) if self.is_excused(is_read, &error) => Ok(None),
            Err(error) => Err(format!("{told} was answered: {}", error.with_sources())),
        }
    }

    async fn told(&mut self, request: Request) -> Result<hotbay_block::Result<Reply>, String> {
        self.tape.note("a request");
        let told = told_of(&request);
        let began = Instant::now();
        let answer = timeout(STUCK, self.device.execute(request).answer()).await;
        self.tape.mix(told.as_bytes());
        self.tape.mix(&began.elapsed().as_millis().to_le_bytes());
        answer.map_err(|_| format!("{told} hangs"))
    }

    fn is_excused(&self, is_read: bool, error: &Error) -> bool {
        let absent = is_read && error.kind() == ErrorKind::TimedOut;
        absent || self.habits.excuses.contains(&error.kind())
    }
}

fn told_of(request: &Request) -> String {
    format!("{} {:?}", name_of(request), request.extent())
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
