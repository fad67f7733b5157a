//! Tables `notification_channels`, `notification_rules` and `notification_troubles`.

use super::{
    Conn, counters,
    faults::{fault, on_unique},
    rows::{
        Entity, Query, Row, as_seq, execute, fetch_all, fetch_opt, found, hit, id_text, json, plain,
        plain_opt, query,
    },
};
use crate::{
    domain::{
        Id,
        notify::{Channel, Rule, Trouble},
    },
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, seq, team_id, name, plugin, url, settings, credentials, previous_until, private_network, \
             certificates, enabled, created_at, updated_at FROM notification_channels ",
            $tail
        )
    };
}

macro_rules! select_rules {
    ($tail:literal) => {
        concat!(
            "SELECT r.id, r.seq, r.channel_id, r.stack_id, r.plan, r.created_at, r.updated_at, c.team_id \
             FROM notification_rules r JOIN notification_channels c ON c.id = r.channel_id ",
            $tail
        )
    };
}

impl Entity for Channel {
    const WHAT: &'static str = "notification channel";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            team_id: row.id("team_id")?,
            name: row.text("name")?,
            plugin: row.text("plugin")?,
            url: row.text("url")?,
            settings: row.json("settings")?,
            credentials: row.text_opt("credentials")?,
            previous_until: row.int_opt("previous_until")?,
            private_network: row.flag("private_network")?,
            certificates: row.text_opt("certificates")?,
            enabled: row.flag("enabled")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

impl Entity for Rule {
    const WHAT: &'static str = "notification rule";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            channel_id: row.id("channel_id")?,
            stack_id: row.id_opt("stack_id")?,
            plan: row.json("plan")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

fn taken(name: &str) -> String {
    format!("the team already has a channel named `{name}`; choose another name or change that one")
}

/// Stores it under the next number. `Conflict` if the team has one of that name.
pub async fn insert(conn: &mut Conn, mut channel: Channel) -> Result<Channel> {
    channel.seq = counters::take(conn, "notification_channels", 1).await?;
    let statement = query(
        "INSERT INTO notification_channels (name, url, settings, previous_until, private_network, certificates, enabled, \
         updated_at, id, credentials, seq, team_id, plugin, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    );
    let done = values(statement, &channel)?
        .bind(channel.id.as_str())
        .bind(channel.credentials.clone())
        .bind(channel.seq)
        .bind(channel.team_id.as_str())
        .bind(plain(&channel.plugin))
        .bind(channel.created_at)
        .execute(conn)
        .await;
    on_unique(done, || taken(&channel.name))?;
    Ok(channel)
}

/// Writes everything a person can change but the credentials, which others change as well: see [`set_credentials`].
pub async fn update(conn: &mut Conn, channel: &Channel) -> Result<()> {
    let statement = query(
        "UPDATE notification_channels SET name = $1, url = $2, settings = $3, previous_until = $4, private_network = $5, \
         certificates = $6, enabled = $7, updated_at = $8 WHERE id = $9",
    );
    let done = values(statement, channel)?.bind(channel.id.as_str()).execute(conn).await;
    let done = on_unique(done, || taken(&channel.name))?;
    hit(done.rows_affected(), Channel::WHAT, &channel.id)
}

/// Sealed; by a person, or by the server after the other side has replaced one.
pub async fn set_credentials(conn: &mut Conn, id: &Id, sealed: Option<String>) -> Result<()> {
    let statement = query("UPDATE notification_channels SET credentials = $1 WHERE id = $2").bind(sealed);
    hit(execute(conn, statement.bind(id.as_str())).await?, Channel::WHAT, id)
}

/// The parameters $1 to $8, which inserting and updating have in common.
fn values(statement: Query, channel: &Channel) -> Result<Query> {
    Ok(statement
        .bind(plain(&channel.name))
        .bind(plain(&channel.url))
        .bind(plain(&json(&channel.settings)?))
        .bind(channel.previous_until)
        .bind(i64::from(channel.private_network))
        .bind(plain_opt(channel.certificates.as_deref()))
        .bind(i64::from(channel.enabled))
        .bind(channel.updated_at))
}

/// `key` is an id or a number.
pub async fn find(conn: &mut Conn, key: &str) -> Result<Channel> {
    found(find_opt(conn, key).await?, key)
}

/// The same; `None` if there is none.
pub async fn find_opt(conn: &mut Conn, key: &str) -> Result<Option<Channel>> {
    match as_seq(key) {
        Some(seq) => fetch_opt(conn, query(select!("WHERE seq = $1")).bind(seq)).await,
        None => fetch_opt(conn, query(select!("WHERE id = $1")).bind(plain(key))).await,
    }
}

/// Of a team, by name.
pub async fn list_by_team(conn: &mut Conn, team: &Id) -> Result<Vec<Channel>> {
    fetch_all(conn, query(select!("WHERE team_id = $1 ORDER BY name LIMIT 1000")).bind(team.as_str())).await
}

/// Removes it with its rules and deliveries.
pub async fn delete(conn: &mut Conn, id: &Id) -> Result<()> {
    let statement = query("DELETE FROM notification_channels WHERE id = $1").bind(id.as_str());
    hit(execute(conn, statement).await?, Channel::WHAT, id)
}

pub async fn rule_insert(conn: &mut Conn, mut rule: Rule) -> Result<Rule> {
    rule.seq = counters::take(conn, "notification_rules", 1).await?;
    let statement = query(
        "INSERT INTO notification_rules (stack_id, plan, updated_at, id, seq, channel_id, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(id_text(rule.stack_id.as_ref()))
    .bind(plain(&json(&rule.plan)?))
    .bind(rule.updated_at)
    .bind(rule.id.as_str())
    .bind(rule.seq)
    .bind(rule.channel_id.as_str())
    .bind(rule.created_at);
    execute(conn, statement).await?;
    Ok(rule)
}

pub async fn rule_update(conn: &mut Conn, rule: &Rule) -> Result<()> {
    let statement =
        query("UPDATE notification_rules SET stack_id = $1, plan = $2, updated_at = $3 WHERE id = $4")
            .bind(id_text(rule.stack_id.as_ref()))
            .bind(plain(&json(&rule.plan)?))
            .bind(rule.updated_at)
            .bind(rule.id.as_str());
    hit(execute(conn, statement).await?, Rule::WHAT, &rule.id)
}

/// Of this channel; `key` is an id or a number.
pub async fn rule_find(conn: &mut Conn, channel: &Id, key: &str) -> Result<Rule> {
    let query = match as_seq(key) {
        Some(seq) => {
            query(select_rules!("WHERE r.channel_id = $1 AND r.seq = $2")).bind(channel.as_str()).bind(seq)
        }
        None => query(select_rules!("WHERE r.channel_id = $1 AND r.id = $2"))
            .bind(channel.as_str())
            .bind(plain(key)),
    };
    found(fetch_opt(conn, query).await?, key)
}

/// The rule whatever its channel; `None` if it is gone.
pub async fn rule_opt(conn: &mut Conn, id: &Id) -> Result<Option<Rule>> {
    fetch_opt(conn, query(select_rules!("WHERE r.id = $1")).bind(id.as_str())).await
}

pub async fn rules_of(conn: &mut Conn, channel: &Id) -> Result<Vec<Rule>> {
    let query = query(select_rules!("WHERE r.channel_id = $1 ORDER BY r.seq LIMIT 1000"));
    fetch_all(conn, query.bind(channel.as_str())).await
}

/// Those of all channels that are on, each with the channel's team.
pub async fn rules_in_force(conn: &mut Conn) -> Result<Vec<(Rule, Id)>> {
    let query = query(select_rules!("WHERE c.enabled = 1 ORDER BY r.seq"));
    let rows = query.fetch_all(conn).await.map_err(fault)?;
    rows.iter().map(|row| Ok((Rule::from_row(&Row(row))?, Row(row).id("team_id")?))).collect()
}

pub async fn rule_delete(conn: &mut Conn, id: &Id) -> Result<()> {
    let statement = query("DELETE FROM notification_rules WHERE id = $1").bind(id.as_str());
    hit(execute(conn, statement).await?, Rule::WHAT, id)
}

impl Entity for Trouble {
    const WHAT: &'static str = "trouble";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self { since: row.int("since")?, told_at: row.int("told_at")?, times: row.int("times")? })
    }
}

pub async fn trouble(conn: &mut Conn, rule: &Id, subject: &str) -> Result<Option<Trouble>> {
    let query =
        query("SELECT since, told_at, times FROM notification_troubles WHERE rule_id = $1 AND subject = $2")
            .bind(rule.as_str())
            .bind(plain(subject));
    fetch_opt(conn, query).await
}

/// Remembers it, or forgets it if all is well.
pub async fn trouble_put(conn: &mut Conn, rule: &Id, subject: &str, new: Option<&Trouble>) -> Result<()> {
    let query = match new {
        None => query("DELETE FROM notification_troubles WHERE rule_id = $1 AND subject = $2")
            .bind(rule.as_str())
            .bind(plain(subject)),
        Some(new) => query(
            "INSERT INTO notification_troubles (rule_id, subject, since, told_at, times) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (rule_id, subject) DO UPDATE SET since = excluded.since, told_at = excluded.told_at, \
             times = excluded.times",
        )
        .bind(rule.as_str())
        .bind(plain(subject))
        .bind(new.since)
        .bind(new.told_at)
        .bind(new.times),
    };
    execute(conn, query).await.map(|_| ())
}
