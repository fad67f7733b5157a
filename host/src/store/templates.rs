//! Table `pipeline_templates`. Rows are versions; they are added and removed, never changed but for which one is the latest.

use super::{
    Conn, Tx, counters,
    faults::on_unique,
    rows::{Entity, Row, below, execute, fetch_opt, fetch_page, id_text, json, over, plain, query},
};
use crate::{
    domain::{
        Id,
        page::{Page, PageRequest},
        template::{PipelineTemplate, TemplateContent},
    },
    error::{Error, Result},
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, seq, project_id, name, version, description, model, parameters, settings, texts, created_by, \
             created_at FROM pipeline_templates ",
            $tail
        )
    };
}

impl Entity for PipelineTemplate {
    const WHAT: &'static str = "template";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            project_id: row.id_opt("project_id")?,
            name: row.text("name")?,
            version: row.int("version")?,
            content: TemplateContent {
                description: row.text("description")?,
                model: row.json("model")?,
                parameters: row.json("parameters")?,
                settings: row.json("settings")?,
                texts: row.json("texts")?,
            },
            created_by: row.text("created_by")?,
            created_at: row.int("created_at")?,
        })
    }
}

/// An id that no project has, for those of all projects.
fn scope(project: Option<&Id>) -> String {
    id_text(project).unwrap_or_default()
}

/// Stores it as the next version of its name, whatever its `seq` and `version` say.
pub async fn insert(tx: &mut Tx, mut row: PipelineTemplate) -> Result<PipelineTemplate> {
    row.seq = counters::take(tx, "pipeline_templates", 1).await?;
    let latest = find(tx, row.project_id.as_ref(), &row.name, None).await?;
    row.version = latest.map_or(1, |latest| latest.version + 1);
    let scope = scope(row.project_id.as_ref());
    let before =
        query("UPDATE pipeline_templates SET is_latest = 0 WHERE scope = $1 AND name = $2 AND version = $3");
    execute(tx, before.bind(scope.as_str()).bind(row.name.as_str()).bind(row.version - 1)).await?;
    let done = query(
        "INSERT INTO pipeline_templates (id, seq, project_id, scope, name, version, is_latest, description, model, \
         parameters, settings, texts, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8, $9, $10, $11, \
         $12, $13)",
    )
    .bind(row.id.as_str())
    .bind(row.seq)
    .bind(id_text(row.project_id.as_ref()))
    .bind(scope)
    .bind(row.name.as_str())
    .bind(row.version)
    .bind(plain(&row.content.description))
    .bind(json(&row.content.model)?)
    .bind(json(&row.content.parameters)?)
    .bind(json(&row.content.settings)?)
    .bind(json(&row.content.texts)?)
    .bind(plain(&row.created_by))
    .bind(row.created_at)
    .execute(&mut **tx)
    .await;
    on_unique(done, || {
        format!("somebody else is saving the template `{}` right now; please try again", row.name)
    })?;
    Ok(row)
}

/// A version, or the latest one.
pub async fn find(
    conn: &mut Conn,
    project: Option<&Id>,
    name: &str,
    version: Option<i64>,
) -> Result<Option<PipelineTemplate>> {
    let found =
        query(select!("WHERE scope = $1 AND name = $2 AND version <= $3 ORDER BY version DESC LIMIT 1"))
            .bind(scope(project))
            .bind(name)
            .bind(version.unwrap_or(i64::MAX));
    let found: Option<PipelineTemplate> = fetch_opt(conn, found).await?;
    Ok(found.filter(|row| version.is_none_or(|version| row.version == version)))
}

/// The latest version of each name, those that were changed last first.
pub async fn list(
    conn: &mut Conn,
    project: Option<&Id>,
    page: PageRequest,
) -> Result<Page<PipelineTemplate>> {
    let query = query(select!("WHERE scope = $1 AND is_latest = 1 AND seq < $2 ORDER BY seq DESC LIMIT $3"))
        .bind(scope(project))
        .bind(below(page))
        .bind(over(page));
    fetch_page(conn, page, query, |row: &PipelineTemplate| row.seq).await
}

/// All versions of a name, newest first.
pub async fn versions(
    conn: &mut Conn,
    project: Option<&Id>,
    name: &str,
    page: PageRequest,
) -> Result<Page<PipelineTemplate>> {
    let query =
        query(select!("WHERE scope = $1 AND name = $2 AND version < $3 ORDER BY version DESC LIMIT $4"))
            .bind(scope(project))
            .bind(name)
            .bind(below(page))
            .bind(over(page));
    fetch_page(conn, page, query, |row: &PipelineTemplate| row.version).await
}

/// Removes all versions.
pub async fn delete(tx: &mut Tx, project: Option<&Id>, name: &str) -> Result<()> {
    let query = query("DELETE FROM pipeline_templates WHERE scope = $1 AND name = $2")
        .bind(scope(project))
        .bind(name);
    if execute(tx, query).await? == 0 { Err(Error::not_found(PipelineTemplate::WHAT, name)) } else { Ok(()) }
}
