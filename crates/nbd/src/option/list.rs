//! LIST: the names of the exports.

use bytes::{BufMut, BytesMut};

use super::{OptionCode, Refusal, ReplyKind, put_option, put_reply};
use crate::limits::STRING_BYTES_MAX;
use crate::wire::{clip, put_string, take_string};
use crate::{ExportDescription, Exports};

/// The server's answer: one SERVER for each export, then ACK.
pub(crate) fn answer<E: Exports + ?Sized>(
    data: &[u8],
    exports: &E,
    output: &mut BytesMut,
) -> Result<(), Refusal> {
    if !data.is_empty() {
        return Err(Refusal::new(ReplyKind::INVALID, "LIST has no data"));
    }
    let mut entry = BytesMut::new();
    for export in exports.list() {
        entry.clear();
        put_entry(&mut entry, &export);
        put_reply(output, OptionCode::LIST, ReplyKind::SERVER, &entry);
    }
    put_reply(output, OptionCode::LIST, ReplyKind::ACK, &[]);
    Ok(())
}

/// The client's request.
pub(crate) fn ask(output: &mut BytesMut) {
    put_option(output, OptionCode::LIST, &[]);
}

fn put_entry(output: &mut BytesMut, export: &ExportDescription) {
    put_string(output, clip(&export.name, STRING_BYTES_MAX));
    output.put_slice(clip(&export.description, STRING_BYTES_MAX).as_bytes());
}

/// The export in the data of a SERVER; `None` where they make no sense.
pub(crate) fn take_entry(mut data: &[u8]) -> Option<ExportDescription> {
    let name = std::str::from_utf8(take_string(&mut data)?).ok()?.to_owned();
    let description = String::from_utf8_lossy(data).into_owned();
    Some(ExportDescription { name, description })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_entry_comes_back(name in ".{0,40}", description in ".{0,40}") {
            let export = ExportDescription { name, description };
            let mut bytes = BytesMut::new();
            put_entry(&mut bytes, &export);
            prop_assert_eq!(take_entry(&bytes), Some(export));
        }

        #[test]
        fn any_bytes_are_an_entry_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = take_entry(&bytes);
        }
    }
}
