//! The parameters.

use windlass_sdk::Problem;
use windlass_sdk::params::{Param, Values};
use windlass_sdk::strategy::Stack;

const DAY_S: u64 = 86_400;

const STEP: &[Param] = &[
    Param::integer("weight", 10, 1..=99, "The new release's share of the requests, in percent"),
    Param::integer("seconds", 300, 0..=7 * DAY_S, "How long the step takes at least"),
    Param::flag("analysis", true, "Whether the step needs a verdict about the answers"),
    Param::flag("approval", false, "Whether somebody has to approve before the next step"),
];

pub const PARAMS: &[Param] = &[
    Param::list(
        "steps",
        r#"[{"weight":10},{"weight":50}]"#,
        STEP,
        20,
        "The steps before the new release gets everything",
    ),
    Param::integer("interval_s", 10, 1..=3_600, "How often the answers are judged, in seconds"),
    Param::integer(
        "min_requests",
        50,
        1..=1_000_000,
        "Fewer requests than this, to either release, are no basis for any verdict",
    ),
    Param::integer(
        "failures_in_a_row",
        2,
        1..=10,
        "So many judgements in a row have to find the new release worse before it is given up",
    ),
    Param::integer(
        "error_points",
        3,
        1..=50,
        "How many more of 100 answers may fail (status 500 and above) than of the old release's",
    ),
    Param::integer(
        "slower_percent",
        25,
        0..=1_000,
        "How much longer answers may take than the old release's 95th percentile before they count as slow",
    ),
    Param::integer(
        "slower_ms",
        2,
        0..=60_000,
        "The same in milliseconds, for very fast services; the larger one counts",
    ),
    Param::choice(
        "low_traffic",
        "probe",
        &["extend", "probe", "ask", "promote"],
        "What happens when a step is over and the requests were too few for a verdict",
    ),
    Param::integer(
        "extend_s",
        600,
        0..=7 * DAY_S,
        "How much longer than `seconds` a step without a verdict may take before the rollout is given up",
    ),
    Param::integer(
        "approval_s",
        DAY_S,
        60..=30 * DAY_S,
        "How long people have to answer before the rollout is given up, in seconds",
    ),
    Param::integer(
        "bake_s",
        300,
        0..=DAY_S,
        "How long the old copy stays ready after the last step while errors, restarts and health are watched, in seconds",
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LowTraffic {
    Extend,
    Probe,
    Ask,
    Promote,
}

/// One share of the requests. Times in milliseconds, here and below.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub weight: u32,
    pub ms: u64,
    pub analysis: bool,
    pub approval: bool,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub steps: Vec<Share>,
    pub interval_ms: u64,
    pub min_requests: u64,
    pub failures_in_a_row: u64,
    pub error_points: u64,
    pub slower_percent: u64,
    pub slower_ms: u64,
    pub low_traffic: LowTraffic,
    pub extend_ms: u64,
    pub approval_ms: u64,
    pub bake_ms: u64,
}

impl From<&Values> for Options {
    fn from(values: &Values) -> Self {
        let integer = |name| values.integer(name);
        let share = |step: &Values| Share {
            weight: u32::try_from(step.integer("weight")).unwrap_or(99),
            ms: step.integer("seconds") * 1_000,
            analysis: step.flag("analysis"),
            approval: step.flag("approval"),
        };
        Self {
            steps: values.list("steps").iter().map(share).collect(),
            interval_ms: integer("interval_s") * 1_000,
            min_requests: integer("min_requests"),
            failures_in_a_row: integer("failures_in_a_row"),
            error_points: integer("error_points"),
            slower_percent: integer("slower_percent"),
            slower_ms: integer("slower_ms"),
            low_traffic: match values.choice("low_traffic") {
                "extend" => LowTraffic::Extend,
                "ask" => LowTraffic::Ask,
                "promote" => LowTraffic::Promote,
                _ => LowTraffic::Probe,
            },
            extend_ms: integer("extend_s") * 1_000,
            approval_ms: integer("approval_s") * 1_000,
            bake_ms: integer("bake_s") * 1_000,
        }
    }
}

impl Options {
    /// What speaks against them, for this stack on this host.
    pub fn problems(&self, stack: &Stack) -> Vec<Problem> {
        let mut problems = stack.overlap_problems();
        if !stack.host_can("split") {
            problems.push(Problem::at(
                "",
                "A canary needs a router that splits the requests between two releases, and this server has none. Use \
                 `blue-green`, which switches all of them at once and watches what happens.",
            ));
        }
        for (at, pair) in self.steps.windows(2).enumerate() {
            if pair[1].weight <= pair[0].weight {
                problems.push(Problem::at(
                    format!("/steps/{}/weight", at + 1),
                    format!(
                        "The weights have to rise from step to step: {} follows {}.",
                        pair[1].weight, pair[0].weight
                    ),
                ));
            }
        }
        if !stack.host_can("ask") {
            let advice = "and this server cannot ask anybody yet; leave it out.";
            if let Some(at) = self.steps.iter().position(|step| step.approval) {
                let message = format!("`approval` needs somebody who answers, {advice}");
                problems.push(Problem::at(format!("/steps/{at}/approval"), message));
            }
            if self.low_traffic == LowTraffic::Ask {
                let message = format!("`low_traffic` set to `ask` needs somebody who answers, {advice}");
                problems.push(Problem::at("/low_traffic", message));
            }
        }
        problems
    }

    /// Each step at its longest with the start of its instances, the start of the full copy, and the bake.
    pub fn longest_wait(&self, health_timeout_ms: u64) -> u64 {
        let start = health_timeout_ms + self.interval_ms + 30_000;
        let step = |step: &Share| start + step.ms + self.extend_ms + self.interval_ms;
        self.steps.iter().map(step).sum::<u64>() + start + self.bake_ms
    }
}
