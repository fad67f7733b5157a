//! Every request of a call is answered in every wrong way: which trials that takes, and what came of each.
//!
//! The other side is made up, and knows no vendor. It goes along with a plugin for as long as words that most vendors use
//! carry, or as long as a recording goes, and from one request on it fails: as one does whose token was withdrawn, or that
//! is down.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::trouble::Trouble;
use crate::Disposition;
use crate::http::{Error, Response};

/// Most requests of one call, as the host counts them.
const BUDGET: usize = 32;
/// Different ways to a request that are tried for one call: each takes a trial for each trouble.
const WAYS: usize = 12;
/// Names by which vendors call jobs and builds.
const JOBS: [&str; 4] = ["job", "group/app", "group/app/job", "group/app/job.yml"];
const BUILDS: [&str; 3] = ["7", "job/7", "0190f7c2-7a3b-7c4d-8e5f-0123456789ab"];

/// What most vendors' answers have one or the other of.
const OBJECT: &str = r#"{"id":7,"number":7,"iid":7,"name":"app","slug":"app","full_name":"group/app","login":"me",
"username":"me","path":"job","version":"1.0","default_branch":"main","default":true,"sha":"67b56589a45103f891bdee7c0546e5d40bc02001",
"state":"open","status":"running","url":"https://vendor.example/7","web_url":"https://vendor.example/7",
"html_url":"https://vendor.example/7","title":"A title","description":"","content":"","encoding":"base64","private":false,
"archived":false,"items":[],"values":[],"jobs":[],"builds":[],"valid":true,"errors":[],"_class":"job"}"#;

/// How the other side answers before it fails.
#[derive(Clone, Debug)]
enum Manner {
    /// Always with 200 and this body.
    Always(String),
    /// What is asked for is not there, and what is sent is taken.
    Empty,
    /// As it was recorded.
    Recorded(Arc<[Result<Response, Error>]>),
}

/// What a call answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    /// With what only the other side can know.
    Facts,
    /// With what it was told to make.
    Made,
    /// With bytes that mean nothing to it.
    Text,
    /// That it is done.
    Done,
    /// That something is no more.
    Gone,
}

impl Answers {
    fn of(call: &str) -> Self {
        match call {
            "create-job" => Self::Made,
            "get-build-logs" | "read-artifact" => Self::Text,
            "set-commit-status" | "set-comment" => Self::Done,
            "cancel-build" | "delete-job" | "unregister" => Self::Gone,
            _ => Self::Facts,
        }
    }
}

/// How a call ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// With an answer, and whether that says anything. A log without a line does not.
    Answer { says_something: bool },
    /// With a failure and its code.
    Failure(Disposition, String),
    /// With an answer that the host does not take, and why. What was made up may be as senseless, so only a wrong answer of the
    /// other side's makes that a mistake.
    Senseless(String),
    /// In no way that the contract knows.
    Crash(String),
}

/// One trial: the other side of one call. Copies share what was asked.
#[derive(Clone, Debug)]
pub struct Trial {
    manner: Manner,
    /// From which request on the other side fails, and how.
    trouble: Option<(usize, Trouble)>,
    job: &'static str,
    build: &'static str,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Trial {
    fn new(manner: Manner, (job, build): (&'static str, &'static str)) -> Self {
        Self { manner, trouble: None, job, build, asked: Arc::default() }
    }

    /// The job that the call is to name.
    pub fn job(&self) -> &'static str {
        self.job
    }

    /// The build that the call is to name.
    pub fn build(&self) -> &'static str {
        self.build
    }

    /// What the other side says to the next request.
    ///
    /// # Errors
    /// Where there is no response.
    pub fn answer(&self, method: &str, path: &str) -> Result<Response, Error> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let n = asked.len();
        asked.push(format!("{method} {path}"));
        drop(asked);
        if n >= BUDGET {
            return Err(Error::Budget);
        }
        match (self.trouble, &self.manner) {
            (Some((from, trouble)), _) if n >= from => trouble.answer(),
            (_, Manner::Always(body)) => Ok(Response::new(200, body.as_str())),
            (_, Manner::Empty) if is_read(method) => Ok(Response::new(404, "{}")),
            (_, Manner::Empty) => Ok(Response::new(200, OBJECT)),
            (_, Manner::Recorded(answers)) => answers.get(n).cloned().unwrap_or(Err(Error::Timeout)),
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The trials of one call.
///
/// ```
/// use windlass_sdk::http::Request;
/// use windlass_sdk::testkit::{Ended, Trials};
///
/// // It takes whatever comes for a status.
/// let careless = || Request::get("/jobs/7").send();
/// let mut trials = Trials::of("get-job-status");
/// while let Some(trial) = trials.next() {
///     let other_side = trial.clone();
///     let answer = move |request: &Request| other_side.answer(&request.method, &request.path);
///     let ending = match windlass_sdk::http::answering(answer, careless) {
///         Ok(_) => Ended::Answer { says_something: true },
///         Err(_) => Ended::Crash("it has panicked".to_owned()),
///     };
///     trials.tell(&trial, ending);
/// }
/// let why = trials.result().unwrap_err();
/// assert!(why.starts_with("get-job-status: request 1 (GET /jobs/7) was answered with 401, and it succeeded"), "{why}");
/// ```
#[derive(Debug)]
pub struct Trials {
    call: String,
    answers: Answers,
    waiting: VecDeque<Trial>,
    /// The requests that led to each request that was answered wrongly.
    ways: BTreeSet<String>,
    tried: usize,
    wrong: Option<String>,
}

impl Trials {
    /// For a call of the contract, with an other side that is made up.
    pub fn of(call: &str) -> Self {
        let manners = [
            Manner::Always(OBJECT.to_owned()),
            Manner::Always(format!("[{OBJECT}]")),
            Manner::Always("{}".to_owned()),
            Manner::Always("[]".to_owned()),
            Manner::Always(String::new()),
            Manner::Empty,
        ];
        let (jobs, builds) = names_in(call);
        let names = jobs.iter().flat_map(|job| builds.iter().map(move |build| (*job, *build)));
        let trials = names.flat_map(|names| manners.clone().map(|manner| Trial::new(manner, names)));
        Self::with(call, trials.collect())
    }

    /// For a call that was recorded with these answers. The trial's job and build are not the recorded ones.
    pub(super) fn recorded(call: &str, answers: Vec<Result<Response, Error>>) -> Self {
        let trial = Trial::new(Manner::Recorded(answers.into()), (JOBS[0], BUILDS[0]));
        Self::with(call, VecDeque::from([trial]))
    }

    fn with(call: &str, waiting: VecDeque<Trial>) -> Self {
        let answers = Answers::of(call);
        Self { call: call.to_owned(), answers, waiting, ways: BTreeSet::new(), tried: 0, wrong: None }
    }

    /// The next one to make the call with; none when all is known, or something is wrong.
    #[allow(clippy::should_implement_trait, reason = "what comes next depends on what is told in between")]
    pub fn next(&mut self) -> Option<Trial> {
        if self.wrong.is_some() { None } else { self.waiting.pop_front() }
    }

    /// How the call ended in a trial.
    pub fn tell(&mut self, trial: &Trial, ending: Ended) {
        self.tried += 1;
        let asked = trial.asked();
        let wrong = match (trial.trouble, ending) {
            (None, Ended::Crash(why)) => Some(format!("{}: {why}", self.call)),
            (None, _) => {
                self.plan(trial, &asked);
                None
            }
            (Some((from, trouble)), ending) => self.wrong(from, trouble, &asked, ending),
        };
        self.wrong = self.wrong.take().or(wrong);
    }

    /// How often the call was made, or what was wrong first.
    ///
    /// # Errors
    /// A sentence that names the call, the request, its answer, and what was expected.
    pub fn result(self) -> Result<usize, String> {
        self.wrong.map_or(Ok(self.tried), Err)
    }

    /// Each request of a call that was answered kindly is answered in every other way, unless the same ones led to it before.
    fn plan(&mut self, trial: &Trial, asked: &[String]) {
        if !asked.is_empty() {
            // These names fit, so others would only ask the same in other words.
            self.waiting.retain(|other| (other.job, other.build) == (trial.job, trial.build));
        }
        for from in 0..asked.len().min(BUDGET) {
            let way = asked[..=from].join("\n");
            if self.ways.len() >= WAYS || !self.ways.insert(way) {
                continue;
            }
            self.waiting.extend(Trouble::ALL.map(|trouble| Trial {
                trouble: Some((from, trouble)),
                asked: Arc::default(),
                ..trial.clone()
            }));
        }
    }

    fn wrong(&self, from: usize, trouble: Trouble, asked: &[String], ending: Ended) -> Option<String> {
        // Where it did not come to this request again, nothing was answered wrongly.
        let request = asked.get(from)?;
        let said =
            format!("{}: request {} ({request}) was answered with {}", self.call, from + 1, trouble.words());
        if asked.len() >= BUDGET {
            return Some(format!("{said}, and it went on asking until its {BUDGET} requests were used up"));
        }
        let wanted = trouble.wanted();
        match ending {
            Ended::Senseless(why) | Ended::Crash(why) => {
                Some(format!("{said}, and that was no answer of the contract: {why}"))
            }
            Ended::Failure(disposition, _) if trouble.fits(&disposition) => None,
            Ended::Failure(disposition, code) => {
                let word = word_of(&disposition);
                Some(format!("{said}, and it failed with {word} (`{code}`); expected is a failure {wanted}"))
            }
            Ended::Answer { says_something } => {
                let is_read = request.split(' ').next().is_some_and(is_read);
                let may = self.may_succeed(trouble, is_read, from > 0, says_something);
                (!may).then(|| format!("{said}, and it succeeded; expected is a failure {wanted}"))
            }
        }
    }

    /// Whether nothing is made up in a success all the same. `knows_more` is whether earlier requests were answered.
    fn may_succeed(&self, trouble: Trouble, is_read: bool, knows_more: bool, says_something: bool) -> bool {
        // What a credential may not see, or is not there, may be left out of what others said.
        let is_left_out = trouble.is_denial() && is_read && knows_more;
        match self.answers {
            Answers::Facts => is_left_out,
            // What was taken may be answered with anything.
            Answers::Made => is_left_out || (trouble.is_nonsense() && !is_read),
            Answers::Text => {
                is_left_out || trouble.is_nonsense() || (trouble == Trouble::NotFound && !says_something)
            }
            Answers::Done => trouble.is_nonsense(),
            // What is not there is gone, and what has ended cannot be ended.
            Answers::Gone => {
                matches!(trouble, Trouble::NotFound | Trouble::Conflict) || trouble.is_nonsense()
            }
        }
    }
}

/// Whether it changes nothing on the other side.
fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}

/// The names to try for the job and the build that a call is about.
fn names_in(call: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match call {
        "trigger-job" | "get-job-status" | "delete-job" => (&JOBS, &BUILDS[..1]),
        "get-build-status" | "get-build-logs" | "cancel-build" | "list-artifacts" | "read-artifact" => {
            (&JOBS, &BUILDS)
        }
        _ => (&JOBS[..1], &BUILDS[..1]),
    }
}

fn word_of(disposition: &Disposition) -> String {
    match disposition {
        Disposition::Retry(_) => "`retry`".to_owned(),
        Disposition::Permanent => "`permanent`".to_owned(),
        Disposition::AuthRequired => "`auth-required`".to_owned(),
        Disposition::RateLimited(None) => "`rate-limited` without a pause".to_owned(),
        Disposition::RateLimited(Some(pause)) => format!("`rate-limited` with {pause} s"),
        Disposition::Other(word) => format!("`{word}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::outage::run;
    use super::*;
    use crate::Failure;
    use crate::http::Request;

    fn of(call: &str, work: impl Fn() -> Result<bool, Failure>) -> Result<(), String> {
        run(Trials::of(call), |_, _| work())
    }

    fn get(path: &str) -> Result<Response, Failure> {
        Request::get(path).send()?.success()
    }

    fn post(path: &str) -> Result<Response, Failure> {
        Request::post(path).send()?.success()
    }

    /// Reads an object with an id.
    fn id_in(response: &Response) -> Result<u64, Failure> {
        let value: serde_json::Value = response.json()?;
        value["id"].as_u64().ok_or_else(|| Failure::permanent("malformed-response", "There is no id."))
    }

    #[test]
    fn what_the_sdk_makes_of_each_trouble_is_right() {
        let status = || id_in(&get("/builds/7")?).map(|_| true);
        assert_eq!(of("get-build-status", status), Ok(()));
        let trigger = || {
            get("/jobs/7")?;
            id_in(&post("/jobs/7/builds")?).map(|_| true)
        };
        assert_eq!(of("trigger-job", trigger), Ok(()));
        let delete = || match Request::delete("/jobs/7").send()? {
            gone if gone.status == 404 => Ok(true),
            other => other.success().map(|_| true),
        };
        assert_eq!(of("delete-job", delete), Ok(()));
    }

    #[test]
    fn a_failure_that_does_not_fit_is_named_with_its_request() {
        let hasty = || {
            id_in(&get("/jobs/7")?)?;
            let started =
                post("/jobs/7/builds").map_err(|_| Failure::permanent("no-such-job", "It is not there."))?;
            id_in(&started).map(|_| true)
        };
        let why = of("trigger-job", hasty).expect_err("a 401 is no missing job");
        let wanted = "trigger-job: request 2 (POST /jobs/7/builds) was answered with 401, and it failed with `permanent` \
                      (`no-such-job`); expected is a failure `auth-required`";
        assert_eq!(why, wanted);
    }

    #[test]
    fn a_pause_that_is_not_handed_on_is_noticed() {
        let deaf = || match Request::get("/builds/7").send()? {
            told if told.status == 429 => Err(Failure::rate_limited(None, "status-429", "Later, it says.")),
            other => id_in(&other.success()?).map(|_| true),
        };
        let why = of("get-build-status", deaf).expect_err("the pause is lost");
        assert!(why.contains("`rate-limited` without a pause"), "{why}");
    }

    #[test]
    fn a_build_that_nobody_started_is_made_up() {
        let careless = || Request::post("/jobs/7/builds").send().map(|_| true).map_err(Failure::from);
        let why = of("trigger-job", careless).expect_err("nothing was started");
        assert!(why.contains("and it succeeded"), "{why}");
    }

    #[test]
    fn whoever_asks_again_and_again_is_stopped_and_told() {
        let stubborn = || loop {
            match get("/builds/7") {
                Ok(response) => return id_in(&response).map(|_| true),
                Err(failure) if failure.code == "budget" => return Err(failure),
                Err(_) => {}
            }
        };
        let why = of("get-build-status", stubborn).expect_err("it never gives up");
        assert!(why.contains("until its 32 requests were used up"), "{why}");
    }

    #[test]
    fn a_log_that_is_not_there_yet_is_empty_and_not_made_up() {
        let log = |says_something| {
            move || match Request::get("/builds/7/log").send()? {
                missing if missing.status == 404 => Ok(says_something),
                other => other.success().map(|_| true),
            }
        };
        assert_eq!(of("get-build-logs", log(false)), Ok(()));
        assert!(of("get-build-logs", log(true)).is_err());
    }
}
