//! All connections to one server, as if they were one.
//!
//! There are several only where the server has CAN_MULTI_CONN: what was answered on one is seen on all, and a flush on any covers
//! it. That holds as long as all of them stand. So the end of one is the end of all: nothing more is asked on the others, and
//! a flush that was under way meanwhile does not count. What else was under way on them is waited for, and for all of that the
//! place of the medium keeps their [`Life`]s (`places`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hotbay_nbd::Command;

use super::connection::{Ask, Connection, Failure};
use super::dial::Dialled;
use super::in_flight::Given;
use super::life::{End, Life};

/// The way to the server.
#[derive(Debug)]
pub(super) struct Connections {
    all: Vec<Connection>,
    /// Counts requests, so that each connection gets as many.
    asked: AtomicUsize,
}

impl Connections {
    /// Goes on from where the negotiations ended; there is at least one.
    pub(super) fn begin(dialled: Vec<Dialled>) -> Self {
        let all: Vec<_> = dialled.into_iter().map(Connection::begin).collect();
        assert!(!all.is_empty(), "a server is reached over a connection");
        Self { all, asked: AtomicUsize::new(0) }
    }

    /// What is known of each, also when they have ended.
    pub(super) fn lives(&self) -> Vec<Arc<Life>> {
        self.all.iter().map(|connection| Arc::clone(connection.life())).collect()
    }

    /// How the first of them ended, where one has.
    pub(super) fn end(&self) -> Option<End> {
        self.all.iter().find_map(|connection| connection.life().end())
    }

    /// Makes a request on one of them. Dropping the future does not undo it.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Given, Failure> {
        let [only] = self.all.as_slice() else { return self.ask_one_of_many(ask).await };
        only.ask(ask).await
    }

    async fn ask_one_of_many(&self, ask: Ask) -> Result<Given, Failure> {
        self.check_all_stand()?;
        let covers_others = ask.command == Command::Flush;
        let turn = self.asked.fetch_add(1, Relaxed) % self.all.len();
        let answer = self.all[turn].ask(ask).await;
        if covers_others && answer.is_ok() {
            self.check_all_stand()?;
        }
        answer
    }

    fn check_all_stand(&self) -> Result<(), Failure> {
        if !self.all.iter().any(|connection| connection.life().has_ended()) {
            return Ok(());
        }
        self.end().map_or(Ok(()), |end| Err(Failure::Ended(end)))
    }
}
