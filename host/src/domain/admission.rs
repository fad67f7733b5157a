//! Which component may run under a plugin's name: the one that is configured, the last good one, or none.
//!
//! Pure: what is remembered of a plugin, and what was found when it was loaded, decide.

use serde::{Deserialize, Serialize};

use super::UnixMs;
use super::plugin::Manifest;

/// Whether a plugin may run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    #[default]
    Enabled,
    /// An operator switched it off.
    Disabled,
    /// This component failed where another one had been good. The other one runs.
    Quarantined,
    /// It asks for more than was granted. What ran before runs on.
    AwaitingApproval,
}

impl PluginState {
    pub const ALL: [Self; 4] = [Self::Enabled, Self::Disabled, Self::Quarantined, Self::AwaitingApproval];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Quarantined => "quarantined",
            Self::AwaitingApproval => "awaiting_approval",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What the conformance suite says about a component.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conformity {
    /// It was not asked: the component is built in, does not load, or may not run anyway.
    #[default]
    Unchecked,
    Passed,
    Failed,
    /// The operator wants it to run without.
    Skipped,
}

impl Conformity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What is remembered of a plugin from one start to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRecord {
    pub name: String,
    /// sha256 of the component that `state` is about, in hex; none if its bytes could never be read.
    pub digest: Option<String>,
    /// `builtin`, `path:…`, `oci:…` or `upload`.
    pub source: String,
    pub state: PluginState,
    /// The component to return to.
    pub last_good_digest: Option<String>,
    /// What an operator approved beyond what the configuration grants; see [`asks`].
    pub granted: Vec<String>,
    /// Why it is in this state.
    pub reason: Option<String>,
    /// It was installed over the API, so its component is only in the data folder.
    pub installed: bool,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// What was found under a plugin's name.
#[derive(Debug, Clone, Default)]
pub struct Candidate<'a> {
    pub digest: Option<&'a str>,
    /// What its manifest asks for.
    pub asks: Vec<String>,
    /// Why it could not be loaded.
    pub error: Option<&'a str>,
    /// The first rule of the conformance suite that it breaks.
    pub breach: Option<&'a str>,
    /// What the configuration grants it.
    pub configured: &'a [String],
    /// It came with the program, and so with the operator's trust.
    pub is_builtin: bool,
}

/// What is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    Candidate,
    /// An earlier component, by its digest.
    Earlier(String),
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub state: PluginState,
    pub runs: Runs,
    pub last_good_digest: Option<String>,
    /// What it may use: by the configuration and by approval.
    pub granted: Vec<String>,
    /// What it asks for and nobody has granted.
    pub missing: Vec<String>,
    pub reason: Option<String>,
}

/// What a manifest asks for, a line each: `http:<METHOD> <path>`, with `*` for all methods, and `credential:<slot>`.
pub fn asks(manifest: &Manifest) -> Vec<String> {
    let requests = manifest.permissions.iter().flat_map(|permission| {
        if let Some(origin) = extra_origin(&permission.path) {
            return vec![format!("http:{origin}")];
        }
        let all = ["*".to_owned()];
        let methods = if permission.methods.is_empty() { &all[..] } else { &permission.methods };
        methods.iter().map(|method| format!("http:{method} {}", permission.path)).collect::<Vec<String>>()
    });
    let credentials = manifest.credentials.iter().map(|slot| format!("credential:{}", slot.name));
    let mut asks: Vec<String> = requests.chain(credentials).collect();
    asks.sort_unstable();
    asks.dedup();
    asks
}

/// How what a component asks for differs from what another one does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskChange {
    /// The other one does not ask for it.
    pub new: Vec<String>,
    /// Only the other one asks for it.
    pub gone: Vec<String>,
}

/// What is new and what is gone in `asked`, compared with `before`; everything is new where nothing was before.
pub fn ask_change(before: &[String], asked: &[String]) -> AskChange {
    let without =
        |all: &[String], others: &[String]| all.iter().filter(|ask| !others.contains(ask)).cloned().collect();
    AskChange { new: without(asked, before), gone: without(before, asked) }
}

/// `https://host:port` of a permission for an origin that is not the connection's own, as it is written there.
fn extra_origin(path: &str) -> Option<&str> {
    let (scheme, rest) = path.split_once("://")?;
    let authority = rest.split('/').next().unwrap_or_default();
    path.get(..scheme.len() + "://".len() + authority.len())
}

/// Whether one of the grants covers what is asked. `http:self` is every request to the connection's own address,
/// `credential:*` every credential slot.
pub fn is_granted(granted: &[String], ask: &str) -> bool {
    granted.iter().any(|grant| match grant.as_str() {
        "http:self" => ask.starts_with("http:") && !ask.contains("://"),
        "credential:*" => ask.starts_with("credential:"),
        grant => grant == ask,
    })
}

/// What is wrong with a grant as written in the configuration.
pub fn check_grant(grant: &str) -> Result<(), String> {
    let is_good = match grant.split_once(':') {
        Some(("http", "self")) => true,
        Some(("http", request)) if request.contains("://") => extra_origin(request) == Some(request),
        Some(("http", request)) => request.split_once(' ').is_some_and(|(_, path)| path.starts_with('/')),
        Some(("credential", rest)) => !rest.is_empty(),
        _ => false,
    };
    if is_good {
        return Ok(());
    }
    Err(format!(
        "`{}` is no grant; write http:self, `http:GET /path`, http:https://host[:port], credential:<slot> or credential:*",
        grant.escape_debug()
    ))
}

/// Whether the conformance suite has to be asked about a component before [`judge`] can decide: not if it would not run
/// anyway.
pub fn is_suite_due(record: Option<&PluginRecord>, digest: &str) -> bool {
    record.is_none_or(|record| match record.state {
        PluginState::Disabled => false,
        PluginState::Quarantined => record.digest.as_deref() != Some(digest),
        PluginState::Enabled | PluginState::AwaitingApproval => true,
    })
}

/// Decides what runs. The earlier component is what ran until now.
pub fn judge(record: Option<&PluginRecord>, candidate: &Candidate<'_>) -> Verdict {
    let granted = granted(record, candidate);
    let running = record.filter(|record| record.state == PluginState::Enabled);
    let known = running.and_then(|record| record.digest.as_ref()).into_iter();
    let mut known = known.chain(record.and_then(|record| record.last_good_digest.as_ref()));
    let earlier = known.find(|digest| Some(digest.as_str()) != candidate.digest).cloned();
    let last_good = record.and_then(|record| record.last_good_digest.clone());
    let held = |state, reason: Option<String>, missing| Verdict {
        state,
        runs: earlier.clone().map_or(Runs::Nothing, Runs::Earlier),
        last_good_digest: earlier.clone().or(last_good.clone()),
        granted: granted.clone(),
        missing,
        reason,
    };
    let same = record.filter(|record| record.digest.as_deref() == candidate.digest);
    if let Some(record) = record.filter(|record| record.state == PluginState::Disabled) {
        let held = held(PluginState::Disabled, record.reason.clone(), vec![]);
        return Verdict { runs: Runs::Nothing, last_good_digest: last_good, ..held };
    }
    if let Some(error) = candidate.error {
        let state = if earlier.is_some() { PluginState::Quarantined } else { PluginState::Enabled };
        return held(state, Some(error.to_owned()), vec![]);
    }
    if let Some(record) = same.filter(|record| record.state == PluginState::Quarantined) {
        return held(PluginState::Quarantined, record.reason.clone(), vec![]);
    }
    if let Some(breach) = candidate.breach {
        return held(PluginState::Quarantined, Some(breach.to_owned()), vec![]);
    }
    let missing: Vec<String> =
        candidate.asks.iter().filter(|ask| !is_granted(&granted, ask)).cloned().collect();
    if !missing.is_empty() && !candidate.is_builtin {
        let reason = format!("it asks for what was not granted: {}", missing.join(", "));
        return held(PluginState::AwaitingApproval, Some(reason), missing);
    }
    Verdict {
        state: PluginState::Enabled,
        runs: Runs::Candidate,
        // The first component of a plugin has to be good enough: there is no better one to return to.
        last_good_digest: last_good.or_else(|| candidate.digest.map(str::to_owned)),
        granted,
        missing: Vec::new(),
        reason: None,
    }
}

fn granted(record: Option<&PluginRecord>, candidate: &Candidate<'_>) -> Vec<String> {
    let remembered = record.map(|record| record.granted.as_slice()).unwrap_or_default();
    let trusted = if candidate.is_builtin { candidate.asks.as_slice() } else { &[] };
    let mut all: Vec<String> =
        remembered.iter().chain(candidate.configured).chain(trusted).cloned().collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(state: PluginState, digest: &str, last_good: Option<&str>) -> PluginRecord {
        PluginRecord {
            name: "mine".into(),
            digest: Some(digest.into()),
            source: "path:mine.wasm".into(),
            state,
            last_good_digest: last_good.map(Into::into),
            granted: Vec::new(),
            reason: None,
            installed: false,
            created_at: 0,
            updated_at: 0,
        }
    }

    fn found(digest: &str) -> Candidate<'_> {
        Candidate { digest: Some(digest), ..Candidate::default() }
    }

    #[test]
    fn the_first_component_runs_and_is_what_is_returned_to() {
        let verdict = judge(None, &found("a"));
        assert_eq!((verdict.state, verdict.runs), (PluginState::Enabled, Runs::Candidate));
        assert_eq!(verdict.last_good_digest.as_deref(), Some("a"));
    }

    #[test]
    fn a_new_component_runs_and_the_good_one_stays_known() {
        let verdict = judge(Some(&record(PluginState::Enabled, "a", Some("a"))), &found("b"));
        assert_eq!(verdict.runs, Runs::Candidate);
        assert_eq!(verdict.last_good_digest.as_deref(), Some("a"));
    }

    #[test]
    fn what_does_not_load_leaves_the_earlier_one_running() {
        let broken = Candidate { error: Some("no component"), ..found("b") };
        let verdict = judge(Some(&record(PluginState::Enabled, "a", Some("a"))), &broken);
        assert_eq!((verdict.state, verdict.runs), (PluginState::Quarantined, Runs::Earlier("a".into())));
        assert_eq!(verdict.reason.as_deref(), Some("no component"));
        // With nothing to return to it is just not loaded.
        let verdict = judge(None, &broken);
        assert_eq!((verdict.state, verdict.runs), (PluginState::Enabled, Runs::Nothing));
    }

    #[test]
    fn what_was_good_and_no_longer_loads_gives_way_to_the_last_good_one() {
        let broken = Candidate { error: Some("damaged"), ..found("b") };
        let verdict = judge(Some(&record(PluginState::Enabled, "b", Some("a"))), &broken);
        assert_eq!(verdict.runs, Runs::Earlier("a".into()));
    }

    #[test]
    fn what_breaks_a_rule_is_quarantined_even_if_nothing_else_could_run() {
        let broken = Candidate { breach: Some("it loops"), ..found("b") };
        let verdict = judge(Some(&record(PluginState::Enabled, "a", Some("a"))), &broken);
        assert_eq!((verdict.state, verdict.runs), (PluginState::Quarantined, Runs::Earlier("a".into())));
        let verdict = judge(None, &broken);
        assert_eq!((verdict.state, verdict.runs), (PluginState::Quarantined, Runs::Nothing));
        assert_eq!((verdict.last_good_digest, verdict.reason), (None, Some("it loops".into())));
    }

    #[test]
    fn nobody_waits_for_the_suite_if_the_component_would_not_run_anyway() {
        assert!(is_suite_due(None, "a"));
        assert!(is_suite_due(Some(&record(PluginState::Enabled, "a", None)), "a"));
        assert!(is_suite_due(Some(&record(PluginState::Quarantined, "a", None)), "b"));
        assert!(!is_suite_due(Some(&record(PluginState::Quarantined, "a", None)), "a"));
        assert!(!is_suite_due(Some(&record(PluginState::Disabled, "a", None)), "b"));
    }

    #[test]
    fn a_quarantined_component_stays_out_until_there_is_another() {
        let record = record(PluginState::Quarantined, "b", Some("a"));
        assert_eq!(judge(Some(&record), &found("b")).runs, Runs::Earlier("a".into()));
        assert_eq!(judge(Some(&record), &found("c")).runs, Runs::Candidate);
    }

    #[test]
    fn what_an_upgrade_asks_for_is_told_as_what_is_new_and_what_is_gone() {
        let asks = |asks: &[&str]| asks.iter().map(|&ask| ask.to_owned()).collect::<Vec<_>>();
        let (before, now) =
            (asks(&["http:GET /a", "http:GET /b"]), asks(&["credential:token", "http:GET /b"]));
        let wanted = AskChange { new: asks(&["credential:token"]), gone: asks(&["http:GET /a"]) };
        assert_eq!(ask_change(&before, &now), wanted);
        assert_eq!(ask_change(&now, &now), AskChange::default());
        assert_eq!(ask_change(&[], &now), AskChange { new: now, gone: Vec::new() });
    }

    #[test]
    fn an_upgrade_that_asks_for_more_waits_and_the_old_one_runs_on() {
        let more = Candidate { asks: vec!["credential:token".into(), "http:GET /a".into()], ..found("c") };
        let mut remembered = record(PluginState::Enabled, "b", Some("a"));
        remembered.granted = vec!["http:GET /a".into()];
        let verdict = judge(Some(&remembered), &more);
        assert_eq!(verdict.state, PluginState::AwaitingApproval);
        assert_eq!(verdict.runs, Runs::Earlier("b".into()), "what ran, not what ran before that");
        assert_eq!(verdict.missing, ["credential:token"]);
        remembered.granted.push("credential:token".into());
        assert_eq!(judge(Some(&remembered), &more).runs, Runs::Candidate);
        // The program's own plugins come with the operator's trust.
        assert_eq!(judge(None, &Candidate { is_builtin: true, ..more.clone() }).runs, Runs::Candidate);
        // Without anything that ran before, nothing runs.
        assert_eq!(judge(None, &more).runs, Runs::Nothing);
        let configured = ["http:self".to_owned(), "credential:*".to_owned()];
        assert_eq!(judge(None, &Candidate { configured: &configured, ..more }).runs, Runs::Candidate);
    }

    #[test]
    fn a_disabled_plugin_does_not_run_whatever_is_found() {
        let verdict = judge(Some(&record(PluginState::Disabled, "a", Some("a"))), &found("b"));
        assert_eq!((verdict.state, verdict.runs), (PluginState::Disabled, Runs::Nothing));
        assert_eq!(verdict.last_good_digest.as_deref(), Some("a"));
    }

    #[test]
    fn a_grant_for_the_connection_covers_no_other_origin() {
        let granted = ["http:self".to_owned()];
        assert!(is_granted(&granted, "http:GET /repos/**"));
        assert_eq!(extra_origin("https://store.example:8443/files/**"), Some("https://store.example:8443"));
        assert_eq!(extra_origin("/files/**"), None);
        assert!(!is_granted(&granted, "http:https://store.example:8443"));
        assert!(is_granted(
            &["http:https://store.example:8443".to_owned()],
            "http:https://store.example:8443"
        ));
    }

    #[test]
    fn only_well_formed_grants_are_taken() {
        for good in
            ["http:self", "http:GET /repos/**", "credential:token", "credential:*", "http:https://x:8443"]
        {
            assert_eq!(check_grant(good), Ok(()), "{good}");
        }
        for bad in
            ["", "*", "http:", "http:GET", "http:GET repos", "net:self", "credential:", "http:https://x/a"]
        {
            assert!(check_grant(bad).is_err(), "{bad}");
        }
    }
}
