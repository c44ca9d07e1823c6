//! GO: as INFO, and then to the transmission phase.

use bytes::BytesMut;

use super::{OptionCode, Refusal, info, put_option};
use crate::{Dialect, Export, Exports};

/// The server's answer: the information, ACK, and the export that is open from now on.
pub(crate) fn answer<E: Exports + ?Sized>(
    data: &[u8],
    dialect: Dialect,
    exports: &E,
    output: &mut BytesMut,
) -> Result<(Export, E::Opened), Refusal> {
    info::describe(OptionCode::GO, dialect, data, exports, output)
}

/// The client's request for all there is to know of an export.
pub(crate) fn ask(name: &str, output: &mut BytesMut) {
    put_option(output, OptionCode::GO, &info::request(name, &info::InfoKind::ALL));
}
