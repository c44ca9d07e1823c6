//! What the daemon tells over HTTP, to be read only: metrics, and a page for people. Off unless it is asked for.

mod live;
mod metrics;
mod server;

pub(crate) use live::DriveSite;
pub(crate) use metrics::MetricsPage;
pub(crate) use server::HttpServer;
