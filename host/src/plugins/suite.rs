//! The conformance suite as a condition: what is not built in runs it once, before it may run.
//!
//! It is called apart from the server's own calls: with a budget and slots of its own, unrecorded, and without anything
//! that could be held against the plugin later. That it passed is written into the signed record beside its compiled code,
//! which is only believed for this digest, this version of the program and this contract.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::registry::{Found, Loaded, Loader};
use super::settings::{Limits, PluginSource, Settings, Source};
use super::{Plugins, text};
use crate::domain::admission::{Conformity, is_suite_due};
use crate::domain::breaker::BreakerRules;

/// Processor time of all of a component's calls in the suite: many times what the longest one takes, a strategy's.
const CPU: Duration = Duration::from_secs(30);
const WALL: Duration = Duration::from_secs(150);
/// Of the reason that is stored and shown.
const REASON_BYTES: usize = 1024;

/// What was found out about one component.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) conformity: Conformity,
    /// The first rule that it breaks, and how.
    pub(super) breach: Option<String>,
}

impl Checked {
    fn new(conformity: Conformity) -> Self {
        Self { conformity, breach: None }
    }
}

impl Loader {
    /// Asks the suite about what was found, if it has to be asked and has not answered before. Blocks.
    pub(super) fn checked(
        self: &Arc<Self>,
        settings: &Settings,
        source: &PluginSource,
        found: &Found,
    ) -> Checked {
        let Found::Loaded(plugin) = found else { return Checked::default() };
        let record = settings.records.iter().find(|record| record.name == source.name);
        let is_due = settings.conformance && source.source != Source::Builtin;
        if !is_due || !is_suite_due(record, &plugin.info.digest) {
            return Checked::default();
        }
        if source.skip_conformance {
            return Checked::new(Conformity::Skipped);
        }
        if self.is_known_to_conform(&plugin.info.digest) {
            return Checked::new(Conformity::Passed);
        }
        let (name, started) = (&source.name, Instant::now());
        let breach = self.tokio.block_on(self.breach(plugin));
        tracing::info!(
            "[@plugins:suite] Plugin `{name}` {} the conformance suite in {} ms",
            if breach.is_some() { "failed" } else { "passed" },
            started.elapsed().as_millis()
        );
        if breach.is_some() {
            return Checked { conformity: Conformity::Failed, breach };
        }
        self.remember_that_it_conforms(&plugin.info.digest);
        Checked::new(Conformity::Passed)
    }

    async fn breach(self: &Arc<Self>, plugin: &Loaded) -> Option<String> {
        let of_server = &self.runtime.limits;
        let limits = Limits {
            concurrent_calls: 1,
            cpu_per_minute: CPU,
            wall_per_minute: WALL,
            // Faults in a row are what the suite counts by itself.
            breaker: BreakerRules { faults: u32::MAX, ..of_server.breaker },
            ..of_server.clone()
        };
        let runtime = Arc::new(self.runtime.apart(limits));
        let name = plugin.info.manifest.name.as_str();
        let apart = plugin.watched_by(runtime.supervisor.watch(name, &plugin.info.digest));
        let plugins = Plugins::alone(runtime, self.clone(), apart);
        let why = match tokio::time::timeout(WALL, plugins.first_breach(name)).await {
            Ok(Ok(None)) => return None,
            Ok(Ok(Some(finding))) => {
                let how = finding.detail.lines().next().unwrap_or_default();
                format!("the rule `{}` ({}) is broken: {how}", finding.rule, finding.promise)
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it was not done after {} s", WALL.as_secs()),
        };
        Some(format!("it fails the conformance suite: {}", text::line(&why, REASON_BYTES)))
    }

    fn is_known_to_conform(&self, digest: &str) -> bool {
        let record = self.cache.as_ref().and_then(|cache| cache.record(&self.stem(digest)).ok().flatten());
        record.is_some_and(|record| record.conforms && record.contract == self.contract)
    }

    /// Where that cannot be written, the suite runs again at the next start.
    fn remember_that_it_conforms(&self, digest: &str) {
        let Some(cache) = &self.cache else { return };
        let stem = self.stem(digest);
        let Ok(Some(mut record)) = cache.record(&stem) else { return };
        record.conforms = true;
        if let Err(error) = cache.write(&stem, &record) {
            tracing::warn!("[@plugins:suite] That sha256:{digest} conforms cannot be written down: {error}");
        }
    }
}
