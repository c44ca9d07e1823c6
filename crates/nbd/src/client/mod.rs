//! The client's role: the negotiation. Requests and replies are [`RequestHeader`](crate::RequestHeader) and
//! [`SimpleReply`](crate::SimpleReply), the same for both roles.

mod error;
mod handshake;

pub use error::ClientError;
pub use handshake::{Goal, Handshake, Opened, Step};
