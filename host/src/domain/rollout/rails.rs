//! What the host refuses whatever a strategy says.

use super::{Action, Outcome, Situation};
use crate::domain::Id;

/// Why an action is refused, in words for the deployment's record; `None` lets it pass.
///
/// `is_good` says whether a release has served healthily before: routing back to such a release is allowed although its
/// container is stopped at that moment, because the fixed port it needs is held by the other one.
pub fn check(action: &Action, situation: &Situation, is_good: impl Fn(&Id) -> bool) -> Option<String> {
    let known = |release: &Id| {
        *release == situation.target.id
            || situation.stable.as_ref().is_some_and(|stable| stable.id == *release)
    };
    match action {
        Action::Scale { release, .. } | Action::Drain { release } | Action::Probe { release }
            if !known(release) =>
        {
            Some(format!("it named release {release}, which is not part of this rollout"))
        }
        Action::Scale { release, count } => check_scale(release, *count, situation),
        Action::Route { weights } => {
            if let Some(weight) = weights.iter().find(|weight| !known(&weight.release)) {
                return Some(format!(
                    "it routed to release {}, which is not part of this rollout",
                    weight.release
                ));
            }
            let sum = weights.iter().map(|weight| u64::from(weight.percent)).sum::<u64>();
            if sum != 100 {
                return Some(format!("the shares that it routed add up to {sum} of 100"));
            }
            let serving = weights.iter().filter(|weight| weight.percent > 0).count();
            if serving > 1 && !situation.stack.can_split {
                return Some("it split the traffic, and without the router that is not possible".into());
            }
            weights.iter().filter(|weight| weight.percent > 0).find_map(|weight| {
                let swaps_back = situation.stack.run.has_fixed_port() && is_good(&weight.release);
                (situation.healthy(&weight.release) == 0 && !swaps_back).then(|| {
                    format!(
                        "it routed to release {} although none of its instances passed the health gate",
                        weight.release
                    )
                })
            })
        }
        // Whatever a strategy orders, the router shows the new release as soon as something of it is healthy.
        Action::Other { name } if situation.stack.can_preview && name.starts_with("preview ") => {
            let release = Id::from_text(name.trim_start_matches("preview "));
            (situation.healthy(&release) == 0).then(|| {
                format!("it ordered a preview of release {release}, none of whose instances passed the health gate")
            })
        }
        Action::Other { name } => {
            Some(format!("it ordered `{}`, which this server does not know", name.escape_debug()))
        }
        Action::Finish { outcome: Outcome::Succeeded }
            if situation.healthy(&situation.target.id) == 0 || !situation.is_routed(&situation.target.id) =>
        {
            Some("it declared success although the new release does not serve healthily".into())
        }
        _ => None,
    }
}

fn check_scale(release: &Id, count: u32, situation: &Situation) -> Option<String> {
    if count > situation.stack.run.replicas.saturating_mul(2).max(2) {
        return Some(format!("it wanted {count} instances, more than twice the stack's replicas"));
    }
    let serves_alone = situation.is_routed(release)
        && situation.healthy(release) > 0
        && !situation.traffic.iter().any(|w| w.release != *release && situation.healthy(&w.release) > 0);
    if count == 0 && serves_alone && !situation.stack.run.allows_downtime() {
        return Some(
            "it would have removed the last healthy serving instance; set `allowDowntime` on the stack to permit that".into(),
        );
    }
    None
}
