//! `windlass serve`: puts the parts together, listens, and ends in order.

mod footprint;
mod headers;
mod listen;
mod log;

pub use footprint::{keep_no_core, return_large_buffers, return_memory_of_the_start};

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::{
    App, backup, certificate, cicd, housekeeping, look, notify, plugin, plugin_nodes, preview, recorder,
    recover, rollout, schedule, target, token, traffic,
};
use crate::config::{Config, variable};
use crate::error::{Error, Result};
use crate::queue::{Handler, Queue, TaskContext};
use crate::router::{self, watch::Keeper};
use crate::telemetry::Traces;
use crate::{api, jobs, web};

/// How long work in progress gets to reach a point where it can be resumed.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// Runs the router until SIGTERM or SIGINT, or until another router takes over.
pub async fn router_process(file: Option<&Path>, data: Option<&Path>) -> Result<()> {
    keep_no_core();
    let mut config = Config::load(file, |name| std::env::var(name).ok())?;
    if let Some(data) = data {
        config.server.data_dir = data.to_path_buf();
    }
    log::start(&config, None)?;
    router::run(&config).await
}

/// Runs the server until SIGTERM or SIGINT.
pub async fn serve(file: Option<&Path>) -> Result<()> {
    let started = std::time::Instant::now();
    keep_no_core();
    return_large_buffers();
    let config = Config::load(file, |name| std::env::var(name).ok())?;
    let endpoint = config.telemetry.otlp_endpoint.trim();
    let traces = if endpoint.is_empty() { None } else { Some(Traces::start(endpoint)?) };
    log::start(&config, traces.as_ref())?;
    let address = config.server.listen;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Error::unavailable(format!(
            "{address} cannot be listened on: {error}; another server may be running there, or set server.listen (WINDLASS_LISTEN)"
        ))
    })?;
    let bound = listener.local_addr().map_err(Error::internal)?;
    let config =
        Config { server: crate::config::Server { listen: bound, ..config.server.clone() }, ..config };
    let app = App::open(config, own_program()).await?;
    target::forget_keys(&app.config.server.data_dir)?;
    plugin::plugin_started(&app).await?;
    let configured = variable(&|name: &str| std::env::var(name).ok(), "WINDLASS_ADMIN_TOKEN")?;
    let fresh = token::token_bootstrap(&app, configured.as_ref().map(|token| token.as_str())).await?;
    announce(bound, fresh.as_deref());
    tracing::info!(address = %bound, milliseconds = started.elapsed().as_millis(), "[@server:http] listening");

    let stop = CancellationToken::new();
    let queue = start_queue(&app).await?;
    let recorder = tokio::spawn(recorder::keep_recordings(app.clone(), stop.clone()));
    let tender = tokio::spawn(tend(app.clone(), stop.clone()));
    let scheduler = tokio::spawn(schedule::schedule_keep(app.clone(), stop.clone()));
    let looker = tokio::spawn(look::look_keep(app.clone(), stop.clone()));
    let previewer = tokio::spawn(preview::preview_keep(app.clone(), stop.clone()));
    let follower = tokio::spawn(plugin_nodes::plugin_follow(app.clone(), stop.clone()));
    let plugin_tender = tokio::spawn(plugin::plugin_tend(app.clone(), stop.clone()));
    let target_watch = tokio::spawn(target::target_watch(app.clone(), stop.clone()));
    let provider_watch = tokio::spawn(cicd::health::health_watch(app.clone(), stop.clone()));
    let job_watch = tokio::spawn(cicd::watch::job_watch(app.clone(), stop.clone()));
    let backuper = tokio::spawn(backup::backup_keep(app.clone(), stop.clone()));
    let teller = tokio::spawn(notify::spread_keep(app.clone(), stop.clone()));
    // The router is left running: the next server adopts it.
    let keeper = start_router(&app, &stop);
    let patience = Duration::from_secs(app.config.server.patience_secs.into());
    let server = tokio::spawn(listen::listen(listener, paths(app.clone()), patience, stop.clone()));
    wait_for_signal(&app).await?;
    tracing::info!("[@server:http] stopping");
    stop.cancel();
    queue.stop(STOP_PATIENCE).await?;
    // Open event streams never end by themselves, so the listener's own patience is short.
    let _ = tokio::time::timeout(Duration::from_secs(1), server).await;
    if let Some(keeper) = keeper {
        let _ = tokio::time::timeout(Duration::from_secs(1), keeper).await;
    }
    tender.abort();
    plugin_tender.abort();
    follower.abort();
    looker.abort();
    previewer.abort();
    scheduler.abort();
    provider_watch.abort();
    job_watch.abort();
    target_watch.abort();
    teller.abort();
    backuper.abort();
    // What was recorded up to now is stored before the database closes.
    let _ = tokio::time::timeout(Duration::from_secs(5), recorder).await;
    app.db.close().await;
    if let Some(traces) = traces {
        // It blocks; a collector that is gone takes no more than its own patience.
        let _ = tokio::task::spawn_blocking(move || traces.close()).await;
    }
    Ok(())
}

fn start_router(app: &App, stop: &CancellationToken) -> Option<JoinHandle<()>> {
    let program = app.config.router.enabled.then(own_program).flatten()?;
    let (app, stop, keeper) = (app.clone(), stop.clone(), Keeper::new(&app.config, &program));
    Some(tokio::spawn(async move {
        tokio::join!(
            keeper.keep(stop.clone()),
            traffic::keep(app.clone(), stop.clone()),
            certificate::keep(app, stop)
        );
    }))
}

fn paths(app: App) -> Router {
    // Writing the document cannot fail; without one, every route of the API would be refused.
    let document = serde_json::to_value(api::openapi()).unwrap_or_default();
    let policies = api::Policies::of(&document, web::PAGES);
    let sockets = api::sockets(&app);
    let is_https = headers::IsHttps(app.config.public_url().starts_with("https://"));
    api::recorded(api::router().merge(web::router()), app.clone())
        .layer(Extension(policies))
        .layer(axum::middleware::from_fn_with_state(is_https, headers::set))
        .with_state(app)
        .layer(sockets)
}

async fn start_queue(app: &App) -> Result<Queue> {
    let handler: Handler = {
        let app = app.clone();
        Arc::new(move |context: TaskContext| {
            let app = app.clone();
            Box::pin(async move { jobs::run(&app, &context).await })
        })
    };
    Queue::start(app.db.clone(), app.config.jobs.workers, &app.instance, handler).await
}

/// How often what piles up is removed.
const TIDY_PAUSE: Duration = Duration::from_secs(3600);

/// What a crash left behind is cleaned up as soon as the engine answers; what nobody works on is found every minute.
async fn tend(app: App, stop: CancellationToken) {
    // Stacks whose engine did not answer yet.
    let mut left = Vec::new();
    let mut swept = false;
    let mut tidied: Option<std::time::Instant> = None;
    while !stop.is_cancelled() {
        if let Err(error) = recover::recover(&app).await {
            tracing::warn!(error = %error.for_log(), "[@queue:recover] looking for abandoned work failed");
        }
        if let Err(error) = app.auditor.checkpoint_if_due().await {
            tracing::error!(error = %error.for_log(), "[@audit:checkpoint] the record could not be signed");
        }
        if swept {
            left = rollout::sweep_left(&app, left).await;
        } else {
            match rollout::sweep_all(&app).await {
                Ok(later) => (swept, left) = (true, later),
                Err(error) => {
                    tracing::warn!(error = %error.for_log(), "[@deploy:sweep] the sweep did not finish")
                }
            }
        }
        if swept && tidied.is_none_or(|at| at.elapsed() >= TIDY_PAUSE) {
            housekeeping::tidy(&app).await;
            app.plugins.with_code(return_memory_of_the_start);
            tidied = Some(std::time::Instant::now());
        }
        let is_done = swept && left.is_empty();
        let pause = if is_done { Duration::from_secs(60) } else { Duration::from_secs(5) };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The first lines on standard output: where it listens, and the first token if there was none.
fn announce(address: SocketAddr, fresh: Option<&str>) {
    let mut out = std::io::stdout().lock();
    let mut text = format!("listening on http://{address}\n");
    if let Some(secret) = fresh {
        text.push_str(&format!("admin token, shown this once: {secret}\n"));
    }
    // Nobody may be reading standard output; that is no reason not to serve.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// This very program, also after its file was replaced by another version.
fn own_program() -> Option<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() { Some(running) } else { std::env::current_exe().ok() }
}

/// SIGTERM and SIGINT end the server, SIGHUP loads the plugins anew.
async fn wait_for_signal(app: &App) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::internal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::internal)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(Error::internal)?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hang_up.recv() => {
                let app = app.clone();
                tokio::spawn(async move {
                    match plugin::plugin_reload(&app).await {
                        Ok(_) => tracing::info!("[@plugins:reload] the plugins are loaded anew"),
                        Err(error) => {
                            tracing::error!("[@plugins:reload] the plugins stay as they are: {}", error.for_log())
                        }
                    }
                });
            }
        }
    }
}
