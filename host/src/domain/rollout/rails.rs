//! What the host refuses whatever a strategy says.
//!
//! The actions of one answer are carried out one after the other, so each is judged twice: in the situation that the
//! strategy saw, and in the one that the actions before it leave. The first keeps a strategy from building on what nobody
//! has seen yet, the second from taking apart in several steps what it may not remove in one.

use std::fmt;

use super::transition::told;
use super::{Action, Instance, InstanceState, Outcome, Situation, Weight};
use crate::domain::Id;

/// An action that is not carried out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// In a strategy author's words, such as `scale 0193abcd to 0`.
    pub action: String,
    /// Its place in the answer, from 1.
    pub position: usize,
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its action {}, `{}`, was refused: {}", self.position, self.action, self.reason)
    }
}

impl std::error::Error for Refusal {}

/// Judges the actions of one answer in their order; the first that may not be carried out is the error.
///
/// `is_good` says whether a release has served healthily before: routing back to such a release is allowed although its
/// container is stopped at that moment, because the fixed port it needs is held by the other one.
pub fn check(
    actions: &[Action],
    seen: &Situation,
    is_good: impl Fn(&Id) -> bool,
) -> std::result::Result<(), Refusal> {
    let mut projected = seen.clone();
    for (at, action) in actions.iter().enumerate() {
        let judged = check_names(action, seen)
            .and_then(|()| check_in(action, seen, &is_good))
            .and_then(|()| check_in(action, &projected, &is_good))
            .and_then(|()| check_rollback(action, &projected));
        if let Err(reason) = judged {
            return Err(Refusal { action: words(action), position: at + 1, reason });
        }
        apply(action, &mut projected);
    }
    Ok(())
}

type Judgement = std::result::Result<(), String>;

/// Nothing is done about releases of somebody else, and nothing that this server does not know.
fn check_names(action: &Action, situation: &Situation) -> Judgement {
    let known = |release: &Id| {
        *release == situation.target.id
            || situation.stable.as_ref().is_some_and(|stable| stable.id == *release)
    };
    let foreign = match action {
        Action::Scale { release, .. } | Action::Drain { release } | Action::Probe { release } => {
            Some(release).filter(|release| !known(release))
        }
        Action::Route { weights } => weights.iter().map(|weight| &weight.release).find(|id| !known(id)),
        Action::Other { name } if preview_of(name, situation).is_none() && told(name).is_none() => {
            return Err("this server does not know it".into());
        }
        Action::Ask { .. } | Action::Finish { .. } | Action::Other { .. } => None,
    };
    foreign.map_or(Ok(()), |release| Err(format!("release {release} is not part of this rollout")))
}

/// The rails themselves, in one situation.
fn check_in(action: &Action, situation: &Situation, is_good: &impl Fn(&Id) -> bool) -> Judgement {
    match action {
        Action::Scale { release, count } => check_scale(release, *count, situation),
        Action::Route { weights } => check_route(weights, situation, is_good),
        // Whatever a strategy orders, the router shows the new release as soon as something of it is healthy.
        Action::Other { name } => match preview_of(name, situation) {
            Some(release) if situation.healthy(&release) == 0 => Err(format!(
                "it shows release {release} to people, none of whose instances passed the health gate"
            )),
            _ => Ok(()),
        },
        Action::Finish { outcome: Outcome::Succeeded } if !serves(&situation.target.id, situation) => {
            Err("it declared success although the new release does not serve healthily".into())
        }
        // None of these changes anything outside.
        Action::Drain { .. } | Action::Probe { .. } | Action::Ask { .. } | Action::Finish { .. } => Ok(()),
    }
}

fn check_scale(release: &Id, count: u32, situation: &Situation) -> Judgement {
    if count > situation.stack.run.replicas.saturating_mul(2).max(2) {
        return Err(format!("{count} instances are more than twice the stack's replicas"));
    }
    if situation.stack.run.allows_downtime() || !something_serves(situation) {
        return Ok(());
    }
    let mut left = situation.clone();
    scale(release, count, &mut left);
    if something_serves(&left) {
        return Ok(());
    }
    Err("it would have removed the last healthy serving instance; set `allowDowntime` on the stack to permit that"
        .into())
}

fn check_route(weights: &[Weight], situation: &Situation, is_good: &impl Fn(&Id) -> bool) -> Judgement {
    let sum = weights.iter().map(|weight| u64::from(weight.percent)).sum::<u64>();
    if sum != 100 {
        return Err(format!("the shares add up to {sum} of 100"));
    }
    let mut serving = weights.iter().filter(|weight| weight.percent > 0).map(|weight| &weight.release);
    if serving.clone().count() > 1 && !situation.stack.can_split {
        return Err("it splits the traffic, and without the router that is not possible".into());
    }
    let swaps_back = |release: &Id| situation.stack.run.has_fixed_port() && is_good(release);
    match serving.find(|release| situation.healthy(release) == 0 && !swaps_back(release)) {
        None => Ok(()),
        Some(release) => Err(format!("none of the instances of release {release} passed the health gate")),
    }
}

/// A rollback is declared when what served before serves again, be it by what was ordered just now.
fn check_rollback(action: &Action, projected: &Situation) -> Judgement {
    let is_rollback = matches!(action, Action::Finish { outcome: Outcome::RolledBack(_) });
    let restored = projected.stable.as_ref().is_some_and(|stable| serves(&stable.id, projected));
    if is_rollback && !restored {
        return Err("it declared a rollback although the previous release does not serve healthily".into());
    }
    Ok(())
}

/// The release that people are to be shown, if that is the order and this stack can do so.
fn preview_of(name: &str, situation: &Situation) -> Option<Id> {
    let release = name.strip_prefix("preview ").filter(|_| situation.stack.can_preview)?;
    Some(Id::from_text(release))
}

fn serves(release: &Id, situation: &Situation) -> bool {
    situation.is_routed(release) && situation.healthy(release) > 0
}

/// Somebody who asks gets an answer. A release without a share serves nobody, however it is listed.
fn something_serves(situation: &Situation) -> bool {
    situation.traffic.iter().any(|weight| serves(&weight.release, situation))
}

/// The situation after an action was carried out, as far as it can be foreseen: what starts is not healthy yet.
fn apply(action: &Action, situation: &mut Situation) {
    match action {
        Action::Scale { release, count } => scale(release, *count, situation),
        Action::Route { weights } => {
            situation.traffic.clone_from(weights);
            if situation.stack.run.has_fixed_port()
                && let Some(winner) = weights.iter().find(|weight| weight.percent > 0)
            {
                hand_over(&winner.release, situation);
            }
        }
        Action::Drain { .. }
        | Action::Probe { .. }
        | Action::Ask { .. }
        | Action::Finish { .. }
        | Action::Other { .. } => {}
    }
}

/// What is too much goes in the order in which planning takes it: what does not run first, the healthy last.
fn scale(release: &Id, count: u32, situation: &mut Situation) {
    let rank = |instance: &Instance| match instance.state {
        InstanceState::Healthy => 0,
        InstanceState::Starting | InstanceState::Unhealthy => 1,
        InstanceState::Exited => 2,
    };
    situation.fleet.sort_by_key(rank);
    let mut kept = 0;
    situation.fleet.retain(|instance| {
        kept += u32::from(instance.release == *release);
        instance.release != *release || kept <= count
    });
}

/// A fixed port has one holder: the others' instances stop, and the winner's is taken for healthy, since to remove it
/// before it has shown what it is would leave nothing.
fn hand_over(winner: &Id, situation: &mut Situation) {
    for instance in &mut situation.fleet {
        let is_winner = instance.release == *winner;
        instance.state = if is_winner { InstanceState::Healthy } else { InstanceState::Exited };
    }
    if situation.count(winner, |_| true) == 0 {
        situation.fleet.push(Instance {
            release: winner.clone(),
            id: String::new(),
            state: InstanceState::Healthy,
            since: situation.now,
            restarts: 0,
            reason: String::new(),
        });
    }
}

/// An action in a strategy author's words.
fn words(action: &Action) -> String {
    match action {
        Action::Scale { release, count } => format!("scale {} to {count}", release.short()),
        Action::Route { weights } => {
            let shares: Vec<String> = weights
                .iter()
                .map(|weight| format!("{} % to {}", weight.percent, weight.release.short()))
                .collect();
            format!("route {}", shares.join(", "))
        }
        Action::Drain { release } => format!("drain {}", release.short()),
        Action::Probe { release } => format!("probe {}", release.short()),
        Action::Ask { .. } => "ask".into(),
        Action::Finish { outcome: Outcome::Succeeded } => "finish with success".into(),
        Action::Finish { outcome: Outcome::RolledBack(_) } => "finish with a rollback".into(),
        Action::Finish { outcome: Outcome::Failed(_) } => "finish with a failure".into(),
        Action::Other { name } => name.escape_debug().to_string(),
    }
}

#[cfg(test)]
#[path = "rails_tests.rs"]
mod tests;
