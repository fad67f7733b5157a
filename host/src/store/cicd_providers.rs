//! Table `cicd_providers`.

use super::{
    Conn, counters,
    faults::on_unique,
    rows::{
        Entity, Query, Row, as_seq, below, execute, fetch_all, fetch_opt, fetch_page, found, hit, json, over,
        plain, plain_opt, query,
    },
};
use crate::{
    domain::{
        Id,
        access::Reach,
        cicd::{AuthType, CicdProvider, ProviderHealth},
        page::{Page, PageRequest},
    },
    error::{Error, Result},
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, seq, type, name, url, port, auth_type, credentials, webhook_secret, settings, private_network, \
             certificates, tenant_id, team_id, creator_id, is_active, health, created_at, updated_at FROM cicd_providers ",
            $tail
        )
    };
}

impl Entity for CicdProvider {
    const WHAT: &'static str = "provider";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            kind: row.text("type")?,
            name: row.text("name")?,
            url: row.text("url")?,
            port: row
                .int_opt("port")?
                .map(|port| u16::try_from(port).map_err(Error::internal))
                .transpose()?,
            auth_type: row.word("auth_type", AuthType::parse)?,
            credentials: row.text_opt("credentials")?,
            webhook_secret: row.text_opt("webhook_secret")?,
            settings: row.json("settings")?,
            private_network: row.flag("private_network")?,
            certificates: row.text_opt("certificates")?,
            tenant_id: row.text_opt("tenant_id")?,
            team_id: row.text_opt("team_id")?,
            creator_id: row.text_opt("creator_id")?,
            is_active: row.flag("is_active")?,
            health: row.json("health")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

fn taken(name: &str) -> String {
    format!("a provider named `{name}` already exists; choose another name or change that one")
}

/// Stores it under the next number, whatever its `seq` says. `Conflict` if the name is taken.
pub async fn insert(conn: &mut Conn, mut provider: CicdProvider) -> Result<CicdProvider> {
    provider.seq = counters::take(conn, "cicd_providers", 1).await?;
    let statement = query(
        "INSERT INTO cicd_providers (type, name, url, port, auth_type, webhook_secret, settings, private_network, \
         certificates, tenant_id, team_id, is_active, updated_at, id, credentials, seq, creator_id, health, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
    );
    let done = values(statement, &provider)?
        .bind(provider.id.as_str())
        .bind(provider.credentials.clone())
        .bind(provider.seq)
        .bind(plain_opt(provider.creator_id.as_deref()))
        .bind(json(&provider.health)?)
        .bind(provider.created_at)
        .execute(conn)
        .await;
    on_unique(done, || taken(&provider.name))?;
    Ok(provider)
}

/// Writes everything a person can change but the credentials, which others change as well: see [`set_credentials`].
pub async fn update(conn: &mut Conn, provider: &CicdProvider) -> Result<()> {
    let statement = query(
        "UPDATE cicd_providers SET type = $1, name = $2, url = $3, port = $4, auth_type = $5, webhook_secret = $6, \
         settings = $7, private_network = $8, certificates = $9, tenant_id = $10, team_id = $11, is_active = $12, \
         updated_at = $13 WHERE id = $14",
    );
    let done = values(statement, provider)?.bind(provider.id.as_str()).execute(conn).await;
    let done = on_unique(done, || taken(&provider.name))?;
    hit(done.rows_affected(), CicdProvider::WHAT, &provider.id)
}

/// Sealed; by a person, or by the server after the other side has replaced one.
pub async fn set_credentials(conn: &mut Conn, id: &Id, sealed: Option<String>) -> Result<()> {
    let statement = query("UPDATE cicd_providers SET credentials = $1 WHERE id = $2").bind(sealed);
    hit(execute(conn, statement.bind(id.as_str())).await?, CicdProvider::WHAT, id)
}

/// The parameters $1 to $13, which inserting and updating have in common.
fn values(statement: Query, provider: &CicdProvider) -> Result<Query> {
    Ok(statement
        .bind(provider.kind.as_str())
        .bind(plain(&provider.name))
        .bind(plain(&provider.url))
        .bind(provider.port.map(i64::from))
        .bind(provider.auth_type.as_str())
        .bind(provider.webhook_secret.clone())
        .bind(json(&provider.settings)?)
        .bind(i64::from(provider.private_network))
        .bind(plain_opt(provider.certificates.as_deref()))
        .bind(plain_opt(provider.tenant_id.as_deref()))
        .bind(plain_opt(provider.team_id.as_deref()))
        .bind(i64::from(provider.is_active))
        .bind(provider.updated_at))
}

/// `key` is an id, a number or a name.
pub async fn find(conn: &mut Conn, key: &str) -> Result<CicdProvider> {
    found(find_opt(conn, key).await?, key)
}

/// `key` is an id, a number or a name.
pub async fn find_opt(conn: &mut Conn, key: &str) -> Result<Option<CicdProvider>> {
    if let Some(seq) = as_seq(key)
        && let Some(provider) = fetch_opt(conn, query(select!("WHERE seq = $1")).bind(seq)).await?
    {
        return Ok(Some(provider));
    }
    fetch_opt(conn, query(select!("WHERE id = $1 OR name = $1")).bind(plain(key))).await
}

/// Newest first.
pub async fn list(conn: &mut Conn, page: PageRequest, reach: &Reach) -> Result<Page<CicdProvider>> {
    let query = query(select!(
        "WHERE seq < $1 AND ($3 = '' OR EXISTS (SELECT 1 FROM token_teams v \
         WHERE v.token_id = $3 AND v.team_id = COALESCE(cicd_providers.team_id, ''))) ORDER BY seq DESC LIMIT $2"
    ))
    .bind(below(page))
    .bind(over(page))
    .bind(reach.as_str().to_owned());
    fetch_page(conn, page, query, |provider: &CicdProvider| provider.seq).await
}

/// The active ones of a plugin, oldest first.
pub async fn list_by_type(conn: &mut Conn, kind: &str) -> Result<Vec<CicdProvider>> {
    let query = query(select!("WHERE type = $1 AND is_active = 1 ORDER BY seq LIMIT 200")).bind(plain(kind));
    fetch_all(conn, query).await
}

/// Those of a team, by name.
pub async fn list_by_team(conn: &mut Conn, team: &Id) -> Result<Vec<CicdProvider>> {
    fetch_all(conn, query(select!("WHERE team_id = $1 ORDER BY name LIMIT 1000")).bind(team.as_str())).await
}

/// Remembers how it answered. A change that a person makes at the same time is left alone.
pub async fn set_health(conn: &mut Conn, id: &Id, health: &ProviderHealth) -> Result<()> {
    let statement = query("UPDATE cicd_providers SET health = $1 WHERE id = $2");
    let text = plain(&json(health)?);
    hit(execute(conn, statement.bind(text).bind(id.as_str())).await?, CicdProvider::WHAT, id)
}

/// Removes it with its jobs and builds. `Conflict` if a stack is deployed by it.
pub async fn delete(conn: &mut Conn, id: &Id) -> Result<()> {
    let statement = query("DELETE FROM cicd_providers WHERE id = $1").bind(id.as_str());
    hit(execute(conn, statement).await?, CicdProvider::WHAT, id)
}
