//! Requests and replies as data.

use bytes::{Bytes, BytesMut};

use crate::{Extent, Payload, Pipe};

/// When a change must be on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// After the next flush that begins once this request has been answered.
    Deferred,
    /// Before this request is answered (NBD's FUA).
    Stable,
}

/// Whether zeroes may be stored as a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hole {
    /// The device may give up the storage behind the range.
    Allowed,
    /// The storage behind the range must stay allocated (NBD's NO_HOLE).
    Forbidden,
}

/// How quick it must be to make zeroes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Speed {
    /// As quick as can be; where there is no better way, every byte is written.
    Any,
    /// Quicker than to write every byte, or refused with [`ErrorKind::Slow`](crate::ErrorKind::Slow) and nothing is changed
    /// (NBD's FAST_ZERO).
    Fast,
}

/// One request to a [`Device`](crate::Device). Layers forward it, log it, journal it and replay it as a value.
#[derive(Debug)]
pub enum Request {
    /// Read the bytes of the extent.
    Read {
        /// What to read; not empty.
        extent: Extent,
        /// Memory that the device may fill and answer with. Empty, of any capacity: a device that needs
        /// more allocates it, one that has the bytes already ignores it.
        buffer: BytesMut,
        /// A pipe in which the bytes may be lent instead. Any device may ignore it.
        pipe: Option<Pipe>,
    },
    /// Write `data` at the extent.
    Write {
        /// Where; as long as `data`, not empty.
        extent: Extent,
        /// The bytes.
        data: Bytes,
        /// When they must be stable.
        durability: Durability,
    },
    /// Make the extent read as zeroes.
    Zero {
        /// Where; not empty.
        extent: Extent,
        /// Whether the storage may be given up.
        hole: Hole,
        /// How quick it must be.
        speed: Speed,
        /// When the zeroes must be stable.
        durability: Durability,
    },
    /// The bytes of the extent are not needed any more; what they read as is up to the device.
    Trim {
        /// Where; not empty.
        extent: Extent,
        /// When it must be stable.
        durability: Durability,
    },
    /// The extent will be read soon: a hint that always succeeds.
    Cache {
        /// Where; not empty.
        extent: Extent,
    },
    /// Bring every change that was answered before this request came to stable storage.
    Flush,
}

impl Request {
    /// A read into memory of the device's choice.
    #[must_use]
    pub fn read(extent: Extent) -> Self {
        Self::Read { extent, buffer: BytesMut::new(), pipe: None }
    }

    /// Zeroes, however long it takes to make them.
    #[must_use]
    pub const fn zero(extent: Extent, hole: Hole, durability: Durability) -> Self {
        Self::Zero { extent, hole, speed: Speed::Any, durability }
    }

    /// What it touches; `None` for a flush, which touches all.
    #[must_use]
    pub const fn extent(&self) -> Option<Extent> {
        match self {
            Self::Read { extent, .. }
            | Self::Write { extent, .. }
            | Self::Zero { extent, .. }
            | Self::Trim { extent, .. }
            | Self::Cache { extent } => Some(*extent),
            Self::Flush => None,
        }
    }

    /// Whether it is refused rather than carried out slowly.
    #[must_use]
    pub const fn must_be_fast(&self) -> bool {
        matches!(self, Self::Zero { speed: Speed::Fast, .. })
    }

    /// It, however long it takes.
    #[must_use]
    pub fn at_any_speed(mut self) -> Self {
        if let Self::Zero { speed, .. } = &mut self {
            *speed = Speed::Any;
        }
        self
    }

    /// Whether it changes what is stored.
    #[must_use]
    pub const fn is_change(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Zero { .. } | Self::Trim { .. })
    }

    /// When its change must be stable; `None` where it changes nothing.
    #[must_use]
    pub const fn durability(&self) -> Option<Durability> {
        match self {
            Self::Write { durability, .. }
            | Self::Zero { durability, .. }
            | Self::Trim { durability, .. } => Some(*durability),
            Self::Read { .. } | Self::Cache { .. } | Self::Flush => None,
        }
    }

    /// The same request to be made once more; the bytes of a write are shared, a read's buffer and pipe
    /// are not.
    #[must_use]
    pub fn again(&self) -> Self {
        match self {
            Self::Read { extent, .. } => Self::read(*extent),
            Self::Write { extent, data, durability } => {
                Self::Write { extent: *extent, data: data.clone(), durability: *durability }
            }
            Self::Zero { extent, hole, speed, durability } => {
                let (extent, hole, speed, durability) = (*extent, *hole, *speed, *durability);
                Self::Zero { extent, hole, speed, durability }
            }
            Self::Trim { extent, durability } => {
                Self::Trim { extent: *extent, durability: *durability }
            }
            Self::Cache { extent } => Self::Cache { extent: *extent },
            Self::Flush => Self::Flush,
        }
    }

    /// The part of it that lies in `inner`, to be made at `offset` of another device. The bytes of a write are shared, a
    /// read's buffer is not.
    ///
    /// # Panics
    /// Where `inner` is not wholly within its extent. A flush, which has none, is the same in any part.
    #[must_use]
    pub fn part_at(&self, inner: Extent, offset: u64) -> Self {
        let mut part = self.again();
        match &mut part {
            Self::Write { extent, data, .. } => {
                *data = data.slice(extent.range_of(inner));
                *extent = inner.moved_to(offset);
            }
            Self::Read { extent, .. }
            | Self::Zero { extent, .. }
            | Self::Trim { extent, .. }
            | Self::Cache { extent } => {
                assert!(extent.contains(inner), "{inner} is not within {extent}");
                *extent = inner.moved_to(offset);
            }
            Self::Flush => {}
        }
        part
    }

    /// All of it, to be made at `offset` of another device. A flush is the same anywhere.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        if let Self::Read { extent, .. }
        | Self::Write { extent, .. }
        | Self::Zero { extent, .. }
        | Self::Trim { extent, .. }
        | Self::Cache { extent } = &mut self
        {
            *extent = extent.moved_to(offset);
        }
        self
    }

    /// It, with its durability deferred.
    #[must_use]
    pub fn deferred(mut self) -> Self {
        if let Self::Write { durability, .. }
        | Self::Zero { durability, .. }
        | Self::Trim { durability, .. } = &mut self
        {
            *durability = Durability::Deferred;
        }
        self
    }
}

/// The answer to a [`Request`] that succeeded.
#[derive(Debug)]
pub enum Reply {
    /// The bytes of a read: as many as its extent has.
    Data(Payload),
    /// Any other request is done.
    Done,
}

impl Reply {
    /// The bytes of a read.
    ///
    /// # Panics
    /// Where it is not the answer to a read.
    #[must_use]
    pub fn into_payload(self) -> Payload {
        match self {
            Self::Data(payload) => payload,
            Self::Done => panic!("a read is answered with data"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_write_has_its_own_bytes() {
        let extent = Extent::between(100, 110);
        let data = Bytes::from_static(b"0123456789");
        let write = Request::Write { extent, data, durability: Durability::Stable };
        let part = write.part_at(Extent::between(103, 106), 7);
        let Request::Write { extent, data, durability } = part else { panic!("it is a write") };
        assert_eq!((extent, &data[..]), (Extent::between(7, 10), &b"345"[..]));
        assert_eq!(durability, Durability::Stable);
    }

    #[test]
    #[should_panic(expected = "is not within")]
    fn a_part_is_within() {
        _ = Request::read(Extent::between(0, 4)).part_at(Extent::between(2, 6), 0);
    }

    #[test]
    fn a_whole_request_moves() {
        let read = Request::read(Extent::between(100, 110)).at(3);
        assert_eq!(read.extent(), Some(Extent::between(3, 13)));
        assert_eq!(Request::Flush.at(3).extent(), None);
    }
}
