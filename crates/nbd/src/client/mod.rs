//! The client's role: the negotiation, and what comes of requests. A request is a [`RequestHeader`](crate::RequestHeader),
//! the same for both roles.

mod answering;
mod error;
mod handshake;
mod reply;

pub use answering::{Answering, Brings};
pub use error::ClientError;
pub use handshake::{Goal, Handshake, Opened, Step};
pub use reply::{OutOfStep, Part, Refusal, Reply};
