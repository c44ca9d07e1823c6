//! A medium that is an export of another server, reached over NBD.
//!
//! A network that goes away is a removal: when the connection ends, every request without an answer fails with
//! [`ErrorKind::Gone`], and so does everything after it. There is no reconnecting here. The volume takes it for a
//! loss, keeps what it must, and opens the medium again when it can be found (`places`), like a disk that is
//! plugged in again, with the same look at who it is.
//!
//! | server | what is done |
//! |---|---|
//! | no FLUSH | refused at the bay: nothing on it could ever be called durable |
//! | read-only | refused at the bay |
//! | whole blocks alone | the edges of other changes are read and written back (`blocks`) |
//! | no FUA | the change, then FLUSH |
//! | no WRITE_ZEROES | zeroes are written |
//! | no TRIM, no CACHE | done at once: neither promises anything |
//! | requests above its maximum | made in pieces |
//! | no structured replies, no `base:allocation` | what is stored is not known |
//!
//! A server that is silent is not gone: what it was asked may still happen, so its requests stay under way. How long one
//! may take is for those above to say; they leave the medium then, and open it anew only when those requests have ended.
//! A peer that vanished ends its connection by itself (`dial`).

mod blocks;
mod connection;
mod connections;
mod dial;
mod in_flight;
mod incoming;
mod life;
mod near;
mod outgoing;
mod places;
mod requests;
mod status;
mod tls;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hotbay_block::{
    BoxFuture, Device, DeviceInfo, Error, ErrorKind, Execution, Extent, Identity, Medium, Request,
    Result, Status,
};
use hotbay_nbd::TransmissionFlags;
use hotbay_nbd::client::Opened;
use hotbay_nbd::uri::NbdUri;

use self::blocks::Blocks;
use self::connections::Connections;
use self::requests::Abilities;
use crate::{IDENTIFYING_BYTES, content_ids};

pub(crate) use self::places::Places;
pub use self::tls::{TlsTerms, tls_to};

/// An export of another server, for one volume alone.
#[derive(Debug)]
pub struct RemoteMedium {
    name: String,
    location: String,
    size_bytes: u64,
    preferred_block_bytes: u32,
    rotational: bool,
    hardware: Option<String>,
    link: Arc<Link>,
    _hold: places::Hold,
}

/// What every request under way shares.
#[derive(Debug)]
struct Link {
    connections: Connections,
    abilities: Abilities,
    blocks: Blocks,
    /// A flush has failed; what the server has lost by that is not known.
    flush_failed: AtomicBool,
}

impl RemoteMedium {
    fn of(
        uri: &NbdUri,
        opened: &Opened,
        connections: Connections,
        hold: places::Hold,
    ) -> Result<Self> {
        let name = uri.to_string();
        let abilities = Abilities::of(opened).map_err(|why| {
            Error::new(ErrorKind::Medium, format!("{name} cannot be a medium: {why}"))
        })?;
        let preferred = opened.block_sizes.map_or(4096, |sizes| sizes.preferred);
        let least = abilities.block_bytes.max(512);
        let usable = preferred.is_power_of_two() && (least..=1 << 20).contains(&preferred);
        Ok(Self {
            size_bytes: opened.size_bytes,
            preferred_block_bytes: if usable { preferred } else { least.max(4096) },
            rotational: opened.flags.contains(TransmissionFlags::ROTATIONAL),
            hardware: opened.description.as_deref().and_then(hotbay_volume),
            link: Arc::new(Link {
                connections,
                abilities,
                blocks: Blocks::of(abilities.block_bytes),
                flush_failed: AtomicBool::new(false),
            }),
            name,
            location: uri.place().to_string(),
            _hold: hold,
        })
    }

    async fn identity(&self) -> Result<Identity> {
        let head = Extent::between(0, self.size_bytes.min(IDENTIFYING_BYTES));
        let content = match head.is_empty() {
            true => Vec::new(),
            false => {
                let reply = self.execute(Request::read(head)).answer().await?;
                content_ids(&reply.into_payload().into_bytes())
            }
        };
        Ok(Identity {
            size_bytes: self.size_bytes,
            content,
            hardware: self.hardware.clone(),
            file: None,
            location: self.location.clone(),
        })
    }
}

/// The identity of the volume, where the server is a hotbay: its descriptions end with `id UUID.CONTENT`.
fn hotbay_volume(description: &str) -> Option<String> {
    let (id, content) = description.rsplit(", ").next()?.strip_prefix("id ")?.split_once('.')?;
    content.parse::<u64>().ok()?;
    let id = uuid::Uuid::try_parse(id).ok()?;
    Some(format!("hotbay:{id}"))
}

impl Device for RemoteMedium {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            size_bytes: self.size_bytes,
            preferred_block_bytes: self.preferred_block_bytes,
            read_only: false,
            rotational: self.rotational,
        }
    }

    fn execute(&self, request: Request) -> Execution {
        let link = Arc::clone(&self.link);
        match request {
            Request::Read { extent, buffer, .. } => Execution::later(link.read(extent, buffer)),
            Request::Write { extent, data, durability } => {
                Execution::later(link.write(extent, data, durability))
            }
            Request::Zero { extent, hole, speed, durability } => {
                Execution::later(link.zero(extent, hole, speed, durability))
            }
            Request::Trim { extent, durability } => Execution::later(link.trim(extent, durability)),
            Request::Cache { extent } => Execution::later(link.cache(extent)),
            Request::Flush => Execution::later(link.flush()),
        }
    }

    fn status(&self, extent: Extent, most: usize) -> BoxFuture<'static, Result<Vec<Status>>> {
        Box::pin(Arc::clone(&self.link).status(extent, most))
    }
}

impl Medium for RemoteMedium {
    fn name(&self) -> &str {
        &self.name
    }

    fn presence(&self) -> BoxFuture<'_, Result<()>> {
        let gone = |end: life::End| Error::new(ErrorKind::Gone, end.why);
        let end = self.link.connections.end();
        Box::pin(std::future::ready(end.map_or(Ok(()), |end| Err(gone(end)))))
    }

    fn identify(&self) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(self.identity())
    }
}

#[cfg(test)]
mod tests;
