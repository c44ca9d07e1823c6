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
//!
//! A server that is silent is not gone for those who wait: what it was asked may still happen. So their requests
//! stay under way, and [`Medium::presence`] says that the medium is gone. Who is above leaves it, and opens
//! no other as long as those requests have not ended.

mod blocks;
mod connection;
mod dial;
mod in_flight;
mod life;
mod outgoing;
mod places;
mod requests;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hotbay_block::{
    BoxFuture, Device, DeviceInfo, Error, ErrorKind, Execution, Extent, Identity, Medium, Request,
    Result,
};
use hotbay_nbd::client::Opened;
use hotbay_nbd::uri::NbdUri;
use hotbay_nbd::{Command, TransmissionFlags};

use self::blocks::Blocks;
use self::connection::{Ask, Connection};
use self::requests::Abilities;
use crate::{IDENTIFYING_BYTES, content_ids};

pub(crate) use self::places::Places;

/// How long a server may be silent though it was asked something before the medium counts as gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long a server may be unheard before it is asked for a byte.
const UNHEARD_MAX: Duration = Duration::from_secs(5);

/// An export of another server, for one volume alone.
#[derive(Debug)]
pub struct RemoteMedium {
    name: String,
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
    connection: Connection,
    abilities: Abilities,
    blocks: Blocks,
    /// A flush has failed; what the server has lost by that is not known.
    flush_failed: AtomicBool,
}

impl RemoteMedium {
    fn of(
        uri: &NbdUri,
        opened: &Opened,
        connection: Connection,
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
                connection,
                abilities,
                blocks: Blocks::of(abilities.block_bytes),
                flush_failed: AtomicBool::new(false),
            }),
            name,
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
            location: self.name.clone(),
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
            Request::Read { extent, buffer } => Execution::later(link.read(extent, buffer)),
            Request::Write { extent, data, durability } => {
                Execution::later(link.write(extent, data, durability))
            }
            Request::Zero { extent, hole, durability } => {
                Execution::later(link.zero(extent, hole, durability))
            }
            Request::Trim { extent, durability } => Execution::later(link.trim(extent, durability)),
            Request::Cache { extent } => Execution::later(link.cache(extent)),
            Request::Flush => Execution::later(link.flush()),
        }
    }
}

impl Medium for RemoteMedium {
    fn name(&self) -> &str {
        &self.name
    }

    fn presence(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(self.link.check_alive()))
    }

    fn identify(&self) -> BoxFuture<'_, Result<Identity>> {
        Box::pin(self.identity())
    }
}

impl Link {
    /// Whether the connection stands and the server is heard; asks it for a block where it was not heard lately.
    fn check_alive(&self) -> Result<()> {
        let life = self.connection.life();
        if let Some(end) = life.end() {
            return Err(Error::new(ErrorKind::Gone, end.why));
        }
        match life.silent_for() {
            Some(silent) if silent > SILENCE_MAX => {
                let text = format!("the server is silent for {} s", silent.as_secs());
                return Err(Error::new(ErrorKind::Gone, text));
            }
            Some(_) => {}
            None if life.unheard_for() > UNHEARD_MAX => {
                let block = Extent::between(0, self.blocks.bytes());
                self.connection.nudge(Ask::about(Command::Read, block));
            }
            None => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
