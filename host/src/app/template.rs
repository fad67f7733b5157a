//! Templates of pipelines: versions that are added, compared and removed.

use serde_json::Value;

use super::App;
use crate::domain::Id;
use crate::domain::difference::{DiffLine, difference};
use crate::domain::page::{Page, PageRequest};
use crate::domain::template::{PipelineTemplate, TemplateContent, check_name};
use crate::error::{Error, Result};
use crate::plugins::problems_by;
use crate::store::{self, Conn, projects, templates};

/// Whose templates: a project's, by id, number or name, or those of all.
#[derive(Debug, Clone, Default)]
pub struct Scope(pub Option<String>);

impl Scope {
    async fn project(&self, conn: &mut Conn) -> Result<Option<Id>> {
        match self.0.as_deref().filter(|key| !key.is_empty()) {
            Some(key) => Ok(Some(projects::find(conn, key).await?.id)),
            None => Ok(None),
        }
    }
}

/// The latest version of each.
pub async fn template_list(app: &App, scope: &Scope, page: PageRequest) -> Result<Page<PipelineTemplate>> {
    let mut conn = app.db.read().await?;
    let project = scope.project(&mut conn).await?;
    templates::list(&mut conn, project.as_ref(), page).await
}

/// A version, or the latest one.
pub async fn template_view(
    app: &App,
    scope: &Scope,
    name: &str,
    version: Option<i64>,
) -> Result<PipelineTemplate> {
    let mut conn = app.db.read().await?;
    let project = scope.project(&mut conn).await?;
    let found = templates::find(&mut conn, project.as_ref(), name, version).await?;
    found.ok_or_else(|| match version {
        Some(version) => Error::not_found("template", format!("{name}, version {version}")),
        None => Error::not_found("template", name),
    })
}

/// Newest first.
pub async fn template_versions(
    app: &App,
    scope: &Scope,
    name: &str,
    page: PageRequest,
) -> Result<Page<PipelineTemplate>> {
    let mut conn = app.db.read().await?;
    let project = scope.project(&mut conn).await?;
    let found = templates::versions(&mut conn, project.as_ref(), name, page).await?;
    if found.items.is_empty() && page.before.is_none() {
        return Err(Error::not_found("template", name));
    }
    Ok(found)
}

/// Adds a version. What is the same as the latest version is not stored again.
pub async fn template_save(
    app: &App,
    scope: &Scope,
    name: &str,
    content: TemplateContent,
    who: &str,
) -> Result<PipelineTemplate> {
    check_name(name)?;
    content.check()?;
    // The schema is what is checked here; no value was given yet.
    problems_by(&content.parameters, &Value::Object(serde_json::Map::new()))?;
    let (scope, name, who) = (scope.clone(), name.to_owned(), who.to_owned());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let project_id = scope.project(tx).await?;
                if let Some(latest) = templates::find(tx, project_id.as_ref(), &name, None).await?
                    && latest.content == content
                {
                    return Ok(latest);
                }
                let row = PipelineTemplate {
                    id: store::new_id(),
                    seq: 0,
                    project_id,
                    name,
                    version: 0,
                    content,
                    created_by: who,
                    created_at: store::now(),
                };
                templates::insert(tx, row).await
            })
        })
        .await
}

/// Removes all versions.
pub async fn template_delete(app: &App, scope: &Scope, name: &str) -> Result<()> {
    let (scope, name) = (scope.clone(), name.to_owned());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let project = scope.project(tx).await?;
                templates::delete(tx, project.as_ref(), &name).await
            })
        })
        .await
}

/// What two versions differ in.
#[derive(Debug)]
pub struct TemplateDiff {
    pub from: i64,
    pub to: i64,
    pub lines: Vec<DiffLine>,
}

/// From the version before, to the latest one, unless others are named.
pub async fn template_diff(
    app: &App,
    scope: &Scope,
    name: &str,
    from: Option<i64>,
    to: Option<i64>,
) -> Result<TemplateDiff> {
    let new = template_view(app, scope, name, to).await?;
    let from = from.unwrap_or(new.version - 1);
    // Before the first version there was nothing.
    let old = match from {
        0 => String::new(),
        from => template_view(app, scope, name, Some(from)).await?.content.to_text(),
    };
    Ok(TemplateDiff { from, to: new.version, lines: difference(&old, &new.content.to_text()) })
}
