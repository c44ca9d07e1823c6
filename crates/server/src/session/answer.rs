//! What a request is answered with, before it has the form of a reply.

use std::borrow::Cow;

use hotbay_block::{Error, ErrorKind, Payload};
use hotbay_nbd::{ErrorNumber, ReplyTo};

use crate::errno;

/// What a reply has to keep to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// The request that it answers.
    pub(super) to: ReplyTo,
    /// How many bytes the request is about.
    pub(super) length: u64,
    /// Whether the bytes of a READ have to come in one chunk.
    pub(super) in_one_chunk: bool,
}

impl Asked {
    fn range(self) -> std::ops::Range<u64> {
        self.to.offset..self.to.offset.saturating_add(self.length)
    }
}

/// What a request is answered with.
#[derive(Debug)]
pub(super) enum Answer {
    /// It is done.
    Done,
    /// The bytes of a READ.
    Data(Payload),
    /// What each context says, by its number; at least one.
    Status(Vec<(u32, Vec<(u64, u32)>)>),
}

/// Why a request has failed, as a client is told.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) error: ErrorNumber,
    /// For people.
    pub(super) text: Cow<'static, str>,
    /// The first byte of the device that it is about, where that is known.
    pub(super) offset: Option<u64>,
}

impl Failure {
    /// What a client is told of a device's error in what was asked.
    ///
    /// It gets the device's own words where they are about the volume or the request. Those about a medium are for
    /// the log: they name files of this machine.
    pub(super) fn of(error: &Error, asked: Asked) -> Self {
        let text = match error.kind() {
            kind @ (ErrorKind::Gone | ErrorKind::Medium) => kind.to_string(),
            _ => error.to_string(),
        };
        // The protocol wants one of the request's bytes or none.
        let offset = error.offset().filter(|offset| asked.range().contains(offset));
        Self { error: errno::of(error.kind()), text: text.into(), offset }
    }

    /// With words that are the same for every device.
    pub(super) const fn new(error: ErrorNumber, text: &'static str) -> Self {
        Self { error, text: Cow::Borrowed(text), offset: None }
    }
}

impl From<ErrorNumber> for Failure {
    fn from(error: ErrorNumber) -> Self {
        Self { error, text: error.to_string().into(), offset: None }
    }
}
