//! What a rollout is going to do if nothing goes wrong, told before it begins.

use super::run::{Ending, Run};
use super::scenario::{Before, Life, Scenario};
use super::subject::Subject;
use super::world::TARGET;
use super::{Promises, SPARE_MS, Terms};
use crate::strategy::{Action, Stack, Step};

/// What is expected of the stack, from what it did before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// How long an instance takes from its start to passing its gate, in milliseconds.
    pub healthy_after_ms: u64,
    /// Requests that the stack gets in a minute.
    pub requests_a_minute: u64,
    /// What serves now.
    pub before: Before,
}

/// A rollout that went as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    pub steps: Vec<Foreseen>,
    /// From its begin to its end, in milliseconds. What people take to answer is not part of it.
    pub took_ms: u64,
    /// How much of this nothing answered requests that something answered before, in milliseconds.
    pub unserved_ms: u64,
}

/// A step of it: what the strategy says under one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// Milliseconds since the rollout began.
    pub at_ms: u64,
    pub label: String,
    /// Share of the new release at the end of the step, in percent.
    pub share: u32,
    /// Instances of the new release and of the one before, at the end of the step.
    pub instances: [usize; 2],
    /// What people are asked in it.
    pub question: Option<String>,
}

/// Lets a strategy roll out in a calm world that looks like this stack.
///
/// # Errors
/// In words: the strategy refuses the parameters, gives no answer, or does not bring the rollout to its end.
pub fn forecast<S: Subject>(
    subject: &S,
    stack: &Stack,
    params: &str,
    outlook: &Outlook,
) -> Result<Forecast, String> {
    let problems = subject.validate(params, stack)?;
    if let Some(problem) = problems.first() {
        return Err(format!("it refuses its parameters: {}: {}", problem.path, problem.message));
    }
    let scenario = scenario(stack, params, outlook);
    let waits = subject.longest_wait(params, stack)?;
    let deadline_ms = (3 * stack.health_timeout_ms).saturating_add(SPARE_MS).saturating_add(waits);
    let promises = Promises::default();
    let terms = Terms { deadline_ms: None, promises: &promises };
    let mut run = Run::new(subject, &scenario, terms, 0, false).of_stack(stack.clone(), deadline_ms);
    let mut told = Forecast { steps: Vec::new(), took_ms: 0, unserved_ms: 0 };
    loop {
        let at_ms = run.world.elapsed();
        let (step, ending) = run.once().map_err(|breach| breach.why)?;
        note(&mut told.steps, at_ms, &step, &run);
        match ending {
            None => {}
            Some(Ending::Succeeded) => break,
            Some(_) => return Err(format!("it does not reach success: \"{}\" is its last step", step.label)),
        }
    }
    told.took_ms = run.world.elapsed();
    told.unserved_ms = if outlook.before == Before::Nothing { 0 } else { run.world.unserved };
    Ok(told)
}

fn note<S: Subject>(steps: &mut Vec<Foreseen>, at_ms: u64, step: &Step, run: &Run<'_, S>) {
    let question = step.actions.iter().find_map(|action| match action {
        Action::Ask(prompt) => Some(prompt.clone()),
        _ => None,
    });
    let now = Foreseen {
        at_ms,
        label: step.label.clone(),
        share: run.world.share(TARGET),
        instances: run.world.instances(),
        question,
    };
    match steps.last_mut() {
        Some(last) if last.label == now.label => {
            let question = last.question.take().or(now.question);
            *last = Foreseen { at_ms: last.at_ms, question, ..now };
        }
        _ => steps.push(now),
    }
}

fn scenario(stack: &Stack, params: &str, outlook: &Outlook) -> Scenario {
    let allows = |(name, value): &(String, String)| name == "allow-downtime" && value == "true";
    let life = Life::Healthy { after: outlook.healthy_after_ms };
    // More instances than twice the replicas and a trial a step are never started.
    let lives = vec![life; 4 * stack.replicas as usize + 16];
    Scenario {
        replicas: stack.replicas,
        fixed_port: stack.ports.iter().any(|port| port.host.is_some()),
        read_only_volume: (!stack.volumes.is_empty())
            .then(|| stack.volumes.iter().all(|volume| volume.read_only)),
        rollback_on_failure: stack.rollback_on_failure,
        allow_downtime: stack.extras.iter().any(allows),
        before: outlook.before,
        target_lives: lives.clone(),
        stable_lives: lives,
        requests_a_minute: outlook.requests_a_minute,
        ..Scenario::calm(params)
    }
}
