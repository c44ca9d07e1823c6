//! EXPORT_NAME: to the transmission phase the old way, where no is said by closing the connection.

use bytes::{Buf, BufMut, BytesMut};

use super::{OptionCode, export_name, put_option};
use crate::wire::{EXPORT_NAME_ZEROES, on_wire};
use crate::{ClientFlags, Dialect, Export, Exports, HandshakeError, TransmissionFlags};

/// The server's answer: the export's size and flags, or a disconnect. Extended headers are for GO alone.
pub(crate) fn answer<E: Exports + ?Sized>(
    data: &[u8],
    (client, dialect): (ClientFlags, Dialect),
    exports: &E,
    output: &mut BytesMut,
) -> Result<(Export, E::Opened), HandshakeError> {
    if dialect == Dialect::Extended {
        return Err(HandshakeError::ExportNameInExtended);
    }
    let name = export_name(data)
        .map_err(|_| HandshakeError::InvalidName { length: on_wire(data.len()) })?;
    let Some((export, opened)) = exports.open(name) else {
        return Err(HandshakeError::UnknownExport { name: name.to_owned() });
    };
    output.put_u64(export.size_bytes);
    output.put_u16(export.flags_in(dialect).bits());
    if !client.contains(ClientFlags::NO_ZEROES) {
        output.put_bytes(0, EXPORT_NAME_ZEROES);
    }
    Ok((export, opened))
}

/// The client's request.
pub(crate) fn ask(name: &str, output: &mut BytesMut) {
    put_option(output, OptionCode::EXPORT_NAME, name.as_bytes());
}

/// Takes the server's answer; `None` where it is not there in full.
pub(crate) fn take_answer(
    input: &mut BytesMut,
    client: ClientFlags,
) -> Option<(u64, TransmissionFlags)> {
    let zeroes = if client.contains(ClientFlags::NO_ZEROES) { 0 } else { EXPORT_NAME_ZEROES };
    if input.len() < 10 + zeroes {
        return None;
    }
    let size = input.get_u64();
    let flags = TransmissionFlags::from_bits(input.get_u16());
    input.advance(zeroes);
    Some((size, flags))
}
