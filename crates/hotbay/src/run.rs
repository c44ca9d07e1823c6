//! The daemon, from its start to its end.
//!
//! It starts from the inside out: the state directory, the drive, then the sockets for clients, then the control socket,
//! whose path alone is taken before the drive, so that a second daemon touches no medium. It ends the other way round: no
//! more control requests, no more NBD requests, and when all that is under way has been answered, the drive.

use std::io::Write as _;
use std::sync::Arc;

use hotbay_block::with_sources;
use hotbay_server::{BindError, Inherited, ListenAddress, Server, TlsInForce};
use tokio::task::JoinSet;

use crate::activation;
use crate::arrangement::{Arrangement, Origin, Parts};
use crate::assemble;
use crate::changer;
use crate::config::{Config, Metrics, TlsConfig};
use crate::control::ControlServer;
use crate::device_watch;
use crate::directory::create_private;
use crate::exports::LayoutExports;
use crate::failure::Failure;
use crate::handler::Handler;
use crate::http::{DriveSite, HttpServer, MetricsPage};
use crate::records::StateDirectory;
use crate::service;
use crate::signals::{Hangup, StopSignal};
use crate::volume_changes::VolumeChanges;
use crate::welcome::welcome;

/// Serves the drive until a signal ends it.
///
/// # Errors
/// Where it cannot be started, or where something that was acknowledged could not be made durable at its end.
pub(crate) fn serve(config: Config, origin: Origin) -> Result<(), Failure> {
    // Before there are threads.
    let sockets = activation::sockets()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    runtime.block_on(serve_until_stopped(config, origin, sockets))
}

async fn serve_until_stopped(
    configured: Config,
    origin: Origin,
    sockets: Vec<Inherited>,
) -> Result<(), Failure> {
    let mut stop = StopSignal::new()?;
    let tls = TlsInForce::new(configured.tls.as_ref().map(TlsConfig::load).transpose()?);
    // Without a file there is nothing to read again, and the signal means what it always does.
    let hangup = origin.file.is_some().then(Hangup::new).transpose()?;
    let state = Arc::new(StateDirectory::take(&configured.state)?);
    let changes = VolumeChanges::load_beside(&configured, state.path())?;
    let config = changes.applied_to(&configured)?;
    changes.tell();
    let control = ControlServer::bind(&config.control)?;
    create_socket_directories(&config)?;
    let shelf = Arc::default();
    let drive = assemble::drive(&config, &state, &shelf).await?;
    let parts = Parts { origin, configured, changes, state, drive: Arc::clone(&drive), shelf, tls };
    let served = serve_drive(&config, parts, sockets, control, &mut stop, hangup).await;
    let stopped = drive.stop().await.map_err(Failure::from);
    served.and(stopped)
}

async fn serve_drive(
    config: &Config,
    parts: Parts,
    sockets: Vec<Inherited>,
    control: ControlServer,
    stop: &mut StopSignal,
    hangup: Option<Hangup>,
) -> Result<(), Failure> {
    let (drive, shelf) = (&Arc::clone(&parts.drive), Arc::clone(&parts.shelf));
    let changer_shelf = Arc::clone(&shelf);
    let exports = LayoutExports::new(drive, config).await?;
    let server = listen(config, sockets, exports.clone()).await?.with_tls(parts.tls.clone());
    let addresses = server.addresses();
    let http = bind_metrics(config.metrics).await?;
    let metrics = http.as_ref().map(|http| format!("http://{}/metrics", http.address()));
    let arrangement = Arc::new(Arrangement::new(parts, server.sessions(), exports.terms())?);
    let handler = Handler {
        drive: Arc::clone(drive),
        shelf,
        sessions: server.sessions(),
        arrangement: Arc::clone(&arrangement),
        exports: exports.clone(),
        listen: addresses.iter().map(ListenAddress::to_string).collect(),
        metrics: metrics.clone(),
    };
    let handler = Arc::new(handler);
    let metrics_page = MetricsPage::new(Arc::clone(drive), exports.clone(), server.sessions());
    let site = DriveSite { metrics: metrics_page, handler: Arc::clone(&handler) };
    // Before it answers anybody, so that who waits for an answer finds it said. Whoever reads this may be gone; the daemon serves
    // all the same.
    let _ = std::io::stdout()
        .write_all(welcome(config, &exports, drive, &addresses, metrics.as_deref()).as_bytes());
    // Ended with this function, whatever ends it.
    let mut beside = JoinSet::new();
    beside.spawn(control.serve(handler));
    beside.spawn(device_watch::watch(Arc::clone(drive)));
    if let Some(changer) = config.changer.clone() {
        let around = changer::Surroundings {
            drive: Arc::clone(drive),
            shelf: changer_shelf,
            control: config.control.clone(),
        };
        beside.spawn(changer::run(changer, around));
    }
    if let Some(hangup) = hangup {
        beside.spawn(reload_when_told(hangup, Arc::clone(&arrangement)));
    }
    if let Some(http) = http {
        beside.spawn(http.serve(Arc::new(site)));
    }
    service::tell_ready(drive);
    beside.spawn(service::keep_telling(Arc::clone(drive)));
    let stopped = async {
        stop.received().await;
        service::tell_stopping();
        tracing::info!("stopping: finishing what is under way");
    };
    server.run(stopped).await;
    // No command may come in between.
    drop(beside);
    arrangement.stop();
    exports.stop().await;
    Ok(())
}

/// Reads the configuration again at each hangup. What it says is in the log.
async fn reload_when_told(mut hangup: Hangup, arrangement: Arc<Arrangement>) {
    loop {
        hangup.received().await;
        match arrangement.reload().await {
            Ok(outcomes) if outcomes.is_empty() => tracing::info!("the configuration is as it was"),
            Ok(_) => {}
            Err(failure) => tracing::error!("the configuration stays as it was: {failure}"),
        }
    }
}

/// On the sockets that were passed, or else where the configuration says.
async fn listen(
    config: &Config,
    sockets: Vec<Inherited>,
    exports: LayoutExports,
) -> Result<Server, Failure> {
    let (exports, limits) = (Arc::new(exports), assemble::limits(config));
    if sockets.is_empty() {
        return Server::bind(&config.listen, exports, limits).await.map_err(cannot_listen);
    }
    Server::adopt(sockets, exports, limits)
        .map_err(|error| Failure::new(format!("cannot use the sockets that were passed: {error}")))
}

async fn bind_metrics(metrics: Metrics) -> Result<Option<HttpServer>, Failure> {
    match metrics {
        Metrics::Off => Ok(None),
        Metrics::At(address) => HttpServer::bind(address).await.map(Some),
    }
}

fn cannot_listen(error: BindError) -> Failure {
    let failure = Failure::new(with_sources(&error));
    match error {
        BindError::InUse { .. } => {
            failure.with_hint("stop that one, or name another address with --listen")
        }
        BindError::NotASocket { .. } => {
            failure.with_hint("move it away, or name another path with --listen")
        }
        BindError::Io { address: ListenAddress::Tcp { port: ..1024, .. }, source } => {
            failure.with_hint("name another address with --listen").with_hint_if_denied(
                &source,
                "ports below 1024 are root's; name another one with --listen",
            )
        }
        _ => failure.with_hint("name another address with --listen"),
    }
}

/// The directories of the sockets for clients, for their user alone where they are made here.
fn create_socket_directories(config: &Config) -> Result<(), Failure> {
    let sockets = config.listen.iter().filter_map(|address| match address {
        ListenAddress::Unix(path) => Some(path),
        ListenAddress::Tcp { .. } => None,
    });
    for directory in sockets.filter_map(|path| path.parent()) {
        create_private(directory).map_err(|error| {
            Failure::new(format!("cannot make the directory {}: {error}", directory.display()))
                .with_hint("name a socket that you may make with --listen unix:PATH")
        })?;
    }
    Ok(())
}
