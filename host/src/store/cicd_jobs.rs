//! Table `cicd_jobs`.

use super::{
    Conn, counters,
    faults::on_unique,
    rows::{
        Entity, Row, as_seq, below, execute, fetch_all, fetch_opt, fetch_page, found, hit, json, over, plain,
        plain_opt, query,
    },
    stack_ci,
};
use crate::{
    domain::{
        Id, UnixMs,
        access::Reach,
        ci::{CiJob, CiStatus},
        cicd::{CicdJob, LOOK_MS},
        page::{Page, PageRequest},
    },
    error::{Error, Result},
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, seq, provider_id, external_id, name, description, parameters, trigger_token, trigger_url, job_url, \
             status, last_build_number, last_synced_at, spec, made_at, look_at, creator_id, team_id, created_at, \
             updated_at FROM cicd_jobs ",
            $tail
        )
    };
}

impl Entity for CicdJob {
    const WHAT: &'static str = "job";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        let status = |word: String| {
            CiStatus::parse(&word)
                .ok_or_else(|| Error::internal(format!("a job has the unknown status `{word}`")))
        };
        let parameters = row.text_opt("parameters")?;
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            provider_id: row.id("provider_id")?,
            external_id: row.text("external_id")?,
            name: row.text("name")?,
            description: row.text_opt("description")?,
            parameters: parameters.map_or_else(
                || Ok(serde_json::Map::new()),
                |text| serde_json::from_str(&text).map_err(Error::internal),
            )?,
            trigger_token: row.text_opt("trigger_token")?,
            trigger_url: row.text_opt("trigger_url")?,
            job_url: row.text_opt("job_url")?,
            status: row.text_opt("status")?.map(status).transpose()?,
            last_build_number: row.text_opt("last_build_number")?,
            last_synced_at: row.int_opt("last_synced_at")?,
            spec: row.json("spec")?,
            made_at: row.int_opt("made_at")?,
            look_at: row.int_opt("look_at")?,
            creator_id: row.text_opt("creator_id")?,
            team_id: row.text_opt("team_id")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

/// Stores it under the next number, whatever its `seq` says. `Conflict` if the provider's job is known already.
pub async fn insert(conn: &mut Conn, mut job: CicdJob) -> Result<CicdJob> {
    job.seq = counters::take(conn, "cicd_jobs", 1).await?;
    let done = query(
        "INSERT INTO cicd_jobs (id, seq, provider_id, external_id, name, description, parameters, trigger_token, trigger_url, \
         job_url, status, last_build_number, last_synced_at, spec, made_at, creator_id, team_id, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
    )
    .bind(job.id.as_str())
    .bind(job.seq)
    .bind(job.provider_id.as_str())
    .bind(plain(&job.external_id))
    .bind(plain(&job.name))
    .bind(plain_opt(job.description.as_deref()))
    .bind(json(&job.parameters)?)
    .bind(job.trigger_token.clone())
    .bind(plain_opt(job.trigger_url.as_deref()))
    .bind(plain_opt(job.job_url.as_deref()))
    .bind(job.status.map(|status| status.as_str().to_owned()))
    .bind(plain_opt(job.last_build_number.as_deref()))
    .bind(job.last_synced_at)
    .bind(json(&job.spec)?)
    .bind(job.made_at)
    .bind(plain_opt(job.creator_id.as_deref()))
    .bind(job.team_id.clone())
    .bind(job.created_at)
    .bind(job.updated_at)
    .execute(conn)
    .await;
    on_unique(done, || format!("the provider's job `{}` is known already", job.external_id))?;
    Ok(job)
}

/// `key` is an id or a number.
pub async fn find(conn: &mut Conn, key: &str) -> Result<CicdJob> {
    found(find_opt(conn, key).await?, key)
}

/// `key` is an id or a number.
pub async fn find_opt(conn: &mut Conn, key: &str) -> Result<Option<CicdJob>> {
    match as_seq(key) {
        Some(seq) => fetch_opt(conn, query(select!("WHERE seq = $1")).bind(seq)).await,
        None => fetch_opt(conn, query(select!("WHERE id = $1")).bind(plain(key))).await,
    }
}

/// Keeps the row until the transaction ends, and answers it as it is by then.
pub async fn hold(conn: &mut Conn, id: &Id) -> Result<CicdJob> {
    let statement = query("UPDATE cicd_jobs SET updated_at = updated_at WHERE id = $1").bind(id.as_str());
    hit(execute(conn, statement).await?, CicdJob::WHAT, id)?;
    find(conn, id.as_str()).await
}

/// By its id only.
pub async fn find_id(conn: &mut Conn, id: &str) -> Result<Option<CicdJob>> {
    fetch_opt(conn, query(select!("WHERE id = $1")).bind(plain(id))).await
}

pub async fn find_external(conn: &mut Conn, provider: &Id, external: &str) -> Result<Option<CicdJob>> {
    let query = query(select!("WHERE provider_id = $1 AND external_id = $2"))
        .bind(provider.as_str())
        .bind(plain(external));
    fetch_opt(conn, query).await
}

/// Those of that name at a provider, oldest first.
pub async fn list_by_name(conn: &mut Conn, provider: &Id, name: &str) -> Result<Vec<CicdJob>> {
    let query = query(select!("WHERE provider_id = $1 AND name = $2 ORDER BY seq LIMIT 10"))
        .bind(provider.as_str())
        .bind(plain(name));
    fetch_all(conn, query).await
}

/// Newest first.
pub async fn list(conn: &mut Conn, page: PageRequest, reach: &Reach) -> Result<Page<CicdJob>> {
    let query = query(select!(
        "WHERE seq < $1 AND ($3 = '' OR EXISTS (SELECT 1 FROM cicd_providers p JOIN token_teams v \
         ON v.team_id = COALESCE(p.team_id, '') WHERE p.id = cicd_jobs.provider_id AND v.token_id = $3)) \
         ORDER BY seq DESC LIMIT $2"
    ))
    .bind(below(page))
    .bind(over(page))
    .bind(reach.as_str().to_owned());
    fetch_page(conn, page, query, |job: &CicdJob| job.seq).await
}

/// Newest first.
pub async fn list_by_provider(conn: &mut Conn, provider: &Id, page: PageRequest) -> Result<Page<CicdJob>> {
    let query = query(select!("WHERE provider_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"))
        .bind(provider.as_str())
        .bind(below(page))
        .bind(over(page));
    fetch_page(conn, page, query, |job: &CicdJob| job.seq).await
}

/// Those that are to be asked about by now, the longest waiting first, and `of_one` of each provider at most.
pub async fn list_due(conn: &mut Conn, now: UnixMs, most: i64, of_one: i64) -> Result<Vec<CicdJob>> {
    let query = query(select!(
        "WHERE id IN (SELECT d.id FROM (SELECT id, ROW_NUMBER() OVER (PARTITION BY provider_id ORDER BY look_at, id) AS n \
         FROM cicd_jobs WHERE look_at <= $1) d WHERE d.n <= $3) ORDER BY look_at LIMIT $2"
    ));
    fetch_all(conn, query.bind(now).bind(most).bind(of_one)).await
}

/// Takes the look that is due, and says when the next one is: true for exactly one caller.
pub async fn claim_look(conn: &mut Conn, job: &CicdJob, next: Option<UnixMs>) -> Result<bool> {
    let statement = query("UPDATE cicd_jobs SET look_at = $1 WHERE id = $2 AND look_at = $3");
    Ok(execute(conn, statement.bind(next).bind(job.id.as_str()).bind(job.look_at)).await? > 0)
}

/// Has a job that is watched asked about at this time, unless that is to be sooner.
pub async fn look_by(conn: &mut Conn, id: &Id, at: UnixMs) -> Result<()> {
    let statement = query("UPDATE cicd_jobs SET look_at = $1 WHERE id = $2 AND look_at > $1");
    execute(conn, statement.bind(at).bind(id.as_str())).await.map(|_| ())
}

/// What it is to be has changed: it has to be made again.
pub async fn respecify(conn: &mut Conn, job: &CicdJob, now: UnixMs) -> Result<()> {
    let statement = query(
        "UPDATE cicd_jobs SET description = $1, parameters = $2, spec = $3, made_at = NULL, updated_at = $4 WHERE id = $5",
    )
    .bind(plain_opt(job.description.as_deref()))
    .bind(json(&job.parameters)?)
    .bind(json(&job.spec)?)
    .bind(now)
    .bind(job.id.as_str());
    hit(execute(conn, statement).await?, CicdJob::WHAT, &job.id)
}

/// The provider has it, and if it is watched, is soon asked whether somebody else builds there. Where another row is the same
/// job already, that one takes this one's place, and is answered.
pub async fn made(conn: &mut Conn, job: &CicdJob, said: &CiJob, now: UnixMs) -> Result<Id> {
    let other = find_external(conn, &job.provider_id, &said.id).await?.filter(|other| other.id != job.id);
    let id = match &other {
        Some(other) => {
            for statement in [
                "UPDATE deployment_cicd_mappings SET cicd_job_id = $1 WHERE cicd_job_id = $2",
                "UPDATE stack_ci SET job_id = $1 WHERE job_id = $2",
                "UPDATE ci_builds SET job_id = $1 WHERE job_id = $2",
                "UPDATE schedules SET job_id = $1 WHERE job_id = $2 AND name NOT IN (SELECT name FROM schedules WHERE job_id = $1)",
            ] {
                execute(conn, query(statement).bind(other.id.as_str()).bind(job.id.as_str())).await?;
            }
            execute(conn, query("DELETE FROM cicd_jobs WHERE id = $1").bind(job.id.as_str())).await?;
            &other.id
        }
        None => &job.id,
    };
    let is_watched = job.spec.watch || stack_ci::by_job(conn, id).await?.is_some();
    let look_at = is_watched.then_some(now + LOOK_MS.0);
    let statement = query(
        "UPDATE cicd_jobs SET external_id = $1, job_url = $2, trigger_url = $3, made_at = $4, last_synced_at = $4, \
         updated_at = $4, look_at = $6 WHERE id = $5",
    )
    .bind(plain(&said.id))
    .bind(plain_opt(said.url.as_deref()))
    .bind(plain_opt(said.trigger_url.as_deref()))
    .bind(now)
    .bind(id.as_str())
    .bind(look_at);
    hit(execute(conn, statement).await?, CicdJob::WHAT, id)?;
    Ok(id.clone())
}

/// What the provider says of it.
pub async fn synced(conn: &mut Conn, id: &Id, said: &CiJob, now: UnixMs) -> Result<()> {
    let statement =
        query("UPDATE cicd_jobs SET job_url = $1, trigger_url = $2, last_synced_at = $3 WHERE id = $4")
            .bind(plain_opt(said.url.as_deref()))
            .bind(plain_opt(said.trigger_url.as_deref()))
            .bind(now)
            .bind(id.as_str());
    hit(execute(conn, statement).await?, CicdJob::WHAT, id)
}

/// Seed 1, `updateJobStatus`: the status and number of its newest build.
pub async fn set_status(conn: &mut Conn, id: &Id, status: CiStatus, number: &str, now: UnixMs) -> Result<()> {
    let statement = query(
        "UPDATE cicd_jobs SET status = $1, last_build_number = CASE WHEN $2 = '' THEN last_build_number ELSE $2 END, \
         last_synced_at = $3, updated_at = $3 WHERE id = $4",
    )
    .bind(status.as_str())
    .bind(plain(number))
    .bind(now)
    .bind(id.as_str());
    hit(execute(conn, statement).await?, CicdJob::WHAT, id)
}

/// Removes it with its builds.
pub async fn delete(conn: &mut Conn, id: &Id) -> Result<()> {
    let statement = query("DELETE FROM cicd_jobs WHERE id = $1").bind(id.as_str());
    hit(execute(conn, statement).await?, CicdJob::WHAT, id)
}
