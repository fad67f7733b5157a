//! Building an image: the context goes up, the log comes down while it happens, and what remains is a content address.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use bollard::{
    Docker as Client, body_try_stream,
    models::BuildInfo,
    query_parameters::{BuildImageOptions, BuilderVersion, TagImageOptionsBuilder},
};
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::{
    Docker, EngineFacts, LogLine, RegistryLogin, Session, cancel,
    context::{Context, Written},
    error::{bounded, lost_layer},
    frontend, label,
    progress::Progress,
    registry, secrets,
};
use crate::{
    domain::{
        UnixMs,
        build_config::{BuildArg, BuildSettings},
    },
    error::{Error, Result},
};

/// How long a cancelled build may take to confirm that it has stopped.
const CONFIRM: Duration = Duration::from_secs(10);
/// The time of every file in a context, when the caller names none: 1980-01-01, which zip can store too.
const NO_TIME: u64 = 315_532_800;

/// How often the classic builder is asked again when an image whose layers it uses was removed meanwhile.
const CLASSIC_RETRIES: u32 = 3;

/// The first version whose BuildKit takes the size of `/dev/shm`.
const SHM_SINCE: u32 = 23;

/// What to build.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The checkout.
    pub root: PathBuf,
    /// The folder that is sent, relative to `root`; empty or `.` for all of it.
    pub context: String,
    /// Relative to the context, or else to `root`; empty for `Dockerfile`.
    pub dockerfile: String,
    /// The stage to build; the last one if absent.
    pub target: Option<String>,
    pub args: Vec<BuildArg>,
    pub labels: Vec<(String, String)>,
    /// `repository:tag`; at least one.
    pub tags: Vec<String>,
    /// `linux/arm64`; the engine's own if absent.
    pub platform: Option<String>,
    /// The time all files in the context bear, usually the commit's. The same commit then gives the same bytes.
    pub modified_at: Option<UnixMs>,
    /// For base images that have to be pulled.
    pub logins: Vec<RegistryLogin>,
    pub timeout: Duration,
    pub extras: BuildExtras,
}

/// What only some builds need.
#[derive(Clone, Default)]
pub struct BuildExtras {
    /// A Dockerfile to build instead of a file of the checkout.
    pub dockerfile: Option<String>,
    /// What is left out of the context, instead of what a `.dockerignore` says.
    pub dockerignore: Option<String>,
    /// What `RUN --mount=type=secret,id=NAME` reads: names and values. Neither layers nor history keep them.
    pub secrets: Vec<(String, String)>,
    /// Images whose layers may be used again, asked in this order.
    pub cache_from: Vec<String>,
    /// Whether the image says how its layers were made, so that it can be one of those.
    pub inline_cache: bool,
    /// Of each step, in MiB. BuildKit takes no limits; these count where an engine builds without it.
    pub memory_mb: Option<u32>,
    /// Of each step, in percent of one core; likewise.
    pub cpu_percent: Option<u32>,
    /// Size of a step's `/dev/shm`, in MiB.
    pub shm_mb: Option<u32>,
}

impl BuildExtras {
    /// What a stack's settings say about every image that is built for it.
    pub fn of(settings: &BuildSettings) -> Self {
        let options = &settings.options;
        Self {
            secrets: settings.build_secrets(),
            memory_mb: options.memory_mb,
            cpu_percent: options.cpu_percent,
            shm_mb: options.shm_mb,
            ..Self::default()
        }
    }
}

/// Without the secrets' values.
impl std::fmt::Debug for BuildExtras {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.secrets.iter().map(|(name, _)| name).collect();
        f.debug_struct("BuildExtras")
            .field("dockerfile", &self.dockerfile)
            .field("secrets", &names)
            .field("cache_from", &self.cache_from)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    /// The image's id, `sha256:…`: its content address.
    pub digest: String,
    /// The first tag.
    pub tag: String,
}

type Messages<'a> = futures_util::stream::BoxStream<'a, Result<BuildInfo, bollard::errors::Error>>;

impl Docker {
    /// Builds with BuildKit where the engine has it, and hands each line to `log` as it is written.
    ///
    /// # Errors
    /// `Invalid` for a context, Dockerfile or frontend that is refused; `Failed` naming the step; `Cancelled` and
    /// `Timeout` after the engine has stopped working on it; `Unavailable` if the engine is gone.
    pub async fn build(
        &self,
        mut request: BuildRequest,
        mut log: impl FnMut(LogLine) + Send,
        cancel: &CancellationToken,
    ) -> Result<BuiltImage> {
        request.labels.push((label::SERVER.to_string(), self.server().to_string()));
        let mut session = self.session().await?;
        session.facts.buildkit &= !self.classic;
        can_do(&request, &session.facts)?;
        let deadline = Instant::now() + request.timeout;
        let mut left = if session.facts.buildkit { 0 } else { CLASSIC_RETRIES };
        loop {
            match self.attempt(&request, &session, deadline, &mut log, cancel).await {
                Err(Failure::LayerGone(error)) if left > 0 => {
                    left -= 1;
                    log(LogLine::progress(format!(
                        "an image whose layers this build uses was removed meanwhile ({error}); building once more"
                    )));
                }
                outcome => return outcome.map_err(Failure::into_error),
            }
        }
    }

    async fn attempt(
        &self,
        request: &BuildRequest,
        session: &Session,
        deadline: Instant,
        log: &mut (impl FnMut(LogLine) + Send),
        cancel: &CancellationToken,
    ) -> Result<BuiltImage, Failure> {
        let tag =
            request.tags.first().cloned().ok_or_else(|| Error::invalid("tags", "a build needs a tag"))?;
        let context = scan(request).await?;
        has_shm(request, &session.facts, &context.dockerfile_text)?;
        frontend::check(&context.dockerfile, &context.dockerfile_text, &request.args)?;
        log(LogLine::progress(announcement(&session.facts, &context)));
        let id = uuid::Uuid::now_v7().simple().to_string();
        let mut options =
            options(request, &tag, &context.dockerfile, session.facts.buildkit.then(|| id.clone()));
        let (blocks, packing) = context.pack(modified(request), self.reach());
        // The engine answers when the build says its first word, which may be after a long upload.
        let limits = limits(&request.extras, session.facts.buildkit);
        let client = session.client.clone().with_timeout(request.timeout);
        let mut client = cancel::with_build_id(&client, &id, &limits);
        // bollard's own session knows no secrets.
        let _secrets = if session.facts.buildkit && !request.extras.secrets.is_empty() {
            (options.session, options.version) = (None, BuilderVersion::BuilderV1);
            client = secrets::with_session(&client, &id, &limits);
            Some(secrets::serve(self.host(), &id, &request.extras.secrets, &request.logins).await?)
        } else {
            None
        };
        let body = body_try_stream(ReceiverStream::new(blocks));
        let mut messages = client.build_image(options, registry::all(&request.logins), Some(body)).boxed();
        let mut progress = Progress::default();
        let outcome = tokio::select! {
            outcome = timeout_at(deadline, follow(&mut messages, &mut progress, log)) => outcome
                .unwrap_or_else(|_| Err(Stop::Ended(Error::timeout("the build", request.timeout.as_secs())))),
            () = cancel.cancelled() => Err(Stop::Ended(Error::cancelled("the build"))),
        };
        if let Err(Stop::Ended(_)) = &outcome {
            stop(&session.client, &id, session.facts.buildkit, messages, log).await;
        } else {
            drop(messages);
        }
        progress.finish(log);
        match outcome {
            Ok(()) => self.finish_build(request, &session.client, progress.image, tag).await,
            Err(Stop::Ended(error)) => Err(error.into()),
            Err(Stop::Engine(error)) if lost_layer(&error) => {
                Err(Failure::LayerGone(self.build_error(error, &progress, packing).await))
            }
            Err(Stop::Engine(error)) => Err(self.build_error(error, &progress, packing).await.into()),
        }
    }

    /// The platform whose programs the engine's machine runs as they are, such as `linux/amd64`.
    ///
    /// # Errors
    /// `Unavailable` if the engine does not answer.
    pub async fn platform(&self) -> Result<String> {
        let facts = self.session().await?.facts;
        Ok(format!("{}/{}", facts.os, architecture(&facts.arch)))
    }

    async fn finish_build(
        &self,
        request: &BuildRequest,
        client: &Client,
        named: Option<String>,
        tag: String,
    ) -> Result<BuiltImage, Failure> {
        for other in request.tags.iter().skip(1) {
            self.tag_with(client, &tag, other).await?;
        }
        // The engine is asked rather than believed: what counts is what it would run.
        let facts = match self.image_inspect(named.as_deref().unwrap_or(&tag)).await {
            Err(gone @ Error::NotFound { .. }) => return Err(Failure::LayerGone(gone)),
            other => other?,
        };
        Ok(BuiltImage { digest: facts.digest, tag })
    }

    pub(super) async fn tag_with(&self, client: &Client, image: &str, tag: &str) -> Result<()> {
        let (repository, version) = super::image::split_tag(tag);
        let options = TagImageOptionsBuilder::default().repo(repository).tag(version).build();
        client.tag_image(image, Some(options)).await.map_err(|error| self.explain(error))
    }

    async fn build_error(
        &self,
        error: bollard::errors::Error,
        progress: &Progress,
        packing: tokio::task::JoinHandle<std::io::Result<()>>,
    ) -> Error {
        match error {
            bollard::errors::Error::DockerStreamError { error } => {
                Error::failed(progress.failure(&bounded(&error)))
            }
            // The engine often rejects a build by its status alone, such as for a Dockerfile that does not parse.
            bollard::errors::Error::DockerResponseServerError { message, .. } => {
                Error::failed(progress.failure(&bounded(&message)))
            }
            other => match timeout(Duration::from_secs(1), packing).await {
                Ok(Ok(Err(ours))) if ours.kind() != std::io::ErrorKind::BrokenPipe => {
                    Error::internal(format!("packing the build context: {ours}"))
                }
                _ => self.explain(other),
            },
        }
    }
}

enum Stop {
    /// By us: the engine has to be told.
    Ended(Error),
    Engine(bollard::errors::Error),
}

/// Why an attempt gave no image.
enum Failure {
    /// What the build used of others, or what it made, was removed meanwhile.
    LayerGone(Error),
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Self::LayerGone(error) | Self::Final(error) => error,
        }
    }
}

async fn follow(
    messages: &mut Messages<'_>,
    progress: &mut Progress,
    log: &mut (impl FnMut(LogLine) + Send),
) -> Result<(), Stop> {
    while let Some(message) = messages.next().await {
        progress.take(message.map_err(Stop::Engine)?, log);
    }
    Ok(())
}

/// Tells the engine to stop, and waits until the build's stream has ended.
async fn stop(
    client: &Client,
    id: &str,
    buildkit: bool,
    messages: impl Stream<Item = Result<BuildInfo, bollard::errors::Error>> + Unpin,
    log: &mut (impl FnMut(LogLine) + Send),
) {
    if !buildkit {
        // The classic builder kills its container when the caller hangs up.
        drop(messages);
        log(LogLine::progress("the engine was told to stop the build"));
        return;
    }
    let drained = async {
        let mut messages = messages;
        // An error here is the engine's word that the build was cancelled: the end, like the end of the stream.
        while let Some(Ok(_)) = messages.next().await {}
    };
    let both = async { tokio::join!(cancel::cancel(client, id), drained) };
    let confirmed = timeout(CONFIRM, both).await.is_ok();
    log(LogLine::progress(if confirmed {
        "the engine has stopped the build"
    } else {
        "the engine was told to stop the build and has not confirmed it; the connection is closed"
    }));
}

async fn scan(request: &BuildRequest) -> Result<Context> {
    let (root, context, dockerfile) =
        (request.root.clone(), request.context.clone(), request.dockerfile.clone());
    let (text, ignore) = (request.extras.dockerfile.clone(), request.extras.dockerignore.clone());
    let scan = move || {
        let written = Written { dockerfile: text.as_deref(), dockerignore: ignore.as_deref() };
        Context::scan(&root, &context, &dockerfile, &written)
    };
    tokio::task::spawn_blocking(scan).await.map_err(Error::internal)?
}

fn modified(request: &BuildRequest) -> u64 {
    request.modified_at.and_then(|at| u64::try_from(at / 1000).ok()).unwrap_or(NO_TIME)
}

/// What this engine cannot do is said before anything is sent.
fn can_do(request: &BuildRequest, facts: &EngineFacts) -> Result<()> {
    if !facts.buildkit && !request.extras.secrets.is_empty() {
        return Err(Error::failed(format!(
            "this build has secrets, and Docker {} has no BuildKit, without which they would stay in the image; take them out of `build.options.secrets`, or use an engine with BuildKit",
            facts.version
        )));
    }
    let Some(platform) = &request.platform else { return Ok(()) };
    let mut parts = platform.split('/');
    let (os, arch) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let own = architecture(&facts.arch);
    if os != facts.os {
        return Err(Error::failed(format!(
            "this engine builds for {}/{own}, and `{platform}` is another system; change `build.options.platforms`",
            facts.os
        )));
    }
    if arch != own && !facts.buildkit {
        return Err(Error::failed(format!(
            "this engine builds for {os}/{own} only, because it has no BuildKit; `{platform}` needs one with BuildKit"
        )));
    }
    Ok(())
}

/// A Dockerfile that only copies what commands have made needs none.
fn has_shm(request: &BuildRequest, facts: &EngineFacts, dockerfile: &str) -> Result<()> {
    let runs =
        |line: &str| line.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("run"));
    let is_deaf = facts.buildkit && facts.major() < SHM_SINCE;
    if request.extras.shm_mb.is_none() || !is_deaf || !dockerfile.lines().any(runs) {
        return Ok(());
    }
    Err(Error::failed(format!(
        "`build.options.shmMb` needs Docker {SHM_SINCE} for a Dockerfile's steps: the BuildKit of Docker {} knows no size of \
         /dev/shm; leave it out, or use another engine",
        facts.version
    )))
}

/// As platforms name it; some engines say what their kernel calls it.
fn architecture(said: &str) -> &str {
    match said {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn announcement(facts: &EngineFacts, context: &Context) -> String {
    let builder = if facts.buildkit { "BuildKit" } else { "the classic builder" };
    format!(
        "Building {} with {builder} on Docker {}: {} files, {} bytes of context",
        context.dockerfile, facts.version, context.files, context.bytes
    )
}

fn options(
    request: &BuildRequest,
    tag: &str,
    dockerfile: &str,
    session: Option<String>,
) -> BuildImageOptions {
    let map = |pairs: HashMap<String, String>| (!pairs.is_empty()).then_some(pairs);
    BuildImageOptions {
        dockerfile: dockerfile.to_string(),
        t: Some(tag.to_string()),
        rm: true,
        forcerm: true,
        buildargs: map(args(request, session.is_some())),
        cachefrom: Some(request.extras.cache_from.clone()).filter(|images| !images.is_empty()),
        labels: map(request.labels.iter().cloned().collect()),
        platform: request.platform.clone().unwrap_or_default(),
        target: request.target.clone().unwrap_or_default(),
        version: if session.is_some() { BuilderVersion::BuilderBuildKit } else { BuilderVersion::BuilderV1 },
        session,
        ..BuildImageOptions::default()
    }
}

/// As parameters of the request: bollard's own are numbers that end at 2 GiB.
fn limits(extras: &BuildExtras, buildkit: bool) -> String {
    let shm = extras.shm_mb.map(|mb| format!("&shmsize={}", u64::from(mb) << 20)).unwrap_or_default();
    if buildkit {
        return shm;
    }
    // As much as the memory: no swap besides.
    let memory = extras.memory_mb.map(|mb| u64::from(mb) << 20);
    let memory = memory.map(|bytes| format!("&memory={bytes}&memswap={bytes}"));
    let quota = extras.cpu_percent.map(|percent| u64::from(percent) * 1000);
    let quota = quota.map(|micros| format!("&cpuperiod=100000&cpuquota={micros}"));
    shm + &memory.into_iter().chain(quota).collect::<String>()
}

fn args(request: &BuildRequest, buildkit: bool) -> HashMap<String, String> {
    let mut args: HashMap<String, String> =
        request.args.iter().map(|arg| (arg.name.clone(), arg.value.clone())).collect();
    if request.extras.inline_cache && buildkit {
        args.insert("BUILDKIT_INLINE_CACHE".into(), "1".into());
    }
    args
}
