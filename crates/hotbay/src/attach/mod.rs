//! A block device of an export: the kernel's NBD client, driven over generic netlink, and a resident process that finds
//! the daemon again.
//!
//! ```text
//!  hotbay attach ──► resident ──CONNECT, RECONFIGURE──► kernel: /dev/nbdN
//!                       │ ▲                               │      │
//!                       │ └───────────LINK_DEAD───────────┘      │ requests, replies
//!                       └──negotiation──► hotbay serve ◄─────────┘
//! ```
//! The resident negotiates and hands the socket to the kernel; no request passes through it. When the connection dies
//! the kernel keeps requests waiting, and the resident looks for the daemon and hands over the next socket, on which
//! the kernel asks again. What must hold:
//!
//! * **Only the same content.** What the kernel has in its cache belongs to one content of one volume. Each connection
//!   tells which it is ([`ContentId`]); another one is never handed over. The kernel checks the same by the
//!   attachment's identifier.
//! * **One connection.** Requests on several may overtake each other: the kernel sends a request that takes long
//!   once more on another connection, while the first one may still be carried out.
//! * **No deadline on an answer.** A read may wait for its medium. Only a dead connection makes the kernel ask again.
//! * **An end.** When the daemon stays away for too long the device is disconnected, and all that waits fails.

mod attached;
mod attributes;
mod device;
mod identity;
mod keeper;
mod netlink;
mod place;
mod resident;
mod table;
mod upstream;
mod users;

pub(crate) use attached::Attached;
pub(crate) use device::NbdDevice;
pub(crate) use identity::{AttachmentId, ContentId};
pub(crate) use netlink::NbdKernel;
pub(crate) use place::{holder, is_given_up, is_waiting, pause, residents_are_seen};
pub(crate) use resident::{Attaching, Resident, Voice};
pub(crate) use table::{AttachLine, AttachTable};
pub(crate) use upstream::{UpstreamError, connect};
pub(crate) use users::users;
