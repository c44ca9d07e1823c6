//! What is known of a volume's bytes without reading them: what is stored, and where.
//!
//! Nothing here waits for a medium that is away: what only that has is told to be out of reach. Where a medium is in, the
//! journal is looked into first and the medium second, as reads do.

use std::sync::Arc;

use hotbay_block::{Allocation, ErrorKind, Extent, Place, Result, Status};
use hotbay_journal::{Content, Piece};

use crate::attachment::Attachment;
use crate::handle::{closed, exchanged};
use crate::patience::Patience;
use crate::route::{Path, Under};
use crate::under_way::Doing;
use crate::volume::Volume;

/// The pieces of an extent, at most so many, from its beginning.
pub(crate) async fn map(
    volume: Arc<Volume>,
    content: u64,
    extent: Extent,
    most: usize,
) -> Result<Vec<Status>> {
    let mut patience = Patience::new(&volume);
    loop {
        let route = volume.route.load_full();
        if route.content != content {
            return Err(exchanged());
        }
        let mapped = match &route.path {
            Path::Closed => return Err(closed(&volume)),
            Path::Medium(attachment) => of_medium(&volume, attachment, extent, most).await,
            Path::Journal { under, .. } => {
                let pieces = volume.log().first_pieces(extent, most);
                match under {
                    None => Some(Ok(over(pieces, &away(extent)))),
                    Some(Under { attachment, .. }) => {
                        let below = of_medium(&volume, attachment, extent, most).await;
                        below.map(|below| below.map(|below| over(pieces, &below)))
                    }
                }
            }
        };
        match mapped {
            Some(answer) => {
                return answer.map(|mut pieces| {
                    pieces.truncate(most);
                    pieces
                });
            }
            None => patience.until_routed_elsewhere(&route).await?,
        }
    }
}

/// What the medium says; `None` where it is being left.
async fn of_medium(
    volume: &Arc<Volume>,
    attachment: &Arc<Attachment>,
    extent: Extent,
    most: usize,
) -> Option<Result<Vec<Status>>> {
    let _visit = attachment.visit()?;
    let asked = attachment.ask(Doing::Map(extent), move |medium| medium.status(extent, most));
    let answer = asked.await?;
    match answer {
        Err(error) if error.kind() == ErrorKind::Gone => {
            volume.lose(attachment, error);
            None
        }
        answer => (!attachment.is_fenced()).then_some(answer),
    }
}

fn away(extent: Extent) -> [Status; 1] {
    [Status { extent, allocation: Allocation::Data, place: Place::Away }]
}

/// What the journal has, and what is below it in its gaps; as far as both go.
fn over(pieces: Vec<Piece>, below: &[Status]) -> Vec<Status> {
    let mut map = Vec::with_capacity(pieces.len());
    let end = below.last().map_or(0, |last| last.extent.end());
    let mut below = below.iter().peekable();
    for Piece { extent, content } in pieces {
        match content {
            Some(content) => {
                let allocation = allocation_of(&content);
                Status { extent, allocation, place: Place::Journal }.add_to(&mut map);
            }
            None => {
                while below.next_if(|status| status.extent.end() <= extent.offset()).is_some() {}
                let in_gap = below.clone().take_while(|s| s.extent.offset() < extent.end());
                for status in in_gap {
                    if let Some(part) = status.extent.intersection(extent) {
                        Status { extent: part, ..*status }.add_to(&mut map);
                    }
                }
                if extent.end() > end {
                    break;
                }
            }
        }
    }
    map
}

const fn allocation_of(content: &Content) -> Allocation {
    match content {
        Content::Data(_) => Allocation::Data,
        Content::Zeroes | Content::Trimmed => Allocation::Hole,
    }
}
