//! The drive as a page for people, and as JSON for the page.
//!
//! The page is one file that needs nothing from elsewhere, and asks `live.json` every second. It can only read.

use std::sync::Arc;

use serde::Serialize;

use super::metrics::MetricsPage;
use super::server::{Answer, Site};
use crate::control::{ControlHandler as _, Event, Status};
use crate::handler::Handler;

const PAGE: &str = include_str!("page.html");
/// How many of the newest events are told.
const EVENTS_MAX: usize = 50;

/// All that is served over HTTP.
pub(crate) struct DriveSite {
    pub(crate) metrics: MetricsPage,
    pub(crate) handler: Arc<Handler>,
}

/// What the page asks for.
#[derive(Serialize)]
struct Live {
    /// As `hotbay status --json` prints it.
    status: Status,
    /// The newest, oldest first, as `hotbay events --json` prints them.
    events: Vec<Event>,
}

impl Site for DriveSite {
    fn page(&self, path: &str) -> Option<Answer> {
        match path {
            "/" => Some(Answer { content_type: "text/html; charset=utf-8", body: PAGE.into() }),
            "/live.json" => Some(self.live()),
            "/metrics" => Some(self.metrics.answer()),
            _ => None,
        }
    }
}

impl DriveSite {
    fn live(&self) -> Answer {
        let mut events = self.handler.events(0);
        let older = events.len().saturating_sub(EVENTS_MAX);
        let live = Live { status: self.handler.snapshot(), events: events.split_off(older) };
        let body = serde_json::to_vec(&live).expect("the vocabulary has string keys");
        Answer { content_type: "application/json", body: body.into() }
    }
}
