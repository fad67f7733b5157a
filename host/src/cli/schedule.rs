//! `schedule list | show | create | edit | enable | disable | delete`: deployments, and builds at providers, at set times.

use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Session;
use super::client::read;
use super::deploy::unknown_stack;
use super::failure::{Failure, Outcome, exit};
use super::output::Tone;
use super::stack::joined;
use super::table::{Cell, Table, cells, details};
use super::text::{ago, clean};
use super::view::{Items, Stack};

#[derive(Debug, Subcommand)]
pub enum ScheduleCommand {
    /// List schedules with what comes next and what came of the last time.
    List {
        /// Only those of this stack.
        #[arg(long)]
        stack: Option<String>,
        /// Only those of this job at a provider: its number or id.
        #[arg(long, conflicts_with = "stack")]
        job: Option<String>,
    },
    /// Show a schedule with its next due times.
    Show {
        /// Number or id.
        #[arg(value_name = "ID")]
        schedule: String,
    },
    /// Deploy a stack at set times, or start builds of a job.
    #[command(visible_alias = "add")]
    Create(CreateArgs),
    /// Change what is given; the rest stays.
    Edit {
        /// Number or id.
        #[arg(value_name = "ID")]
        schedule: String,
        #[command(flatten)]
        plan: PlanArgs,
    },
    /// Switch a schedule on again. What was due meanwhile is left out.
    Enable {
        /// Number or id.
        #[arg(value_name = "ID")]
        schedule: String,
    },
    /// Switch a schedule off.
    Disable {
        /// Number or id.
        #[arg(value_name = "ID")]
        schedule: String,
    },
    /// Delete a schedule. What it has deployed stays.
    Delete {
        /// Number or id.
        #[arg(value_name = "ID")]
        schedule: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  windlass schedule create web --name nightly --cron '30 4 * * mon-fri' --time-zone Europe/Berlin
  windlass schedule create --job 3 --cron @daily")]
pub struct CreateArgs {
    /// Name, number or id of the stack.
    #[arg(required_unless_present = "job")]
    stack: Option<String>,
    /// Number or id of a job at a provider, instead of a stack.
    #[arg(long, conflicts_with = "stack")]
    job: Option<String>,
    #[command(flatten)]
    plan: PlanArgs,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Unique within the stack or job; `default` for a new one.
    #[arg(long)]
    name: Option<String>,
    /// Minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly, @yearly.
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    /// Name of the IANA database in which the expression is read; UTC for a new one.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Branch, tag or commit; empty for the repository's branch.
    #[arg(long = "ref", value_name = "REF")]
    git_ref: Option<String>,
    /// What happens to due times at which no server ran.
    #[arg(long, value_enum)]
    missed: Option<MissedArg>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum MissedArg {
    /// One run makes up for all of them.
    RunOnce,
    /// They are left out.
    Skip,
}

impl PlanArgs {
    fn lay_over(&self, plan: &mut Map<String, Value>) {
        let missed = self.missed.map(|missed| match missed {
            MissedArg::RunOnce => "run_once".to_owned(),
            MissedArg::Skip => "skip".to_owned(),
        });
        let fields = [
            ("name", self.name.clone()),
            ("cron", self.cron.clone()),
            ("timeZone", self.time_zone.clone()),
            ("missed", missed),
        ];
        for (field, value) in fields {
            if let Some(value) = value {
                plan.insert(field.into(), value.into());
            }
        }
        if let Some(name) = &self.git_ref {
            plan.insert("gitRef".into(), if name.is_empty() { Value::Null } else { name.as_str().into() });
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Schedule {
    seq: i64,
    stack_id: Option<String>,
    job_id: Option<String>,
    name: String,
    cron: String,
    time_zone: String,
    #[serde(default)]
    git_ref: Option<String>,
    missed: String,
    enabled: bool,
    next_at: Option<String>,
    upcoming: Vec<String>,
    last_due_at: Option<String>,
    last_result: Option<String>,
}

pub async fn schedule(session: &Session, command: &ScheduleCommand) -> Outcome<u8> {
    match command {
        ScheduleCommand::List { stack, job } => list(session, stack.as_deref(), job.as_deref()).await?,
        ScheduleCommand::Show { schedule } => show(session, &get(session, schedule).await?).await?,
        ScheduleCommand::Create(args) => create(session, args).await?,
        ScheduleCommand::Edit { schedule, plan } => {
            change(session, schedule, |all| plan.lay_over(all)).await?
        }
        ScheduleCommand::Enable { schedule } => switch(session, schedule, true).await?,
        ScheduleCommand::Disable { schedule } => switch(session, schedule, false).await?,
        ScheduleCommand::Delete { schedule } => delete(session, schedule).await?,
    }
    Ok(exit::SUCCESS)
}

fn unknown(failure: Failure) -> Failure {
    failure.listed_by("windlass schedule list")
}

async fn get(session: &Session, schedule: &str) -> Outcome<Value> {
    session.client.get(&["schedules", schedule]).await.map_err(unknown)
}

/// The stack or job that a schedule is for.
async fn subject(session: &Session, schedule: &Schedule) -> Outcome<String> {
    let value = match (&schedule.stack_id, &schedule.job_id) {
        (Some(id), _) => return Ok(read::<Stack>(&session.client.get(&["stacks", id]).await?)?.name),
        (None, Some(id)) => session.client.get(&["ci", "jobs", id]).await?,
        (None, None) => return Ok(String::new()),
    };
    Ok(format!("job {} ({})", value["seq"], value["name"].as_str().unwrap_or_default()))
}

async fn list(session: &Session, stack: Option<&str>, job: Option<&str>) -> Outcome<()> {
    let out = &session.out;
    let value = match (stack, job) {
        (Some(name), _) => {
            let asked = session.client.get(&["stacks", name, "schedules"]).await;
            asked.map_err(|failure| unknown_stack(failure, name))?
        }
        (None, Some(job)) => session.client.get(&["ci", "jobs", job, "schedules"]).await?,
        (None, None) => session.client.get(&["schedules"]).await?,
    };
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let schedules = read::<Items<Schedule>>(&value)?.items;
    if schedules.is_empty() {
        out.line("No schedules yet. `windlass schedule create --help` has an example.");
        return Ok(());
    }
    let mut table = Table::new(&["ID", "OF", "NAME", "CRON", "TIME ZONE", "NEXT", "LAST RESULT"]);
    for one in schedules {
        let of = subject(session, &one).await?;
        let (next, result) = (next(&one), one.last_result.unwrap_or_default());
        table.row(cells![one.seq, of, one.name, one.cron, one.time_zone, next, result]);
    }
    table.print(out);
    Ok(())
}

fn next(schedule: &Schedule) -> Cell {
    match &schedule.next_at {
        _ if !schedule.enabled => Cell::toned("off", Tone::Faint),
        Some(at) => ago(at).into(),
        None => Cell::toned("never", Tone::Bad),
    }
}

async fn show(session: &Session, value: &Value) -> Outcome<()> {
    let out = &session.out;
    if out.is_json() {
        out.json(value);
        return Ok(());
    }
    let one: Schedule = read(value)?;
    let missed = match one.missed.as_str() {
        "skip" => "due times without a server are left out",
        _ => "one run makes up for due times without a server",
    };
    let last = one.last_due_at.as_deref().map(ago).unwrap_or_default();
    details(
        out,
        vec![
            ("Schedule", Cell::toned(one.seq.to_string(), Tone::Strong)),
            ("Of", subject(session, &one).await?.into()),
            ("Name", one.name.as_str().into()),
            ("Cron", format!("{} in {}", clean(&one.cron), clean(&one.time_zone)).into()),
            ("Branch", one.git_ref.as_deref().unwrap_or("its own").into()),
            ("Missed", missed.into()),
            ("Next", next(&one)),
            ("Upcoming", joined(&one.upcoming)),
            ("Last due", last.into()),
            ("Last result", one.last_result.as_deref().unwrap_or("").into()),
        ],
    );
    Ok(())
}

async fn create(session: &Session, args: &CreateArgs) -> Outcome<()> {
    let mut plan = Map::new();
    plan.insert("name".into(), "default".into());
    args.plan.lay_over(&mut plan);
    if !plan.contains_key("cron") {
        return Err(Failure::usage("A new schedule needs --cron, for instance --cron '30 4 * * *'."));
    }
    let plan = Value::Object(plan);
    let made = match (&args.stack, &args.job) {
        (Some(stack), _) => {
            let asked = session.client.post(&["stacks", stack, "schedules"], &plan).await;
            asked.map_err(|failure| unknown_stack(failure, stack))?
        }
        (None, job) => {
            let job = job.as_deref().unwrap_or_default();
            session.client.post(&["ci", "jobs", job, "schedules"], &plan).await?
        }
    };
    show(session, &made).await
}

/// Sends back what is there with changes.
async fn change(
    session: &Session,
    schedule: &str,
    lay_over: impl Fn(&mut Map<String, Value>),
) -> Outcome<()> {
    let old = get(session, schedule).await?;
    let mut plan = Map::new();
    for field in ["name", "cron", "timeZone", "gitRef", "missed", "enabled"] {
        if let Some(value) = old.get(field) {
            plan.insert(field.into(), value.clone());
        }
    }
    lay_over(&mut plan);
    let value = session.client.put(&["schedules", schedule], &Value::Object(plan)).await?;
    show(session, &value).await
}

async fn switch(session: &Session, schedule: &str, on: bool) -> Outcome<()> {
    change(session, schedule, |plan| {
        plan.insert("enabled".into(), json!(on));
    })
    .await
}

async fn delete(session: &Session, schedule: &str) -> Outcome<()> {
    let out = &session.out;
    session.client.delete(&["schedules", schedule]).await.map_err(unknown)?;
    if out.is_json() {
        out.json(&Value::Null);
    } else {
        out.line(&format!("Schedule {} is deleted.", clean(schedule)));
    }
    Ok(())
}
