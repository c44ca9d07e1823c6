//! What a server knows of its bytes without reading them.

use std::sync::Arc;

use hotbay_block::{Allocation, ErrorKind, Extent, Place, Result, Status};
use hotbay_nbd::{Command, CommandFlags};

use super::Link;
use super::connection::Ask;

/// The most bytes that are asked about at once where their number has 32 bits.
const ASKED_BYTES_MAX: u64 = 1 << 31;

/// What `base:allocation` says of bytes that are zeroes, stored or not.
const ZERO: u64 = 1 << 1;

impl Link {
    /// The pieces of an extent, at most so many, from its beginning. A server that does not tell, or refuses to, knows of
    /// stored bytes alone.
    pub(super) async fn status(
        self: Arc<Self>,
        extent: Extent,
        most: usize,
    ) -> Result<Vec<Status>> {
        if !self.abilities.tells_status {
            return Ok(vec![Status::unknown(extent)]);
        }
        let around = self.blocks.around(extent);
        let asked =
            around.pieces(self.abilities.range_bytes.max(ASKED_BYTES_MAX)).next().unwrap_or(around);
        let flags = CommandFlags::NONE.with_if(most == 1, CommandFlags::REQ_ONE);
        let ask = Ask { flags, ..Ask::about(Command::BlockStatus, asked) };
        match self.ask(ask).await {
            Ok(given) => Ok(pieces(asked.offset(), &given.extents, extent, most)),
            Err(error) if error.kind() == ErrorKind::Gone => Err(error),
            Err(error) => {
                tracing::debug!(%extent, "the server does not tell what is stored: {error}");
                Ok(vec![Status::unknown(extent)])
            }
        }
    }
}

/// What was told of the bytes from `begin` on, as far as it is about `extent`. The last of it may go beyond what was asked.
fn pieces(begin: u64, told: &[(u64, u64)], extent: Extent, most: usize) -> Vec<Status> {
    let (mut at, mut pieces) = (begin, Vec::new());
    for (length, flags) in told {
        let end = at.saturating_add(*length);
        let allocation = if flags & ZERO == 0 { Allocation::Data } else { Allocation::Hole };
        if let Some(extent) = Extent::between(at, end).intersection(extent) {
            Status { extent, allocation, place: Place::Medium }.add_to(&mut pieces);
        }
        if pieces.len() > most {
            pieces.truncate(most);
            break;
        }
        at = end;
    }
    if pieces.is_empty() { vec![Status::unknown(extent)] } else { pieces }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_cut_to_what_was_asked() {
        let told = [(4096, 0), (4096, 2), (4096, 3), (1 << 40, 1), (u64::MAX, 3)];
        let of = |begin, end, most| {
            let pieces = pieces(0, &told, Extent::between(begin, end), most);
            pieces.iter().map(|s| (s.allocation, s.extent.end())).collect::<Vec<_>>()
        };
        use Allocation::{Data, Hole};
        assert_eq!(of(10, 1 << 20, 9), [(Data, 4096), (Hole, 12288), (Data, 1 << 20)]);
        assert_eq!(of(10, 1 << 20, 2), [(Data, 4096), (Hole, 12288)], "neighbours are one");
        assert_eq!(of(5000, 6000, 1), [(Hole, 6000)]);
        assert_eq!(of(1 << 39, 1 << 41, 9), [(Data, (1 << 40) + 12288), (Hole, 1 << 41)]);
    }
}
