//! Where the time of a deployment went, as a picture.

use askama::Template;
use askama::filters::HtmlSafe;

use super::ui::duration;
use crate::domain::UnixMs;
use crate::domain::build::Build;
use crate::domain::deployment::Deployment;
use crate::domain::rollout::{Effect, JournalEntry};

/// Where the time of a deployment went.
#[derive(Template)]
#[template(path = "parts/timeline.html")]
pub struct Timeline {
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    class: &'static str,
    /// In thousandths of the whole.
    x: i64,
    width: i64,
    took: String,
}

impl HtmlSafe for Timeline {}

/// A span of time with one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Phase {
    kind: Kind,
    from: UnixMs,
    to: UnixMs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Wait,
    Build,
    Start,
    Health,
    HandOver,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Wait => "Wait",
            Self::Build => "Build",
            Self::Start => "Start",
            Self::Health => "Health",
            Self::HandOver => "Hand-over",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Wait => "phase-wait",
            Self::Build => "phase-build",
            Self::Start => "phase-start",
            Self::Health => "phase-health",
            Self::HandOver => "phase-over",
        }
    }
}

impl Timeline {
    pub fn of(row: &Deployment, build: Option<&Build>, journal: &[JournalEntry], now: UnixMs) -> Self {
        let phases = phases(row, build, journal, now);
        let begin = row.started_at;
        let whole = (row.completed_at.unwrap_or(now) - begin).max(1);
        let scale = |at: UnixMs| (at - begin).clamp(0, whole) * 1000 / whole;
        let rows = phases.into_iter().map(|phase| Row {
            name: phase.kind.name(),
            class: phase.kind.class(),
            x: scale(phase.from).min(994),
            // Short phases stay visible.
            width: (scale(phase.to) - scale(phase.from)).max(6),
            took: duration(phase.to - phase.from),
        });
        Self { rows: rows.collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

fn phases(row: &Deployment, build: Option<&Build>, journal: &[JournalEntry], now: UnixMs) -> Vec<Phase> {
    let end = row.completed_at.unwrap_or(now);
    let mut phases = Vec::new();
    let mut add = |kind, from: UnixMs, to: UnixMs| {
        if to > from {
            phases.push(Phase { kind, from, to });
        }
    };
    let mut at = row.started_at;
    if let Some(build) = build {
        let started = build.started_at.unwrap_or(end);
        add(Kind::Wait, at, started);
        at = build.finished_at.unwrap_or(end);
        add(Kind::Build, started, at);
    }
    if let Some(rollout) = row.rollout.rollout_started_at {
        add(Kind::Wait, at, rollout);
        at = rollout;
    } else if row.build_id.is_none() {
        add(Kind::Wait, at, end);
        at = end;
    }
    let mut last = None;
    for entry in journal {
        // What starts after something was stopped for it takes its place.
        let kind = if last == Some(Kind::HandOver) { Kind::HandOver } else { kind_of(&entry.effect) };
        // Between two effects the rollout waits: after a start for the new release's health, else for what it just did.
        let gap = match last {
            Some(Kind::Start) | None => Kind::Health,
            Some(other) => other,
        };
        if last.is_some() {
            add(gap, at, entry.intended_at);
        }
        let done = entry.done_at.unwrap_or(end);
        add(kind, entry.intended_at.max(at), done);
        at = at.max(done);
        last = Some(kind);
    }
    match last {
        Some(Kind::Start) => add(Kind::Health, at, end),
        Some(kind) => add(kind, at, end),
        None => {}
    }
    merged(phases)
}

fn kind_of(effect: &Effect) -> Kind {
    match effect {
        Effect::Launch { .. } | Effect::Companions { .. } => Kind::Start,
        Effect::Create { .. }
        | Effect::Stop { .. }
        | Effect::Start { .. }
        | Effect::Remove { .. }
        | Effect::SetRoute { .. } => Kind::HandOver,
    }
}

/// Neighbours of one kind become one, and waits too short to matter go.
fn merged(phases: Vec<Phase>) -> Vec<Phase> {
    let mut out: Vec<Phase> = Vec::new();
    for phase in phases {
        if phase.kind == Kind::Wait && phase.to - phase.from < 100 {
            continue;
        }
        match out.last_mut() {
            Some(last) if last.kind == phase.kind => last.to = phase.to,
            _ => out.push(phase),
        }
    }
    out
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::domain::Id;
    use crate::domain::deployment::{DeploymentStatus, RolloutState, TriggerType};
    use crate::domain::rollout::JournalState;

    /// A deployment of nine seconds that waited for one.
    pub fn deployment(status: DeploymentStatus) -> Deployment {
        let id = || Id::from_text("d");
        Deployment {
            id: id(),
            seq: 1,
            project_id: id(),
            stack_id: id(),
            build_config_id: None,
            repository_id: None,
            build_id: None,
            release_id: None,
            stable_release_id: None,
            commit_sha: String::new(),
            commit_message: None,
            commit_author: None,
            branch: String::new(),
            tag: None,
            image_tag: String::new(),
            reason: None,
            status,
            error: None,
            triggered_by: TriggerType::Manual,
            triggered_by_user: None,
            previous_deployment_id: None,
            rollout: RolloutState { rollout_started_at: Some(1000), ..RolloutState::default() },
            started_at: 0,
            completed_at: Some(9000),
        }
    }

    fn entry(effect: Effect, from: UnixMs, to: UnixMs) -> JournalEntry {
        JournalEntry {
            id: Id::from_text("e"),
            deployment_id: Id::from_text("d"),
            n: 1,
            label: String::new(),
            effect,
            state: JournalState::Done,
            error: None,
            intended_at: from,
            done_at: Some(to),
        }
    }

    #[test]
    fn a_rollout_waits_starts_becomes_healthy_and_takes_over() {
        let name = || "web-1".to_string();
        let journal = [
            entry(Effect::Launch { release: Id::from_text("r"), name: name(), published: false }, 1000, 2000),
            entry(Effect::SetRoute { weights: Vec::new() }, 5000, 5100),
            entry(Effect::Remove { release: Id::from_text("o"), name: name(), gently: true }, 5200, 8000),
        ];
        let found = phases(&deployment(DeploymentStatus::Successful), None, &journal, 0);
        let spans: Vec<_> = found.iter().map(|phase| (phase.kind, phase.from, phase.to)).collect();
        let wanted = [
            (Kind::Wait, 0, 1000),
            (Kind::Start, 1000, 2000),
            (Kind::Health, 2000, 5000),
            (Kind::HandOver, 5000, 9000),
        ];
        assert_eq!(spans, wanted);
    }
}
