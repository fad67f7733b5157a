//! What was decided about each plugin when it was loaded: the decision is [`judge`]'s, this carries it out and shows it.

use std::collections::{BTreeMap, BTreeSet};

use super::builtin::BUILTIN;
use super::registry::{Entry, Found, Loader, Table};
use super::settings::{PluginSource, Settings, Source};
use super::source::source_name;
use super::suite::Checked;
use crate::domain::admission::{
    AskChange, Candidate, Conformity, PluginState, Runs, Verdict, ask_change, asks, is_granted, judge,
};
use crate::domain::plugin::{PluginAdmission, PluginInfo};

/// By the plugin's name.
pub type Admitted = BTreeMap<String, Admission>;

/// What was found under a name, and what was decided about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// sha256 of the component that was found, in hex, if its bytes could be read.
    pub digest: Option<String>,
    pub source: String,
    pub verdict: Verdict,
    pub conformity: Conformity,
    /// It was installed over the API.
    pub installed: bool,
    /// What its manifest asks for; nothing if that could not be read.
    pub asks: Vec<String>,
    /// Worth remembering. What could not be read may be there again at the next start, or on another node.
    pub is_settled: bool,
}

impl Admission {
    /// For people, with the digest that stands under the name and what runs there.
    pub(super) fn shown(&self, listed: Option<&str>, running: Option<&PluginInfo>) -> PluginAdmission {
        let verdict = &self.verdict;
        let held = self.digest.as_deref().filter(|digest| {
            verdict.state != PluginState::Enabled || (Some(*digest) != listed && self.is_settled)
        });
        let change = match verdict.state {
            PluginState::AwaitingApproval => {
                let before = running.map(|info| asks(&info.manifest)).unwrap_or_default();
                ask_change(&before, &self.asks)
            }
            _ => AskChange::default(),
        };
        PluginAdmission {
            state: verdict.state,
            conformity: self.conformity,
            installed: self.installed,
            held_digest: held.map(str::to_owned),
            last_good_digest: verdict.last_good_digest.clone(),
            reason: verdict.reason.clone(),
            granted: verdict.granted.clone(),
            missing: verdict.missing.clone(),
            change,
        }
    }
}

/// Decides about everything that was found, and says what is to be callable.
pub(super) fn admit(
    loader: &Loader,
    settings: &Settings,
    found: Vec<(PluginSource, Found, Checked)>,
) -> (Table, Admitted) {
    let (mut table, mut admitted) = (Table::new(), Admitted::new());
    for (source, found, checked) in found {
        let record = settings.records.iter().find(|record| record.name == source.name);
        let (digest, asked, error) = match &found {
            Found::Loaded(plugin) => (Some(plugin.info.digest.clone()), asks(&plugin.info.manifest), None),
            Found::Failed { digest, error } => (digest.clone(), Vec::new(), Some(error.as_str())),
        };
        let candidate = Candidate {
            digest: digest.as_deref(),
            asks: asked.clone(),
            error,
            breach: checked.breach.as_deref(),
            configured: &source.grant,
            is_builtin: source.source == Source::Builtin,
        };
        let verdict = judge(record, &candidate);
        let is_loadable = error.is_none();
        let shown = source_name(&source.source);
        let entry = entry(loader, &source, found, &verdict);
        let is_settled = digest.is_some() && (is_loadable || matches!(entry, Entry::Loaded(_)));
        if let Entry::Failed { error, .. } = &entry
            && verdict.state != PluginState::Disabled
        {
            tracing::error!("[@plugins:registry] Plugin `{}` is not loaded: {error}", source.name);
        } else if let Some(reason) = &verdict.reason {
            tracing::warn!(
                "[@plugins:registry] Plugin `{}` is {}: {reason}",
                source.name,
                verdict.state.as_str()
            );
        }
        let conformity = checked.conformity;
        let installed = matches!(source.source, Source::Kept { .. });
        let admission =
            Admission { digest, source: shown, verdict, conformity, installed, asks: asked, is_settled };
        admitted.insert(source.name.clone(), admission);
        table.insert(source.name, entry);
    }
    let digests = admitted.values().flat_map(|admission| {
        [admission.digest.clone(), admission.verdict.last_good_digest.clone()].into_iter().flatten()
    });
    let remembered = settings
        .records
        .iter()
        .flat_map(|record| [record.digest.clone(), record.last_good_digest.clone()].into_iter().flatten());
    let wanted: BTreeSet<String> = digests.chain(remembered).collect();
    loader.components().prune(&wanted);
    if let Some(cache) = &loader.cache {
        cache.retain(|digest| {
            wanted.contains(digest) || BUILTIN.iter().any(|builtin| builtin.sha256 == digest)
        });
    }
    (table, admitted)
}

fn entry(loader: &Loader, source: &PluginSource, found: Found, verdict: &Verdict) -> Entry {
    let shown = source_name(&source.source);
    match (&verdict.runs, found) {
        (Runs::Candidate, Found::Loaded(plugin)) => Entry::Loaded(plugin),
        (Runs::Earlier(digest), found) => match earlier(loader, source, digest, verdict) {
            Ok(entry) => entry,
            Err(error) => {
                let reason = verdict.reason.clone().unwrap_or_default();
                let error = format!("{reason}. What ran before cannot run either: {error}");
                Entry::Failed { source: shown, digest: found.digest(), error }
            }
        },
        (_, found) => {
            let digest = found.digest();
            let error = match (verdict.state, found) {
                (PluginState::Disabled, _) => {
                    format!("it is disabled; `windlass plugin enable {}` starts it", source.name)
                }
                (PluginState::AwaitingApproval, _) => format!(
                    "{}. If it may have that, `windlass plugin approve {}` starts it",
                    verdict.reason.clone().unwrap_or_default(),
                    source.name
                ),
                (_, Found::Failed { error, .. }) => error,
                (state, _) => {
                    format!("it is {}: {}", state.as_str(), verdict.reason.clone().unwrap_or_default())
                }
            };
            Entry::Failed { source: shown, digest, error }
        }
    }
}

fn earlier(loader: &Loader, source: &PluginSource, digest: &str, verdict: &Verdict) -> Result<Entry, String> {
    let kept = Source::Kept { digest: digest.to_owned(), source: source_name(&source.source) };
    match loader.load(&PluginSource::new(&source.name, kept)) {
        Found::Loaded(plugin) => {
            let asked = asks(&plugin.info.manifest);
            match asked.iter().find(|ask| !is_granted(&verdict.granted, ask)) {
                Some(ask) if source.source != Source::Builtin => {
                    Err(format!("`{ask}` is not granted to it either"))
                }
                _ => Ok(Entry::Loaded(plugin)),
            }
        }
        Found::Failed { error, .. } => Err(error),
    }
}
