//! A read, from one of the copies that have the bytes.
//!
//! Copies with their medium in are read in turns of some MiB, so that sequential reads stay together and a load is spread. A copy
//! that fails, or whose medium goes away, is left for another one; the client waits for a medium only where no other copy has it.

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use hotbay_block::{Execution, Extent, Reply, Request, Result};

use super::Mirrored;

/// So many bytes in a row are read from one copy.
const TURN_BYTES: u64 = 4 << 20;

/// As many copies as [`Tried`] has bits.
pub(super) const COPIES_MAX: usize = 64;

/// Copies that were tried already.
#[derive(Clone, Copy, Default)]
struct Tried(u64);

impl Tried {
    fn has(self, copy: usize) -> bool {
        self.0 & (1 << copy) != 0
    }

    fn and(self, copy: usize) -> Self {
        Self(self.0 | 1 << copy)
    }
}

/// A copy to read from.
#[derive(Clone, Copy)]
struct Choice {
    copy: usize,
    is_present: bool,
}

impl Mirrored {
    /// Reads from one copy, and from another one where that fails.
    pub(super) fn read(self: &Arc<Self>, extent: Extent, request: Request) -> Execution {
        let choice = self.choose(extent, Tried::default()).expect("a copy is in sync");
        match self.copies[choice.copy].device.execute(request) {
            Execution::Done(Ok(reply)) => Execution::Done(Ok(reply)),
            execution => Execution::later(Arc::clone(self).go_on(extent, choice, execution)),
        }
    }

    /// Tells the copy that will probably be read.
    pub(super) fn hint(&self, request: Request) -> Execution {
        let extent = request.extent().expect("a hint has an extent");
        match self.choose(extent, Tried::default()) {
            Some(choice) => self.copies[choice.copy].device.execute(request),
            None => Execution::Done(Ok(Reply::Done)),
        }
    }

    async fn go_on(
        self: Arc<Self>,
        extent: Extent,
        mut choice: Choice,
        mut execution: Execution,
    ) -> Result<Reply> {
        let mut tried = Tried::default();
        loop {
            tried = tried.and(choice.copy);
            let answer = self.unless_it_leaves(extent, choice, tried, execution).await;
            let next = match &answer {
                Some(Ok(_)) => None,
                Some(Err(_)) | None => self.choose(extent, tried),
            };
            match (next, answer) {
                (Some(next), _) => choice = next,
                (None, Some(answer)) => return answer,
                (None, None) => unreachable!("a read is only left for another copy"),
            }
            execution = self.copies[choice.copy].device.execute(Request::read(extent));
        }
    }

    /// The answer of a copy; `None` where its medium went away and another copy, with its medium in, can be asked.
    async fn unless_it_leaves(
        &self,
        extent: Extent,
        choice: Choice,
        tried: Tried,
        execution: Execution,
    ) -> Option<Result<Reply>> {
        let mut answer = pin!(execution.answer());
        if !choice.is_present {
            return Some(answer.await);
        }
        let copy = &self.copies[choice.copy];
        let mut states = copy.volume.states();
        loop {
            let changed = pin!(states.changed());
            match select(answer.as_mut(), changed).await {
                Either::Left((answer, _)) => return Some(answer),
                Either::Right(_) if copy.is_present() => {}
                Either::Right(_) => match self.choose(extent, tried) {
                    Some(other) if other.is_present => return None,
                    _ => {}
                },
            }
        }
    }

    /// Which copy to read next: one that has the bytes, where possible with its medium in.
    fn choose(&self, extent: Extent, tried: Tried) -> Option<Choice> {
        let touched = self.granules.touched(extent);
        let standings = self.standings.lock();
        let has = |copy: usize| !tried.has(copy) && standings.has(copy, touched.clone());
        let present = || (0..self.copies.len()).filter(|c| has(*c) && self.copies[*c].is_present());
        let count = present().count() as u64;
        if count > 0 {
            let turn = usize::try_from(extent.offset() / TURN_BYTES % count).unwrap_or(0);
            return present().nth(turn).map(|copy| Choice { copy, is_present: true });
        }
        // Behind a medium that is away only a copy in sync has what was changed since.
        let mut away = standings.in_sync().filter(|copy| !tried.has(*copy));
        away.next().map(|copy| Choice { copy, is_present: false })
    }
}
