//! `plugin calls | call | replay | record`: the flight recorder.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::Session;
use super::client::read;
use super::failure::{Failure, Outcome, exit};
use super::output::{Output, Tone};
use super::table::{Cell, Table, cells, details};
use super::text::{ago, clean};
use super::view::{Call, Items, Replay};
use crate::app::recorder::{Played, cassette_play, cassette_read};
use crate::domain::cassette::Fault;
use crate::domain::text::pretty_json;

#[derive(Debug, Args)]
pub struct Which {
    /// Only calls of this plugin.
    #[arg(long, value_name = "NAME")]
    plugin: Option<String>,
    /// Only calls of this function, as in `decide`.
    #[arg(long, value_name = "NAME")]
    function: Option<String>,
    /// Only calls made for this deployment; number or id.
    #[arg(long, value_name = "N", conflicts_with_all = ["build", "delivery"])]
    deployment: Option<String>,
    /// Only calls made for this build; number or id.
    #[arg(long, value_name = "N", conflicts_with = "delivery")]
    build: Option<String>,
    /// Only calls made for this webhook delivery; number or id.
    #[arg(long, value_name = "N")]
    delivery: Option<String>,
    /// Only calls that ended like this: ok, failure, trap, timeout, memory, nonsense or refused.
    #[arg(long, value_name = "WORD")]
    outcome: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass plugin calls --deployment 12
  windlass plugin calls --outcome trap -o json")]
pub struct CallsArgs {
    #[command(flatten)]
    which: Which,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
}

#[derive(Debug, Args)]
#[command(after_help = "Exit code 0 if all is as it was recorded, 1 if not.

Examples:
  windlass plugin replay 4711
  windlass plugin replay --cassette decide.json --component target/my_strategy.wasm
  windlass plugin replay --cassette status.json --fault 429 --fault timeout")]
pub struct ReplayArgs {
    /// Number or id of a call that the server has recorded.
    #[arg(value_name = "CALL", required_unless_present = "cassette", conflicts_with = "cassette")]
    call: Option<String>,
    /// Play a cassette on this machine instead; no server is needed.
    #[arg(long, value_name = "FILE")]
    pub cassette: Option<PathBuf>,
    /// The component to play it with; without it the built-in plugin of that name.
    #[arg(long, value_name = "FILE", requires = "cassette")]
    component: Option<PathBuf>,
    /// Put this fault into each response to a request, one at a time: passed if the plugin still answers.
    #[arg(long, value_name = "FAULT", requires = "cassette")]
    fault: Vec<FaultWord>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FaultWord {
    /// The other side asks for a pause.
    #[value(name = "429")]
    TooManyRequests,
    /// No answer comes in time.
    Timeout,
    /// The second half of the body is missing.
    TruncatedBody,
}

impl From<FaultWord> for Fault {
    fn from(word: FaultWord) -> Self {
        match word {
            FaultWord::TooManyRequests => Self::TooManyRequests,
            FaultWord::Timeout => Self::Timeout,
            FaultWord::TruncatedBody => Self::TruncatedBody,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass plugin record --plugin standard --deployment 12 --last 200 > rollout.json
  windlass plugin record --call 4711 --call 4712 > two.json")]
pub struct RecordArgs {
    #[command(flatten)]
    which: Which,
    /// The last so many calls that were recorded whole.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    last: u16,
    /// These calls, by number or id.
    #[arg(long, value_name = "CALL")]
    call: Vec<String>,
}

impl Which {
    fn query(&self) -> Vec<(&str, &str)> {
        let words = [
            ("plugin", &self.plugin),
            ("function", &self.function),
            ("deployment", &self.deployment),
            ("build", &self.build),
            ("event", &self.delivery),
            ("outcome", &self.outcome),
        ];
        words.into_iter().filter_map(|(name, word)| Some((name, word.as_deref()?))).collect()
    }
}

pub async fn list(session: &Session, args: &CallsArgs) -> Outcome<()> {
    let out = &session.out;
    let limit = args.limit.to_string();
    let mut query = args.which.query();
    query.push(("limit", &limit));
    let value = session.client.get_with(&["plugins", "calls"], &query).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let calls = read::<Items<Call>>(&value)?.items;
    if calls.is_empty() {
        out.line("No calls are recorded that fit. They are kept for `recorder.keep_days` days.");
        return Ok(());
    }
    let mut table = Table::new(&["CALL", "STARTED", "PLUGIN", "FUNCTION", "FOR", "OUTCOME", "TOOK", "TIMES"]);
    for call in calls {
        let subject = call.subject.as_ref().map(|subject| subject.kind.replace('_', " ")).unwrap_or_default();
        let (started, outcome, took) =
            (ago(&call.started_at), outcome(&call.outcome), took(call.duration_us));
        table.row(cells![call.seq, started, call.plugin, call.function, subject, outcome, took, call.count]);
    }
    table.print(out);
    Ok(())
}

pub async fn show(session: &Session, call: &str) -> Outcome<()> {
    let out = &session.out;
    let value = session.client.get(&["plugins", "calls", call]).await.map_err(unknown)?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let call: Call = read(&value)?;
    let subject = call.subject.map(|subject| format!("{} {}", subject.kind.replace('_', " "), subject.id));
    let times = if call.count > 1 { format!("{} in a row", call.count) } else { String::new() };
    details(
        out,
        vec![
            ("Call", Cell::toned(call.seq.to_string(), Tone::Strong)),
            ("Id", call.id.as_str().into()),
            ("Plugin", call.plugin.as_str().into()),
            ("Digest", call.digest.as_str().into()),
            ("Function", format!("{} of {}", call.function, call.interface).into()),
            ("For", subject.unwrap_or_default().into()),
            ("Started", ago(&call.started_at).into()),
            ("Times", times.into()),
            ("Took", format!("{}, {} on the processor", took(call.duration_us), took(call.cpu_us)).into()),
            ("Outcome", outcome(&call.outcome)),
            ("Error", Cell::toned(call.error.as_deref().unwrap_or(""), Tone::Bad)),
            ("Cut", (if call.cut { "too large to be kept whole; it cannot be replayed" } else { "" }).into()),
        ],
    );
    for (name, part) in [("Input", &call.input), ("Exchange", &call.exchange), ("Output", &call.output)] {
        out.line("");
        out.line(&out.paint(Tone::Faint, &format!("{name}:")));
        out.line(&pretty_json(part));
    }
    Ok(())
}

pub async fn replay(session: &Session, args: &ReplayArgs) -> Outcome<u8> {
    let out = &session.out;
    let call = args.call.as_deref().unwrap_or_default();
    let value =
        session.client.post(&["plugins", "calls", call, "replay"], &json!({})).await.map_err(unknown)?;
    let replay: Replay = read(&value)?;
    if out.is_json() {
        out.json(&value);
    } else if replay.identical {
        let (word, took) = (out.paint(Tone::Good, "Identical."), took(replay.duration_us));
        out.line(&format!("{word} It ended with {} again, in {took}.", replay.outcome));
    } else {
        out.line(&out.paint(Tone::Bad, "Not what was recorded:"));
        replay.differences.iter().for_each(|line| out.line(&format!("  {}", clean(line))));
    }
    Ok(code(replay.identical))
}

/// Without a server.
pub async fn play(out: &Output, args: &ReplayArgs) -> Outcome<u8> {
    let path = args.cassette.clone().unwrap_or_default();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::local(format!("{} cannot be read: {error}.", path.display()), ""))?;
    let failed = |error: crate::error::Error| Failure::local(error.for_log(), "");
    let cassette = cassette_read(&text).map_err(failed)?;
    let faults: Vec<Fault> = args.fault.iter().copied().map(Fault::from).collect();
    let played = cassette_play(&cassette, args.component.as_deref(), &faults).await.map_err(failed)?;
    if out.is_json() {
        out.json(&Value::Array(played.iter().map(played_json).collect()));
    } else {
        for (n, played) in played.iter().enumerate() {
            let (tone, word) = match (played.passed(), played.fault) {
                (true, None) => (Tone::Good, "identical"),
                (true, Some(_)) => (Tone::Good, "answered"),
                (false, None) => (Tone::Bad, "different"),
                (false, Some(_)) => (Tone::Bad, "no answer"),
            };
            let fault = fault(played).map(|fault| format!(" with {fault}")).unwrap_or_default();
            let what = format!("{} of {}{fault}", clean(&played.function), clean(&played.plugin));
            out.line(&format!("{:>4}  {}  {what}", n + 1, out.paint(tone, word)));
            if !played.passed() {
                played.replay.differences.iter().for_each(|line| out.line(&format!("      {}", clean(line))));
            }
        }
    }
    Ok(code(played.iter().all(Played::passed)))
}

fn fault(played: &Played) -> Option<String> {
    played.fault.map(|(fault, nth)| format!("{} in response {}", fault.as_str(), nth + 1))
}

fn played_json(played: &Played) -> Value {
    json!({
        "plugin": played.plugin,
        "function": played.function,
        "fault": fault(played),
        "passed": played.passed(),
        "identical": played.replay.identical,
        "outcome": played.replay.outcome,
        "error": played.replay.error,
        "differences": played.replay.differences,
    })
}

pub async fn record(session: &Session, args: &RecordArgs) -> Outcome<()> {
    let (last, calls) = (args.last.to_string(), args.call.join(","));
    let mut query = args.which.query();
    query.push(("limit", &last));
    if !calls.is_empty() {
        query.push(("calls", &calls));
    }
    let cassette =
        session.client.get_with(&["plugins", "calls", "cassette"], &query).await.map_err(unknown)?;
    session.out.json(&cassette);
    Ok(())
}

fn unknown(failure: Failure) -> Failure {
    failure.listed_by("windlass plugin calls")
}

fn code(good: bool) -> u8 {
    if good { exit::SUCCESS } else { exit::FAILED }
}

fn outcome(word: &str) -> Cell {
    let tone = match word {
        "ok" => Tone::Good,
        "failure" => Tone::Warning,
        _ => Tone::Bad,
    };
    Cell::toned(word, tone)
}

fn took(us: i64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        _ => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}
