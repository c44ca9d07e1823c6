//! The drive as metrics for Prometheus. Each scrape asks for what is true then; nothing is kept for it.

use std::fmt;
use std::sync::Arc;

use hotbay_drive::{Drive, EventKind, State, VolumeStatus};
use hotbay_server::{ERRORS, Operation, OperationTraffic, Sessions, Traffic, latency_bounds};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::server::Answer;
use crate::exports::LayoutExports;

/// The metrics of a drive.
#[derive(Debug)]
pub(crate) struct MetricsPage(Registry);

impl MetricsPage {
    pub(crate) fn new(drive: Arc<Drive>, exports: LayoutExports, sessions: Sessions) -> Self {
        let mut registry = Registry::with_prefix("hotbay");
        registry.register_collector(Box::new(DriveMetrics { drive, exports, sessions }));
        Self(registry)
    }

    /// All of them as they are now.
    pub(super) fn answer(&self) -> Answer {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.0).expect("a string takes what is written to it");
        Answer { content_type: prometheus_text::CONTENT_TYPE, body: text.into() }
    }
}

#[derive(Debug)]
struct DriveMetrics {
    drive: Arc<Drive>,
    exports: LayoutExports,
    sessions: Sessions,
}

/// An export at the time of a scrape.
struct ScrapedExport {
    name: String,
    sessions: usize,
    traffic: Traffic,
}

/// A number that each volume has one of: its name, unit and explanation, and where it comes from.
struct Gauge {
    name: &'static str,
    unit: Option<Unit>,
    help: &'static str,
    value: fn(&VolumeStatus) -> f64,
}

const GAUGES: &[Gauge] = &[
    Gauge {
        name: "volume_size",
        unit: Some(Unit::Bytes),
        help: "Size of the volume",
        value: |volume| float(volume.size_bytes),
    },
    Gauge {
        name: "waiting_requests",
        unit: None,
        help: "Requests that wait for the medium, for room in the journal, or for a change of state",
        value: |volume| float(volume.waiting_requests),
    },
    Gauge {
        name: "waiting_for_medium",
        unit: None,
        help: "1 while requests wait that only the medium could answer",
        value: |volume| float(volume.waiting_for_medium.into()),
    },
    Gauge {
        name: "waiting_for_room",
        unit: None,
        help: "Requests that wait for room in the journal",
        value: |volume| {
            float(volume.waiting_for_room.as_ref().map_or(0, |waiting| waiting.requests))
        },
    },
    Gauge {
        name: "waiting_for_room_age",
        unit: Some(Unit::Seconds),
        help: "How long something has been waiting for room in the journal; 0 where nothing does",
        value: |volume| {
            volume.waiting_for_room.as_ref().map_or(0.0, |waiting| waiting.age.as_secs_f64())
        },
    },
    Gauge {
        name: "retained",
        unit: Some(Unit::Bytes),
        help: "Acknowledged changes that no sync of the medium covers yet",
        value: |volume| float(volume.retained_bytes),
    },
    Gauge {
        name: "retained_oldest_age",
        unit: Some(Unit::Seconds),
        help: "Age of the oldest acknowledged change that no sync of the medium covers yet, at most; 0 without one",
        value: |volume| volume.oldest_retained_age.unwrap_or_default().as_secs_f64(),
    },
    Gauge {
        name: "journal_live",
        unit: Some(Unit::Bytes),
        help: "Content of the volume that is in its journal alone",
        value: |volume| float(volume.journal.live_bytes),
    },
    Gauge {
        name: "journal_extents",
        unit: None,
        help: "Pieces in which that content is",
        value: |volume| float(volume.journal.extents),
    },
    Gauge {
        name: "journal_disk",
        unit: Some(Unit::Bytes),
        help: "Room that the journal takes on its disk",
        value: |volume| float(volume.journal.disk_bytes),
    },
    Gauge {
        name: "journal_limit",
        unit: Some(Unit::Bytes),
        help: "Room that the journal may take; 0 where it could not be opened",
        value: |volume| float(volume.journal.limit_bytes),
    },
    Gauge {
        name: "progress_done",
        unit: Some(Unit::Bytes),
        help: "Done of the replay or the copy that is under way; 0 without one",
        value: |volume| float(volume.progress.unwrap_or_default().done_bytes),
    },
    Gauge {
        name: "progress_total",
        unit: Some(Unit::Bytes),
        help: "All of the replay or the copy that is under way; 0 without one",
        value: |volume| float(volume.progress.unwrap_or_default().total_bytes),
    },
];

/// What Prometheus computes with; exact up to 8 PiB.
#[expect(clippy::cast_precision_loss, reason = "a metric is a float, wherever it comes from")]
const fn float(number: u64) -> f64 {
    number as f64
}

impl Collector for DriveMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let scraped = self.drive.status().volumes;
        encode_drive(&mut encoder, &self.drive, &scraped)?;
        encode_states(&mut encoder, &scraped)?;
        for gauge in GAUGES {
            encode_gauge(&mut encoder, gauge, &scraped)?;
        }
        self.encode_events(&mut encoder)?;
        let exports: Vec<ScrapedExport> =
            self.exports.all().into_iter().map(|export| self.scrape(export.name)).collect();
        encode_sessions(&mut encoder, &exports)?;
        encode_bytes(&mut encoder, &exports)?;
        encode_errors(&mut encoder, &exports)?;
        encode_durations(&mut encoder, &exports)
    }
}

impl DriveMetrics {
    fn scrape(&self, name: String) -> ScrapedExport {
        let sessions = self.sessions.of_export(&name);
        let traffic = self.sessions.traffic_of(&name);
        ScrapedExport { name, sessions, traffic }
    }

    fn encode_events(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Things that happened, by the kinds of 'hotbay events'; 'present' is the end of a replay";
        let mut family = encoder.encode_descriptor("events", help, None, MetricType::Counter)?;
        for volume in self.drive.volumes() {
            for kind in EventKind::ALL {
                let labels = [("volume", volume.name()), ("event", kind.name())];
                let count = self.drive.events().count(volume.name(), kind);
                family
                    .encode_family(&labels)?
                    .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        Ok(())
    }
}

fn encode_drive(
    encoder: &mut DescriptorEncoder<'_>,
    drive: &Drive,
    scraped: &[VolumeStatus],
) -> fmt::Result {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    let help = "Always 1, with the version of hotbay";
    let mut family = encoder.encode_descriptor("build_info", help, None, MetricType::Gauge)?;
    family.encode_family(&version)?.encode_gauge(&1u32)?;
    let bays = u64::try_from(drive.status().bays).unwrap_or(u64::MAX);
    encode_number(encoder, "bays", "How many media fit in at once", bays)?;
    let occupied = scraped.iter().filter(|volume| volume.bay.is_some()).count() as u64;
    encode_number(encoder, "bays_occupied", "Bays with a medium in them", occupied)
}

fn encode_number(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    number: u64,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    metric.encode_gauge(&number)
}

fn encode_states(encoder: &mut DescriptorEncoder<'_>, scraped: &[VolumeStatus]) -> fmt::Result {
    let help = "1 for the state that the volume is in, 0 for the others";
    let mut family = encoder.encode_descriptor("volume_state", help, None, MetricType::Gauge)?;
    for volume in scraped {
        for state in State::ALL {
            let labels = [("volume", volume.name.as_str()), ("state", state.name())];
            let is_in = u32::from(volume.state == state);
            family.encode_family(&labels)?.encode_gauge(&is_in)?;
        }
    }
    Ok(())
}

fn encode_gauge(
    encoder: &mut DescriptorEncoder<'_>,
    gauge: &Gauge,
    scraped: &[VolumeStatus],
) -> fmt::Result {
    let Gauge { name, unit, help, value } = gauge;
    let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
    for volume in scraped {
        family.encode_family(&[("volume", volume.name.as_str())])?.encode_gauge(&value(volume))?;
    }
    Ok(())
}

fn encode_sessions(encoder: &mut DescriptorEncoder<'_>, exports: &[ScrapedExport]) -> fmt::Result {
    let help = "NBD connections that have the export open";
    let mut family = encoder.encode_descriptor("sessions", help, None, MetricType::Gauge)?;
    for export in exports {
        let labels = [("export", export.name.as_str())];
        family.encode_family(&labels)?.encode_gauge(&export.sessions)?;
    }
    Ok(())
}

/// Each operation of each export, in order.
fn by_operation(
    exports: &[ScrapedExport],
) -> impl Iterator<Item = ([(&'static str, &str); 2], &OperationTraffic)> {
    exports.iter().flat_map(|export| {
        Operation::ALL.into_iter().map(move |operation| {
            let labels = [("export", export.name.as_str()), ("operation", operation.name())];
            (labels, export.traffic.of(operation))
        })
    })
}

fn encode_bytes(encoder: &mut DescriptorEncoder<'_>, exports: &[ScrapedExport]) -> fmt::Result {
    let help = "Bytes in the ranges of requests that succeeded";
    let unit = Some(&Unit::Bytes);
    let mut family = encoder.encode_descriptor("request", help, unit, MetricType::Counter)?;
    for (labels, traffic) in by_operation(exports) {
        let bytes = traffic.bytes;
        family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&bytes, None)?;
    }
    Ok(())
}

fn encode_errors(encoder: &mut DescriptorEncoder<'_>, exports: &[ScrapedExport]) -> fmt::Result {
    let help = "Requests that were answered with an error";
    let mut family =
        encoder.encode_descriptor("request_errors", help, None, MetricType::Counter)?;
    for (labels, traffic) in by_operation(exports) {
        for ((_, error), count) in ERRORS.into_iter().zip(&traffic.errors) {
            let labels = [labels[0], labels[1], ("error", error)];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
    }
    Ok(())
}

fn encode_durations(encoder: &mut DescriptorEncoder<'_>, exports: &[ScrapedExport]) -> fmt::Result {
    let help =
        "Time from when a request is taken from its socket to when its reply is ready to be sent";
    let unit = Some(&Unit::Seconds);
    let kind = MetricType::Histogram;
    let mut family = encoder.encode_descriptor("request_duration", help, unit, kind)?;
    let bounds = latency_bounds().map(|bound| bound.as_secs_f64());
    let bounds: Vec<f64> = bounds.chain([f64::INFINITY]).collect();
    for (labels, traffic) in by_operation(exports) {
        let counts = bounds.iter().copied().zip(traffic.latencies);
        let sum = traffic.latency_sum.as_secs_f64();
        family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
            sum,
            traffic.requests(),
            &counts.collect::<Vec<_>>(),
            None,
        )?;
    }
    Ok(())
}
