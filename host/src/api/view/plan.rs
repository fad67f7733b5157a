//! A plan as `/api/v1` shows it.

use serde::Serialize;
use utoipa::ToSchema;

use super::DeploymentView;
use crate::app::plan::Plan;
use crate::domain::change::Change;

/// What a deployment would do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanView {
    pub stack: String,
    /// What would be deployed, in words.
    pub source: String,
    /// The same for the same plan. sha256, in hex.
    pub hash: String,
    /// What serves now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<DeploymentView>,
    pub changes: Vec<Change>,
    pub strategy: String,
    pub strategy_digest: String,
    /// The strategy's steps if nothing goes wrong.
    pub steps: Vec<PlanStepView>,
    /// From the begin of the rollout to its end, in milliseconds, without the build and what people take to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_ms: Option<u64>,
    /// Why the strategy's steps cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Absent if something serves all the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downtime: Option<DowntimeView>,
    pub way_back: WayBackView,
    /// What the times rest on.
    pub assumptions: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStepView {
    /// Milliseconds since the rollout began.
    pub at_ms: u64,
    pub label: String,
    /// Share of the new release at the end of the step, in percent.
    pub share: u32,
    /// Instances of the new release at the end of the step.
    pub new_instances: usize,
    /// Instances of the release before at the end of the step.
    pub old_instances: usize,
    /// What people are asked in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DowntimeView {
    pub expected_ms: i64,
    pub why: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct WayBackView {
    pub ready: bool,
    /// What a rollback would bring back afterwards, or why there is no way back.
    pub words: String,
}

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        let (steps, expected_ms, problem) = match plan.forecast {
            Ok(forecast) => (forecast.steps, Some(forecast.took_ms), None),
            Err(problem) => (Vec::new(), None, Some(problem)),
        };
        let steps = steps.into_iter().map(|step| PlanStepView {
            at_ms: step.at_ms,
            label: step.label,
            share: step.share,
            new_instances: step.instances[0],
            old_instances: step.instances[1],
            question: step.question,
        });
        let ready = plan.way_back.is_ok();
        let (Ok(words) | Err(words)) = plan.way_back;
        Self {
            stack: plan.stack,
            source: plan.source,
            hash: plan.hash,
            serving: plan.serving.map(Into::into),
            changes: plan.changes,
            strategy: plan.strategy,
            strategy_digest: plan.strategy_digest,
            steps: steps.collect(),
            expected_ms,
            problem,
            downtime: plan
                .downtime
                .map(|downtime| DowntimeView { expected_ms: downtime.expected_ms, why: downtime.why }),
            way_back: WayBackView { ready, words },
            assumptions: plan.assumptions,
        }
    }
}
