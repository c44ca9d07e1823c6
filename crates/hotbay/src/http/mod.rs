//! What the daemon tells over HTTP, to be read only: metrics. Off unless it is asked for.

mod metrics;
mod server;

pub(crate) use metrics::MetricsPage;
pub(crate) use server::HttpServer;
