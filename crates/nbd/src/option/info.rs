//! INFO: an export described, piece by piece.

use bytes::{Buf, BufMut, BytesMut};

use super::{OptionCode, Refusal, ReplyKind, export_name, put_reply};
use crate::limits::STRING_BYTES_MAX;
use crate::wire::{clip, put_string, take_string};
use crate::{BlockSizes, Dialect, Export, Exports, TransmissionFlags};

/// The kind of a piece of information. Others are ignored, by either role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InfoKind(u16);

impl InfoKind {
    pub(crate) const EXPORT: Self = Self(0);
    pub(crate) const NAME: Self = Self(1);
    pub(crate) const DESCRIPTION: Self = Self(2);
    pub(crate) const BLOCK_SIZE: Self = Self(3);

    /// What a client may ask for: EXPORT comes without being asked for.
    pub(crate) const ALL: [Self; 3] = [Self::NAME, Self::DESCRIPTION, Self::BLOCK_SIZE];
}

/// A piece of information: the data of a reply of kind INFO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Information {
    Export { size_bytes: u64, flags: TransmissionFlags },
    Name(String),
    Description(String),
    BlockSizes(BlockSizes),
    Other,
}

impl Information {
    fn encode(&self, output: &mut BytesMut) {
        match self {
            Self::Export { size_bytes, flags } => {
                output.put_u16(InfoKind::EXPORT.0);
                output.put_u64(*size_bytes);
                output.put_u16(flags.bits());
            }
            Self::Name(name) => {
                output.put_u16(InfoKind::NAME.0);
                output.put_slice(clip(name, STRING_BYTES_MAX).as_bytes());
            }
            Self::Description(text) => {
                output.put_u16(InfoKind::DESCRIPTION.0);
                output.put_slice(clip(text, STRING_BYTES_MAX).as_bytes());
            }
            Self::BlockSizes(sizes) => {
                output.put_u16(InfoKind::BLOCK_SIZE.0);
                output.put_u32(sizes.minimum);
                output.put_u32(sizes.preferred);
                output.put_u32(sizes.maximum);
            }
            Self::Other => {}
        }
    }

    /// `None` where the data make no sense.
    pub(crate) fn decode(mut data: &[u8]) -> Option<Self> {
        let kind = InfoKind(data.try_get_u16().ok()?);
        match kind {
            InfoKind::EXPORT if data.len() == 10 => Some(Self::Export {
                size_bytes: data.get_u64(),
                flags: TransmissionFlags::from_bits(data.get_u16()),
            }),
            InfoKind::NAME => Some(Self::Name(std::str::from_utf8(data).ok()?.to_owned())),
            InfoKind::DESCRIPTION => {
                Some(Self::Description(String::from_utf8_lossy(data).into_owned()))
            }
            InfoKind::BLOCK_SIZE if data.len() == 12 => Some(Self::BlockSizes(BlockSizes {
                minimum: data.get_u32(),
                preferred: data.get_u32(),
                maximum: data.get_u32(),
            })),
            InfoKind::EXPORT | InfoKind::BLOCK_SIZE => None,
            _ => Some(Self::Other),
        }
    }
}

/// The data of INFO and GO: the name, and what else the client wants to know.
pub(crate) fn request(name: &str, wanted: &[InfoKind]) -> BytesMut {
    let mut data = BytesMut::new();
    put_string(&mut data, name);
    data.put_u16(u16::try_from(wanted.len()).expect("there are few kinds"));
    wanted.iter().for_each(|kind| data.put_u16(kind.0));
    data
}

/// What a client wants to know beyond size and flags.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    name: bool,
    description: bool,
    block_sizes: bool,
}

impl Wanted {
    /// Takes the list of kinds; `None` where it is not exactly as long as it says.
    fn take(data: &mut &[u8]) -> Option<Self> {
        let count = data.try_get_u16().ok()?;
        let mut wanted = Self::default();
        for _ in 0..count {
            match InfoKind(data.try_get_u16().ok()?) {
                InfoKind::NAME => wanted.name = true,
                InfoKind::DESCRIPTION => wanted.description = true,
                InfoKind::BLOCK_SIZE => wanted.block_sizes = true,
                _ => {}
            }
        }
        data.is_empty().then_some(wanted)
    }
}

/// The server's answer: the information, then ACK.
pub(crate) fn answer<E: Exports + ?Sized>(
    data: &[u8],
    dialect: Dialect,
    exports: &E,
    output: &mut BytesMut,
) -> Result<(), Refusal> {
    describe(OptionCode::INFO, dialect, data, exports, output).map(drop)
}

/// Answers INFO or GO, and hands out the export that was opened for it.
pub(super) fn describe<E: Exports + ?Sized>(
    option: OptionCode,
    dialect: Dialect,
    mut data: &[u8],
    exports: &E,
    output: &mut BytesMut,
) -> Result<(Export, E::Opened), Refusal> {
    let malformed = || Refusal::new(ReplyKind::INVALID, "the lengths in the option do not add up");
    let name = take_string(&mut data).ok_or_else(malformed)?;
    let name = export_name(name)?;
    let wanted = Wanted::take(&mut data).ok_or_else(malformed)?;
    let Some((export, opened)) = exports.open(name) else {
        return Err(unknown(name));
    };
    for information in pieces(&export, dialect, wanted) {
        let mut data = BytesMut::new();
        information.encode(&mut data);
        put_reply(output, option, ReplyKind::INFO, &data);
    }
    put_reply(output, option, ReplyKind::ACK, &[]);
    Ok((export, opened))
}

fn pieces(export: &Export, dialect: Dialect, wanted: Wanted) -> impl Iterator<Item = Information> {
    let flags = export.flags_in(dialect);
    let about = Information::Export { size_bytes: export.size_bytes, flags };
    let name = wanted.name.then(|| Information::Name(export.name.clone()));
    let text = wanted.description.then(|| Information::Description(export.description.clone()));
    let sizes = wanted.block_sizes.then_some(Information::BlockSizes(export.block_sizes));
    [Some(about), name, text, sizes].into_iter().flatten()
}

pub(super) fn unknown(name: &str) -> Refusal {
    let text = if name.is_empty() {
        "there is no default export; name one (LIST names them)".to_owned()
    } else {
        format!("there is no export {:?} (LIST names those that are)", clip(name, 128))
    };
    Refusal::new(ReplyKind::UNKNOWN, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn information() -> impl Strategy<Value = Information> {
        prop_oneof![
            (any::<u64>(), any::<u16>()).prop_map(|(size_bytes, bits)| Information::Export {
                size_bytes,
                flags: TransmissionFlags::from_bits(bits)
            }),
            ".{0,40}".prop_map(Information::Name),
            ".{0,40}".prop_map(Information::Description),
            (any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(minimum, preferred, maximum)| {
                Information::BlockSizes(BlockSizes { minimum, preferred, maximum })
            }),
        ]
    }

    proptest! {
        #[test]
        fn information_comes_back(information in information()) {
            let mut bytes = BytesMut::new();
            information.encode(&mut bytes);
            prop_assert_eq!(Information::decode(&bytes), Some(information));
        }

        #[test]
        fn any_bytes_are_information_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            let _ = Information::decode(&bytes);
        }
    }
}
