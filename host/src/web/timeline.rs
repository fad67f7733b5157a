//! Where the time of a deployment went, as a picture.

use askama::Template;
use askama::filters::HtmlSafe;

use super::ui::duration;
use crate::domain::build::Build;
use crate::domain::deployment::Deployment;
use crate::domain::rollout::{Effect, JournalEntry, share_of};
use crate::domain::{Id, UnixMs};

/// Where the time of a deployment went.
#[derive(Template)]
#[template(path = "parts/timeline.html")]
pub struct Timeline {
    rows: Vec<Row>,
}

struct Row {
    name: String,
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
    /// A step of the strategy: the new release gets so many of 100 requests, and is watched.
    Share(u32),
    HandOver,
    /// The new release gets all requests, and the old copy stays ready.
    Bake,
}

/// After a hand-over, a pause shorter than this is part of it.
const SHORTEST_BAKE: UnixMs = 1000;

impl Kind {
    fn name(self) -> String {
        match self {
            Self::Wait => "Wait".into(),
            Self::Build => "Build".into(),
            Self::Start => "Start".into(),
            Self::Health => "Health".into(),
            Self::Share(percent) => format!("{percent} % new"),
            Self::HandOver => "Hand-over".into(),
            Self::Bake => "Bake".into(),
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Wait => "phase-wait",
            Self::Build => "phase-build",
            Self::Start => "phase-start",
            Self::Health => "phase-health",
            Self::Share(_) => "phase-share",
            Self::HandOver => "phase-over",
            Self::Bake => "phase-bake",
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
    let mut last: Option<(Kind, Kind)> = None;
    for entry in journal {
        let (done, after) = kinds_of(&entry.effect, row.release_id.as_ref());
        let kind = match last {
            // What starts after something was stopped for it takes its place.
            Some((Kind::HandOver, _)) if done == Kind::Start => Kind::HandOver,
            _ => done,
        };
        let gap = last.map_or(Kind::Health, |(_, gap)| gap);
        if last.is_some() {
            add(gap_of(gap, entry.intended_at - at), at, entry.intended_at);
        }
        let ended = entry.done_at.unwrap_or(end);
        add(kind, entry.intended_at.max(at), ended);
        at = at.max(ended);
        last = Some((kind, if kind == done { after } else { kind }));
    }
    if let Some((_, gap)) = last {
        add(gap_of(gap, end - at), at, end);
    }
    merged(phases)
}

/// What the time of an effect is spent for, and the time from then on, in which the rollout waits: after a start for the
/// new release's health, after a split for what the answers say, else for what it just did.
fn kinds_of(effect: &Effect, target: Option<&Id>) -> (Kind, Kind) {
    match effect {
        Effect::Launch { .. } | Effect::Companions { .. } => (Kind::Start, Kind::Health),
        Effect::SetRoute { weights } => match target.map_or(0, |target| share_of(weights, target)) {
            0 => (Kind::HandOver, Kind::HandOver),
            percent @ 1..100 => (Kind::Share(percent), Kind::Share(percent)),
            _ => (Kind::HandOver, Kind::Bake),
        },
        Effect::Create { .. } | Effect::Stop { .. } | Effect::Start { .. } | Effect::Remove { .. } => {
            (Kind::HandOver, Kind::HandOver)
        }
    }
}

fn gap_of(kind: Kind, ms: UnixMs) -> Kind {
    if kind == Kind::Bake && ms < SHORTEST_BAKE { Kind::HandOver } else { kind }
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
    use crate::domain::deployment::{DeploymentStatus, RolloutState, TriggerType};
    use crate::domain::rollout::{JournalState, Weight};

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

    #[test]
    fn the_steps_of_a_canary_have_their_own_places() {
        let launch = |name: &str| Effect::Launch {
            release: Id::from_text("new"),
            name: name.into(),
            published: false,
        };
        let share = |percent| Effect::SetRoute {
            weights: vec![
                Weight { release: Id::from_text("new"), percent },
                Weight { release: Id::from_text("old"), percent: 100 - percent },
            ],
        };
        let remove = Effect::Remove { release: Id::from_text("old"), name: "web-1".into(), gently: true };
        let journal = [
            entry(launch("web-2"), 1000, 1200),
            entry(share(10), 2000, 2010),
            entry(launch("web-3"), 3000, 3200),
            entry(share(50), 3500, 3510),
            entry(share(100), 5000, 5010),
            entry(remove, 8000, 8500),
        ];
        let row =
            Deployment { release_id: Some(Id::from_text("new")), ..deployment(DeploymentStatus::Successful) };
        let names: Vec<_> =
            phases(&row, None, &journal, 0).iter().map(|phase| (phase.kind.name(), phase.from)).collect();
        let wanted = [
            ("Wait", 0),
            ("Start", 1000),
            ("Health", 1200),
            ("10 % new", 2000),
            ("Start", 3000),
            ("Health", 3200),
            ("50 % new", 3500),
            ("Hand-over", 5000),
            ("Bake", 5010),
            ("Hand-over", 8000),
        ];
        assert_eq!(names, wanted.map(|(name, from)| (name.to_string(), from)));
    }
}
