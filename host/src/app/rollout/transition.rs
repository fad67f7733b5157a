//! Transitions of a rollout as events. Each is appended in the transaction that makes it true, so it is told once, whatever
//! dies in between.

use serde_json::json;

use crate::domain::deployment::Deployment;
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::release::Release;
use crate::domain::rollout::transition::{self, Transition};
use crate::domain::rollout::{Action, Effect, Step, Weight, share_of};

/// `by` is whoever wanted it; `None` if it came by itself.
pub(in crate::app) fn transition_event(
    deployment: &Deployment,
    transition: Transition,
    text: &str,
    by: Option<&str>,
) -> NewEvent {
    event(deployment, transition, text, by, None)
}

fn event(
    deployment: &Deployment,
    transition: Transition,
    text: &str,
    by: Option<&str>,
    share: Option<u32>,
) -> NewEvent {
    NewEvent {
        kind: EventKind::DeploymentTransition,
        stack_id: Some(deployment.stack_id.clone()),
        subject_id: Some(deployment.id.clone()),
        data: json!({
            "deployment": deployment.seq,
            "transition": transition.as_str(),
            "text": text,
            "share": share,
            "by": by,
        }),
    }
}

/// What it means that the requests go another way now.
pub(super) fn moved(
    deployment: &Deployment,
    target: &Release,
    before: &[Weight],
    after: &[Weight],
) -> Option<NewEvent> {
    let transition = transition::moved(before, after, &target.id)?;
    let (name, share) = (target.id.short(), share_of(after, &target.id));
    let text = match transition {
        Transition::Promoted => format!("All requests go to release {name}"),
        Transition::SwitchedBack if share == 0 => "All requests go to the previous release again".to_owned(),
        _ => format!("{share} % of the requests go to release {name}"),
    };
    Some(event(deployment, transition, &text, None, Some(share)))
}

/// A part of the old instances goes, since the new ones are there: a batch is replaced.
pub(super) fn batch(
    deployment: &Deployment,
    stable: Option<&Release>,
    action: &Action,
    effects: &[Effect],
) -> Option<NewEvent> {
    let Action::Scale { release, count: left @ 1.. } = action else { return None };
    let is_old =
        stable.is_some_and(|stable| stable.id == *release) && deployment.release_id.as_ref() != Some(release);
    let goes = effects.iter().all(|effect| matches!(effect, Effect::Remove { .. }));
    let instances = if *left == 1 { "instance" } else { "instances" };
    let text = format!("A batch was replaced; {left} {instances} of the previous release are left");
    (is_old && goes).then(|| transition_event(deployment, Transition::BatchReplaced, &text, None))
}

/// What the strategy itself tells with a step.
pub(super) fn told(deployment: &Deployment, step: &Step) -> Vec<NewEvent> {
    let orders = step.actions.iter().filter_map(|action| match action {
        Action::Other { name } => transition::told(name),
        _ => None,
    });
    orders.map(|(transition, words)| transition_event(deployment, transition, words, None)).collect()
}
