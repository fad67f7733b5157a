//! Who is told what: channels, rules, deliveries, and the reckoning that keeps quiet.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::notification::{Notification, Severity};
use super::template::filled_text;
use super::{Id, UnixMs};
use crate::error::{Error, Result};

/// Kinds of events that can be told. Those of the last three lines are the installation's.
pub const KINDS: [&str; 25] = [
    "deployment.started",
    "deployment.successful",
    "deployment.failed",
    "deployment.rolled_back",
    "deployment.cancelled",
    "deployment.approval",
    "deployment.approved",
    "deployment.refused",
    "deployment.share_moved",
    "deployment.batch_replaced",
    "deployment.judged",
    "deployment.paused",
    "deployment.resumed",
    "deployment.promoted",
    "deployment.baking",
    "deployment.switched_back",
    "deployment.aborted",
    "build.successful",
    "build.failed",
    "provider.degraded",
    "provider.recovered",
    "certificate.failed",
    "certificate.issued",
    "plugin.quarantined",
    "plugin.recovered",
];

/// Events that join into one message at most.
pub const MOST_JOINED: usize = 50;
/// Longest title and text of a rule's own, in bytes.
const TEMPLATE_BYTES: usize = 4096;
/// Patterns of one rule.
const PATTERNS: usize = 32;
const DAY_SECS: u32 = 86_400;

/// Where people or programs are told.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    pub id: Id,
    pub seq: i64,
    pub team_id: Id,
    /// Unique in the team.
    pub name: String,
    /// Name of the plugin.
    pub plugin: String,
    pub url: String,
    /// The plugin's.
    pub settings: Value,
    /// Sealed.
    pub credentials: Option<String>,
    /// Until when the secret before the present one counts.
    pub previous_until: Option<UnixMs>,
    /// An administrator of the installation says that the URL leads into a private network.
    pub private_network: bool,
    /// In PEM; trusted beside the system's.
    pub certificates: Option<String>,
    pub enabled: bool,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// What a channel is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub id: Id,
    pub seq: i64,
    pub channel_id: Id,
    /// None: all stacks of the channel's team.
    pub stack_id: Option<Id>,
    pub plan: RulePlan,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// What a person writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RulePlan {
    /// Kinds of events, such as `deployment.failed`; `deployment.*` is all that begin so, `*` all.
    pub events: Vec<String>,
    /// Also what happens to the installation: providers, certificates, plugins. Only its administrators can say so.
    #[serde(default)]
    pub installation: bool,
    /// What happens to one stack within so many seconds is told in one message; 0 to 3600.
    #[serde(default = "window")]
    pub window_secs: u32,
    /// What failed and fails again is told once in so many seconds, and its recovery always; 0 to 604800. Steps on the way of a
    /// rollout wait so long for what they lead to. With 0 everything that fits is told, and nothing else.
    #[serde(default = "quiet")]
    pub quiet_secs: u32,
    /// Instead of the usual title. `{{title}}`, `{{text}}`, `{{kind}}`, `{{severity}}`, `{{stack}}` and `{{url}}` stand for
    /// what is usually told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Instead of the usual text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn window() -> u32 {
    10
}

fn quiet() -> u32 {
    3600
}

fn yes() -> bool {
    true
}

impl RulePlan {
    /// # Errors
    /// `Invalid` with the field.
    pub fn check(&self) -> Result<()> {
        if self.events.is_empty() || self.events.len() > PATTERNS {
            let known = KINDS.join(", ");
            return Err(Error::invalid(
                "events",
                format!("name 1 to {PATTERNS} kinds of events; there are {known}"),
            ));
        }
        if let Some(unknown) =
            self.events.iter().find(|pattern| !KINDS.iter().any(|kind| fits(pattern, kind)))
        {
            let message = format!(
                "no event is called `{unknown}`; there are {}, and patterns like deployment.*",
                KINDS.join(", ")
            );
            return Err(Error::invalid("events", message));
        }
        if self.window_secs > 3600 {
            return Err(Error::invalid("windowSecs", "a message waits for others at most 3600 seconds"));
        }
        if self.quiet_secs > 7 * DAY_SECS {
            return Err(Error::invalid(
                "quietSecs",
                "what goes on failing is told at least once a week: 604800 seconds",
            ));
        }
        for (field, template) in [("title", &self.title), ("text", &self.text)] {
            let Some(template) = template else { continue };
            if template.len() > TEMPLATE_BYTES {
                return Err(Error::invalid(field, format!("a template has at most {TEMPLATE_BYTES} bytes")));
            }
            filled_text(template, field, &places(&Notification::sample()))?;
        }
        Ok(())
    }

    pub fn wants(&self, kind: &str) -> bool {
        self.enabled && self.events.iter().any(|pattern| fits(pattern, kind))
    }

    /// How long a message waits for others. Steps on the way wait for what they lead to, which takes them along.
    pub fn wait_ms(&self, outcome: Outcome) -> UnixMs {
        let secs = if outcome == Outcome::OnTheWay {
            self.quiet_secs.max(self.window_secs)
        } else {
            self.window_secs
        };
        i64::from(secs) * 1000
    }

    /// With the rule's own words. What an event says is put in as it is and not looked at again.
    pub fn worded(&self, usual: Notification) -> Result<Notification> {
        let places = places(&usual);
        let word = |template: &Option<String>, field: &str, usual: String| match template {
            Some(template) => filled_text(template, field, &places),
            None => Ok(usual),
        };
        let title = word(&self.title, "title", usual.title.clone())?;
        let text = word(&self.text, "text", usual.text.clone())?;
        Ok(Notification { title, text, ..usual })
    }
}

fn fits(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => (beginning.is_empty() || beginning.ends_with('.')) && kind.starts_with(beginning),
        None => pattern == kind,
    }
}

fn places(notification: &Notification) -> Map<String, Value> {
    let Notification { kind, title, text, stack, url, severity, .. } = notification;
    let all = json!({
        "title": title, "text": text, "kind": kind, "severity": severity.as_str(),
        "stack": stack.as_deref().unwrap_or(""), "url": url.as_deref().unwrap_or(""),
    });
    if let Value::Object(places) = all { places } else { Map::new() }
}

/// Whether something is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Good,
    Bad,
    /// As it should be, which is only news after it was not.
    Well,
    /// It says nothing about that.
    Neutral,
    /// The same, and by itself there comes more.
    OnTheWay,
}

/// An event that is worth telling to whoever wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct Telling {
    pub outcome: Outcome,
    /// What is well or not: `deployment:<stack>`.
    pub subject: String,
    /// None: it is about the installation.
    pub about: Option<About>,
    pub notification: Notification,
}

/// Whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    pub stack_id: Id,
    pub team_id: Id,
}

impl Telling {
    /// Whether the rule of a channel of that team is about this at all, be it wanted or not. What happened before the rule is
    /// nobody's news.
    pub fn concerns(&self, rule: &Rule, team: &Id) -> bool {
        if self.notification.at < rule.created_at {
            return false;
        }
        match &self.about {
            Some(about) => {
                about.team_id == *team && rule.stack_id.as_ref().is_none_or(|stack| *stack == about.stack_id)
            }
            None => rule.plan.installation,
        }
    }
}

/// Something that was told not to be well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub since: UnixMs,
    pub told_at: UnixMs,
    pub times: i64,
}

/// What becomes of an event under a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub told: Option<Notification>,
    /// What is remembered from now on; none if all is well.
    pub trouble: Option<Trouble>,
}

/// Decides whether an event is told: what fails again seldom, and what recovers always.
pub fn verdict(plan: &RulePlan, telling: &Telling, trouble: Option<Trouble>, now: UnixMs) -> Verdict {
    let usual = || telling.notification.clone();
    let wanted = plan.wants(&telling.notification.kind);
    let everything = plan.quiet_secs == 0;
    match (telling.outcome, trouble) {
        (Outcome::Bad, None) if wanted => {
            Verdict { told: Some(usual()), trouble: Some(Trouble { since: now, told_at: now, times: 1 }) }
        }
        (Outcome::Bad, Some(trouble)) if wanted => again(plan, telling, trouble, now),
        (Outcome::Good | Outcome::Well, Some(_)) if everything => {
            Verdict { told: wanted.then(usual), trouble: None }
        }
        (Outcome::Good | Outcome::Well, Some(trouble)) => {
            let mut told = usual();
            told.title = match trouble.times {
                1 => format!("{}, after a failure", told.title),
                times => format!("{}, after {times} failures", told.title),
            };
            Verdict { told: Some(told), trouble: None }
        }
        (Outcome::Well, None) => Verdict { told: None, trouble: None },
        (_, trouble) => Verdict { told: wanted.then(usual), trouble },
    }
}

fn again(plan: &RulePlan, telling: &Telling, trouble: Trouble, now: UnixMs) -> Verdict {
    let mut told = telling.notification.clone();
    let times = trouble.times + 1;
    if now - trouble.told_at < i64::from(plan.quiet_secs) * 1000 {
        return Verdict { told: None, trouble: Some(Trouble { times, ..trouble }) };
    }
    if plan.quiet_secs > 0 {
        told.title = format!("{} again, {times} times by now", told.title);
    }
    Verdict { told: Some(told), trouble: Some(Trouble { times, told_at: now, ..trouble }) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Nobody has tried yet; further events may join.
    Pending,
    /// It did not work so far.
    Retrying,
    Delivered,
    /// The plugin says that it is not worth telling.
    Skipped,
    /// It was given up, for the reason that is kept.
    Dead,
}

impl DeliveryStatus {
    pub const ALL: [Self; 5] = [Self::Pending, Self::Retrying, Self::Delivered, Self::Skipped, Self::Dead];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::Delivered => "delivered",
            Self::Skipped => "skipped",
            Self::Dead => "dead",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Retrying)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub id: Id,
    pub seq: i64,
    pub channel_id: Id,
    /// None: a test, or the rule is gone.
    pub rule_id: Option<Id>,
    /// What joins: the stack's id, or a kind of the installation's.
    pub topic: String,
    /// Oldest first.
    pub told: Vec<Notification>,
    pub status: DeliveryStatus,
    pub attempts: i64,
    /// Of the requests that make up one message: what was taken is not sent again.
    pub requests_sent: i64,
    /// Of the last answer.
    pub last_status: Option<i64>,
    /// How the last attempt ended, for people.
    pub reason: Option<String>,
    pub next_at: UnixMs,
    pub deadline_at: UnixMs,
    pub created_at: UnixMs,
    pub finished_at: Option<UnixMs>,
}

impl Delivery {
    /// What is sent, with an id that is the same for each attempt.
    pub fn message(&self) -> Notification {
        let id = self.id.to_string();
        let first = self.told.first().cloned().unwrap_or_else(Notification::sample);
        if self.told.len() < 2 {
            return Notification { id, ..first };
        }
        let last = self.told.last().cloned().unwrap_or_else(|| first.clone());
        let worst = self.told.iter().map(|one| one.severity).max().unwrap_or(last.severity);
        let lines: Vec<String> = self.told.iter().map(|one| format!("- {}", one.title)).collect();
        let about = last.stack.as_deref().unwrap_or("Windlass");
        Notification {
            id,
            severity: worst,
            title: format!("{about}: {} events, at last: {}", self.told.len(), last.title),
            text: lines.join("\n"),
            data: json!({ "events": self.told }),
            ..last
        }
    }

    /// In one line.
    pub fn title(&self) -> String {
        self.message().title
    }
}

impl Notification {
    /// What the test button tells.
    pub fn sample() -> Self {
        Self {
            id: "test".into(),
            kind: "test".into(),
            at: 0,
            severity: Severity::Info,
            title: "This is a test".into(),
            text: "Windlass can tell you here what happens.".into(),
            stack: None,
            url: None,
            data: json!({}),
        }
    }
}

/// How long sending is tried.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub first_secs: u32,
    pub attempts: u32,
}

/// Milliseconds until the next attempt after so many that failed: each pause is four times the one before, at most an hour, or what
/// the receiver asks for, at most a day. `jitter` is 0 to 999. None: give up.
pub fn retry_ms(patience: Patience, attempts: i64, asked_secs: Option<u32>, jitter: i64) -> Option<i64> {
    if attempts >= i64::from(patience.attempts) {
        return None;
    }
    let exponent = u32::try_from(attempts.clamp(1, 8) - 1).unwrap_or(0);
    let pause = i64::from(patience.first_secs).saturating_mul(4_i64.pow(exponent)).min(3600) * 1000;
    let asked = i64::from(asked_secs.unwrap_or(0).min(DAY_SECS)) * 1000;
    Some(asked.max(pause / 2 + pause * jitter.clamp(0, 999) / 2000))
}

#[cfg(test)]
#[path = "notify_tests.rs"]
mod tests;
