//! A rollout that is told instead of simulated: what is seen, and what has to be ordered then.

use std::marker::PhantomData;

use crate::strategy::{
    Action, Decision, Instance, InstanceState, News, Release, Sample, Situation, Stack, Step, Strategy,
    Weight,
};

/// The stack's `health-timeout-ms` in a story.
pub const STORY_TIMEOUT_MS: u64 = 60_000;

/// `old` serves with one instance, `new` is deployed, the health timeout is 60 s. Between two looks a second passes.
///
/// ```
/// # use windlass_sdk::strategy::{self, Action, Outcome, Situation, Stack, Step, Strategy};
/// # use windlass_sdk::{Failure, Manifest, Problem};
/// # struct Mine;
/// # impl Strategy for Mine {
/// #     fn describe() -> Manifest { Manifest::new("mine", "0.1.0", "") }
/// #     fn validate(_: &str, _: &Stack) -> Vec<Problem> { Vec::new() }
/// #     fn decide(_: &[u8], situation: Situation) -> Result<Step, Failure> {
/// #         let healthy = situation.instances_of("new").count() > 0;
/// #         let actions = vec![if healthy { Action::route_all("new") } else { Action::scale("new", 1) }];
/// #         Ok(Step { memory: Vec::new(), label: "Going on".into(), progress: 0, actions, wake_after: None })
/// #     }
/// # }
/// use windlass_sdk::strategy::InstanceState::Healthy;
/// use windlass_sdk::testkit::Story;
///
/// Story::<Mine>::new("{}")
///     .orders(&[Action::scale("new", 1)])
///     .sees(|at| at.runs(&[("old", Healthy), ("new", Healthy)]))
///     .orders(&[Action::route_all("new")]);
/// ```
pub struct Story<T> {
    pub situation: Situation,
    memory: Vec<u8>,
    last: Option<Step>,
    strategy: PhantomData<T>,
}

impl<T: Strategy> Story<T> {
    /// Begins, with these parameters.
    pub fn new(params: &str) -> Self {
        let release = |id: &str| Release {
            id: id.to_owned(),
            image: id.to_owned(),
            commit: String::new(),
            created: 0,
            extras: Vec::new(),
        };
        let situation = Situation {
            stack: Stack {
                name: "web".to_owned(),
                replicas: 1,
                ports: Vec::new(),
                volumes: Vec::new(),
                health_timeout_ms: STORY_TIMEOUT_MS,
                rollback_on_failure: true,
                extras: Vec::new(),
            },
            target: release("new"),
            stable: Some(release("old")),
            params: params.to_owned(),
            now: 1_000_000,
            started: 1_000_000,
            step_started: 1_000_000,
            fleet: Vec::new(),
            traffic: Vec::new(),
            samples: Vec::new(),
            approval: None,
            abort_requested: false,
        };
        let mut story = Self { situation, memory: Vec::new(), last: None, strategy: PhantomData };
        story.situation.runs(&[("old", InstanceState::Healthy)]);
        story.situation.routes(&[("old", 100)]);
        story
    }

    /// A second later something is different.
    pub fn sees(&mut self, change: impl FnOnce(&mut Situation)) -> &mut Self {
        self.after(1_000, change)
    }

    /// So many milliseconds later something is different.
    pub fn after(&mut self, ms: u64, change: impl FnOnce(&mut Situation)) -> &mut Self {
        self.situation.now += ms;
        change(&mut self.situation);
        self
    }

    /// Exactly this is ordered now. What is only told is no order.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn orders(&mut self, actions: &[Action]) -> &mut Self {
        let step = T::decide(&self.memory, self.situation.clone());
        let step = step.unwrap_or_else(|failure| panic!("it failed: {}", failure.message));
        let orders: Vec<&Action> = step.actions.iter().filter(|action| action.told().is_none()).collect();
        assert_eq!(orders, actions.iter().collect::<Vec<_>>(), "{}", step.label);
        self.memory.clone_from(&step.memory);
        self.last = Some(step);
        self
    }

    /// That is what people read then.
    ///
    /// # Panics
    /// If they read something else.
    #[track_caller]
    pub fn says(&mut self, label: &str) -> &mut Self {
        assert_eq!(self.last.as_ref().map(|step| step.label.as_str()), Some(label));
        self
    }

    /// Exactly this is told with it.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn tells(&mut self, told: &[(News, &str)]) -> &mut Self {
        let actions = self.last.iter().flat_map(|step| &step.actions);
        assert_eq!(actions.filter_map(Action::told).collect::<Vec<_>>(), told);
        self
    }

    /// That is when it wants to look again.
    ///
    /// # Panics
    /// If it wants to at another time.
    #[track_caller]
    pub fn wakes_after(&mut self, ms: u64) -> &mut Self {
        assert_eq!(self.last.as_ref().and_then(|step| step.wake_after), Some(ms));
        self
    }
}

/// For stories: what there is to see.
impl Situation {
    /// These instances run, since now if the state is new to their release.
    pub fn runs(&mut self, instances: &[(&str, InstanceState)]) {
        let before = std::mem::take(&mut self.fleet);
        for (n, (release, state)) in instances.iter().enumerate() {
            let same = |one: &&Instance| one.release == *release && one.state == *state;
            let since = before.iter().find(same).map_or(self.now, |one| one.since);
            self.fleet.push(Instance {
                release: (*release).to_owned(),
                id: format!("{release}-{n}"),
                state: state.clone(),
                since,
                restarts: 0,
                reason: String::new(),
            });
        }
    }

    /// The requests go there.
    pub fn routes(&mut self, shares: &[(&str, u32)]) {
        let weight = |&(release, percent): &(&str, u32)| Weight { release: release.to_owned(), percent };
        self.traffic = shares.iter().map(weight).collect();
        self.samples.clear();
    }

    /// A release got so many requests since the shares changed, of which so many failed, and 95 of 100 took so long at
    /// most.
    pub fn answers(&mut self, release: &str, requests: u64, errors_5xx: u64, p95_ms: f64) {
        self.samples.retain(|sample| sample.release != release);
        let (p50_ms, p99_ms) = (p95_ms / 3.0, p95_ms * 1.5);
        let release = release.to_owned();
        self.samples.push(Sample { release, requests, errors_5xx, p50_ms, p95_ms, p99_ms });
    }

    /// Somebody answers what was asked.
    pub fn hears(&mut self, approved: bool) {
        self.approval = Some(Decision { approved, by: "ada".to_owned(), at: self.now });
    }
}
