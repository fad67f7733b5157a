//! Previews: each open pull request of a stack's repository gets a stack of its own, for as long as it is open.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::build_config::BuildSettings;
use super::build_options::Cache;
use super::forge::PullRequest;
use super::stack::{RunSpec, check_name};
use super::traffic::Traffic;
use super::{Id, UnixMs, reference};
use crate::error::{Error, Result};

const DAY_MS: UnixMs = 24 * 3600 * 1000;
const MOST_DAYS: u32 = 365;
const MOST_AT_A_TIME: u32 = 100;
/// What stands for the pull request's number in a host.
const NUMBER: &str = "{number}";

/// How a stack's pull requests are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreviewSettings {
    /// Where the router takes a preview's requests: `pr-{number}.shop.example`. Empty: each preview has a free port on the
    /// machine's loopback address.
    #[serde(default)]
    pub host: String,
    /// Days after the newest commit at which a preview ends although its pull request is open.
    #[serde(default = "week")]
    pub days: u32,
    /// Previews at a time; further pull requests wait.
    #[serde(default = "five")]
    pub most: u32,
}

fn week() -> u32 {
    7
}

fn five() -> u32 {
    5
}

impl Default for PreviewSettings {
    fn default() -> Self {
        Self { host: String::new(), days: week(), most: five() }
    }
}

impl PreviewSettings {
    /// # Errors
    /// `Invalid` with the field.
    pub fn check(&self) -> Result<()> {
        for (field, value, most) in [("days", self.days, MOST_DAYS), ("most", self.most, MOST_AT_A_TIME)] {
            if !(1..=most).contains(&value) {
                return Err(Error::invalid(field, format!("{field} has to be between 1 and {most}")));
            }
        }
        if self.host.is_empty() {
            return Ok(());
        }
        if self.host.matches(NUMBER).count() != 1 || self.host.contains('*') {
            let message = format!("`{}` has to contain {NUMBER} once, and no *", self.host.escape_debug());
            return Err(Error::invalid("host", message));
        }
        self.traffic(u32::MAX.into()).check().map_err(|error| match error {
            Error::Invalid { message, .. } => Error::invalid("host", message),
            other => other,
        })
    }

    /// How the preview of a pull request is reached.
    pub fn traffic(&self, number: i64) -> Traffic {
        let hosts = match self.host.as_str() {
            "" => Vec::new(),
            host => vec![host.replace(NUMBER, &number.to_string())],
        };
        Traffic { hosts, ..Traffic::default() }
    }

    fn ends_at(&self, now: UnixMs) -> UnixMs {
        now + i64::from(self.days) * DAY_MS
    }
}

/// What is known of the pull requests of one stack, and when there is something to do about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviewWatch {
    pub stack_id: Id,
    pub settings: PreviewSettings,
    /// Off: what there is ends, and then this as well.
    pub enabled: bool,
    pub next_at: UnixMs,
    /// When the forge is asked again.
    pub ask_at: UnixMs,
    pub asked_at: Option<UnixMs>,
    /// Why the forge could not be asked the last time.
    pub error: Option<String>,
}

/// An open pull request, and what has become of it here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The stack whose repository it is about.
    pub parent_id: Id,
    pub number: i64,
    pub title: String,
    /// Page for people.
    pub url: String,
    pub branch: String,
    /// Its newest commit.
    pub commit: String,
    pub state: PreviewState,
    /// The stack that shows it.
    pub stack_id: Option<Id>,
    /// The commit that was last deployed there.
    pub deployed: Option<String>,
    /// The commit of which the pull request was told.
    pub told: Option<String>,
    pub expires_at: UnixMs,
    /// Why the newest commit could not be deployed.
    pub error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PreviewState {
    Live,
    /// There are as many as there may be.
    Waiting,
    /// The pull request comes from another repository.
    Fork,
    /// Its time is over, until there is another commit.
    Expired,
    /// The pull request is closed.
    Ending,
}

impl PreviewState {
    const ALL: [Self; 5] = [Self::Live, Self::Waiting, Self::Fork, Self::Expired, Self::Ending];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Waiting => "waiting",
            Self::Fork => "fork",
            Self::Expired => "expired",
            Self::Ending => "ending",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Why there is no preview, for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Live => "",
            Self::Waiting => "waits until another preview ends: there are as many as there may be",
            Self::Fork => {
                "has none: its commits are from another repository, and would be built with this stack's secrets"
            }
            Self::Expired => "has ended; the next commit brings it back",
            Self::Ending => "is being removed",
        }
    }
}

/// Name of the stack that shows a pull request of `parent`.
///
/// # Errors
/// `Invalid` if the parent's name leaves no room for it.
pub fn stack_name(parent: &str, number: i64) -> Result<String> {
    let name = format!("{parent}-pr-{number}");
    check_name("name", &name)?;
    Ok(name)
}

/// How a preview is built: as its parent is, and by no push. What was not merged stays on this machine: in no registry, and in
/// no cache that other builds begin with.
pub fn build_settings(parent: &BuildSettings) -> BuildSettings {
    let mut build = BuildSettings { auto_deploy_on_push: false, ..parent.clone() };
    let options = &mut build.options;
    options.push.clear();
    options.cache = Cache::Local;
    // Only a registry has one name for several; a preview's engine runs its own.
    if options.platforms.len() > 1 {
        options.platforms.clear();
    }
    build
}

/// How a preview runs: as its parent does, once, without its ports on the machine and without its volumes. Those hold what
/// the parent's users have stored.
pub fn run_spec(parent: &RunSpec) -> RunSpec {
    let mut run = RunSpec { replicas: 1, volumes: Vec::new(), allow_downtime: true, ..parent.clone() };
    for port in &mut run.ports {
        (port.host, port.address) = (None, "127.0.0.1".into());
    }
    run
}

/// What becomes of the pull requests that a forge says are open: those into the branch `base`. What is not among them ends.
pub fn follow(
    watch: &PreviewWatch,
    base: &str,
    open: &[PullRequest],
    known: &[Preview],
    now: UnixMs,
) -> Vec<Preview> {
    let old: HashMap<i64, &Preview> = known.iter().map(|row| (row.number, row)).collect();
    let mut rows: Vec<Preview> = open
        .iter()
        .filter(|pull| pull.base_branch == base && is_usable(pull))
        .filter_map(|pull| Some(judged(watch, pull, i64::try_from(pull.number).ok()?, &old, now)))
        .collect();
    // Those that are there already stay; then the oldest come first.
    rows.sort_by_key(|row| (row.stack_id.is_none(), row.number));
    let most = usize::try_from(watch.settings.most).unwrap_or(usize::MAX);
    for row in rows.iter_mut().filter(|row| row.state == PreviewState::Live).skip(most) {
        row.state = PreviewState::Waiting;
    }
    let closed = known.iter().filter(|row| !rows.iter().any(|open| open.number == row.number));
    let closed: Vec<Preview> =
        closed.map(|row| Preview { state: PreviewState::Ending, ..row.clone() }).collect();
    rows.extend(closed);
    rows
}

/// Names come from whoever opened the pull request.
fn is_usable(pull: &PullRequest) -> bool {
    reference::check_name(&pull.head_branch).is_ok() && reference::check_commit(&pull.head_commit).is_ok()
}

fn judged(
    watch: &PreviewWatch,
    pull: &PullRequest,
    number: i64,
    old: &HashMap<i64, &Preview>,
    now: UnixMs,
) -> Preview {
    let old = old.get(&number);
    let is_same = old.is_some_and(|row| row.commit == pull.head_commit);
    let state = match old.map(|row| row.state) {
        _ if pull.from_fork => PreviewState::Fork,
        // Closed and opened again: what there was ends first.
        Some(PreviewState::Ending) => PreviewState::Ending,
        Some(PreviewState::Expired) if is_same => PreviewState::Expired,
        _ => PreviewState::Live,
    };
    let was_live = old.is_some_and(|row| row.state == state);
    Preview {
        parent_id: watch.stack_id.clone(),
        number,
        title: pull.title.clone(),
        url: pull.url.clone(),
        branch: pull.head_branch.clone(),
        commit: pull.head_commit.clone(),
        state,
        stack_id: old.and_then(|row| row.stack_id.clone()),
        deployed: old.and_then(|row| row.deployed.clone()),
        told: old.and_then(|row| row.told.clone()),
        expires_at: match old {
            Some(row) if is_same && was_live => row.expires_at,
            _ => watch.settings.ends_at(now),
        },
        error: old.and_then(|row| row.error.clone()).filter(|_| is_same),
    }
}

/// Whether its time is over, or somebody has deleted its stack.
pub fn is_over(row: &Preview, now: UnixMs) -> bool {
    let is_gone = row.stack_id.is_none() && row.deployed.as_ref() == Some(&row.commit);
    row.state == PreviewState::Live && (row.expires_at <= now || is_gone)
}

#[cfg(test)]
#[path = "preview_tests.rs"]
mod tests;
