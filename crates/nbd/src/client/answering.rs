//! A request whose answer is on its way: what came of it, and whether that is an answer to it at all.
//!
//! What must hold: of a READ each byte comes once, in whatever order, before it is done without a failure. Nothing
//! that a server says makes this grow beyond [`PIECES_MAX`] and the longest list of extents.

use super::reply::{OutOfStep, Part, Refusal, Reply};
use crate::limits::PIECES_MAX;
use crate::{Command, Dialect, RequestHeader};

/// What has come of the answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answering {
    command: Command,
    offset: u64,
    length: u64,
    dialect: Dialect,
    context: Option<u32>,
    received: Pieces,
    extents: Option<Vec<(u64, u64)>>,
    refusal: Option<Refusal>,
}

/// What a part of a reply brings of a READ. Places are counted from the request's offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brings {
    /// Nothing.
    Nothing,
    /// Bytes, which follow on the connection.
    Bytes {
        /// Where the first one goes.
        at: u64,
        /// How many.
        length: u64,
    },
    /// Zeroes.
    Zeroes {
        /// Where the first one goes.
        at: u64,
        /// How many.
        length: u64,
    },
}

impl Answering {
    /// Nothing has come yet of the answer to this request. `context` is what BLOCK_STATUS tells about.
    #[must_use]
    pub fn to(header: &RequestHeader, dialect: Dialect, context: Option<u32>) -> Self {
        let RequestHeader { command, offset, length, .. } = *header;
        let (received, extents, refusal) = (Pieces::default(), None, None);
        Self { command, offset, length, dialect, context, received, extents, refusal }
    }

    /// Takes what came of it in `reply`. Where that is done, so is this, with [`Self::outcome`].
    ///
    /// # Errors
    /// Where it is no answer to this request.
    pub fn take(&mut self, reply: Reply) -> Result<Brings, OutOfStep> {
        if reply.offset.is_some_and(|offset| offset != self.offset) {
            return Err(wrong("the offset is another one"));
        }
        let brings = match reply.part {
            Part::Success => self.take_success()?,
            Part::None => Brings::Nothing,
            Part::Data { offset, length } => {
                let at = self.receive(offset, length.into())?;
                Brings::Bytes { at, length: length.into() }
            }
            Part::Zeroes { offset, length } => {
                let at = self.receive(offset, length.into())?;
                Brings::Zeroes { at, length: length.into() }
            }
            Part::Status { context, extents } => {
                self.take_status(context, extents)?;
                Brings::Nothing
            }
            Part::Failure(refusal) => {
                self.refusal.get_or_insert(refusal);
                Brings::Nothing
            }
        };
        if reply.done && self.refusal.is_none() {
            self.check_whole()?;
        }
        Ok(brings)
    }

    fn take_success(&mut self) -> Result<Brings, OutOfStep> {
        match (self.command, self.dialect) {
            (Command::Read, Dialect::Simple) => {
                let at = self.receive(self.offset, self.length)?;
                Ok(Brings::Bytes { at, length: self.length })
            }
            (Command::Read | Command::BlockStatus, _) => {
                Err(wrong("a simple reply where chunks were agreed upon"))
            }
            _ => Ok(Brings::Nothing),
        }
    }

    /// Enters bytes of a READ; gives their place in it.
    fn receive(&mut self, offset: u64, length: u64) -> Result<u64, OutOfStep> {
        if self.command != Command::Read {
            return Err(wrong("bytes that were not asked for"));
        }
        let at = offset.checked_sub(self.offset);
        let range = at.and_then(|at| Some((at, at.checked_add(length)?)));
        match range {
            Some((at, end)) if at < end && end <= self.length => {
                self.received.add(at, end)?;
                Ok(at)
            }
            _ => Err(wrong("bytes of another place than was asked for")),
        }
    }

    fn take_status(&mut self, context: u32, extents: Vec<(u64, u64)>) -> Result<(), OutOfStep> {
        if self.command != Command::BlockStatus
            || self.context != Some(context)
            || self.extents.is_some()
        {
            return Err(wrong("a block status that was not asked for"));
        }
        if extents.is_empty() || extents.iter().any(|(length, _)| *length == 0) {
            return Err(wrong("a block status of nothing"));
        }
        self.extents = Some(extents);
        Ok(())
    }

    fn check_whole(&self) -> Result<(), OutOfStep> {
        match self.command {
            Command::Read if !self.received.is(self.length) => Err(wrong("bytes are missing")),
            Command::BlockStatus if self.extents.is_none() => Err(wrong("no block status")),
            _ => Ok(()),
        }
    }

    /// How it went, when it is done: what was said of the bytes, which for all but BLOCK_STATUS is nothing.
    ///
    /// # Errors
    /// What the server refused, and why: the first failure that it told.
    pub fn outcome(self) -> Result<Vec<(u64, u64)>, Refusal> {
        match self.refusal {
            Some(refusal) => Err(refusal),
            None => Ok(self.extents.unwrap_or_default()),
        }
    }
}

const fn wrong(what: &'static str) -> OutOfStep {
    OutOfStep::WrongAnswer { what }
}

/// Ranges that do not touch each other, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pieces(Vec<(u64, u64)>);

impl Pieces {
    fn add(&mut self, begin: u64, end: u64) -> Result<(), OutOfStep> {
        let place = self.0.partition_point(|(_, until)| *until < begin);
        let (mut begin, mut end, mut last) = (begin, end, place);
        if let Some(before) = self.0.get(place).filter(|before| before.1 == begin) {
            (begin, last) = (before.0, place + 1);
        }
        if let Some(behind) = self.0.get(last) {
            if behind.0 < end {
                return Err(wrong("bytes that came already"));
            }
            if behind.0 == end {
                (end, last) = (behind.1, last + 1);
            }
        }
        self.0.splice(place..last, [(begin, end)]);
        match self.0.len() > PIECES_MAX {
            true => Err(wrong("bytes in too many pieces")),
            false => Ok(()),
        }
    }

    /// Whether it is all from 0 to `end`.
    fn is(&self, end: u64) -> bool {
        self.0 == [(0, end)] || (end == 0 && self.0.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_a_set_of_bytes(ranges in prop::collection::vec((0_u64..40, 1_u64..12), 0..20)) {
            let (mut pieces, mut set) = (Pieces::default(), [false; 64]);
            for (begin, length) in ranges {
                let bytes = &mut set[usize::try_from(begin).unwrap()..][..usize::try_from(length).unwrap()];
                let is_new = !bytes.contains(&true);
                prop_assert_eq!(pieces.clone().add(begin, begin + length).is_ok(), is_new);
                if is_new {
                    pieces.add(begin, begin + length).unwrap();
                    bytes.fill(true);
                }
                let count: u64 = pieces.0.iter().map(|(begin, end)| end - begin).sum();
                prop_assert_eq!(count, set.iter().map(|set| u64::from(*set)).sum::<u64>());
                prop_assert!(pieces.0.windows(2).all(|two| two[0].1 < two[1].0));
            }
        }
    }

    #[test]
    fn pieces_are_not_without_number() {
        let mut pieces = Pieces::default();
        let most = u64::try_from(PIECES_MAX).unwrap();
        for place in 0..most {
            pieces.add(place * 2, place * 2 + 1).unwrap();
        }
        pieces.add(most * 2, most * 2 + 1).unwrap_err();
    }
}
