//! Templates of pipelines: the list, and one with its versions and a preview of every generator's output.

use askama::Template;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::page::{Frame, PageResult, render, render_with};
use super::session::Session;
use super::stack::to;
use super::stacks::PageQuery;
use super::template_form::TemplateForm;
use super::ui::When;
use crate::api;
use crate::app::App;
use crate::app::pipeline::{GeneratorOutput, Order, Source, pipeline_preview};
use crate::app::template::{
    Scope, template_delete, template_diff, template_list, template_save, template_versions, template_view,
};
use crate::domain::difference::{Change, DiffLine};
use crate::domain::page::PageRequest;
use crate::domain::plugin::Problem;
use crate::domain::template::PipelineTemplate;
use crate::error::{Error, Result};

struct TemplateRow {
    name: String,
    version: i64,
    description: String,
    by: String,
    changed: When,
}

impl From<PipelineTemplate> for TemplateRow {
    fn from(row: PipelineTemplate) -> Self {
        Self {
            name: row.name,
            version: row.version,
            description: row.content.description,
            by: row.created_by,
            changed: When::new(row.created_at),
        }
    }
}

#[derive(Template)]
#[template(path = "templates.html")]
struct TemplatesPage {
    frame: Frame,
    rows: Vec<TemplateRow>,
    next: Option<i64>,
    is_first: bool,
}

/// Those of all projects.
pub async fn list(State(app): State<App>, session: Session, Query(query): Query<PageQuery>) -> PageResult {
    let page = template_list(&app, &Scope::default(), PageRequest::new(query.before, None)).await?;
    render(&TemplatesPage {
        frame: Frame::new(&session, "templates", "Templates"),
        rows: page.items.into_iter().map(TemplateRow::from).collect(),
        next: page.next,
        is_first: query.before.is_none(),
    })
}

/// What a generator makes of the draft.
struct Pane {
    generator: String,
    path: String,
    content: String,
    /// Names of further files.
    more: Vec<String>,
    problems: Vec<String>,
}

impl From<GeneratorOutput> for Pane {
    fn from(output: GeneratorOutput) -> Self {
        let mut files = output.files.into_iter();
        let first = files.next();
        Self {
            generator: output.generator,
            path: first.as_ref().map_or(String::new(), |file| file.path.clone()),
            content: first.map_or(String::new(), |file| file.content),
            more: files.map(|file| file.path).collect(),
            problems: output.problems.into_iter().map(told).collect(),
        }
    }
}

fn told(problem: Problem) -> String {
    if problem.path.is_empty() { problem.message } else { format!("{}: {}", problem.path, problem.message) }
}

/// Two versions compared; unchanged lines far from a change are left out.
struct Comparison {
    from: i64,
    to: i64,
    lines: Vec<DiffLine>,
}

#[derive(Template)]
#[template(path = "template.html")]
struct TemplatePage {
    frame: Frame,
    form: TemplateForm,
    action: String,
    /// With the draft itself, before any generator saw it.
    problems: Vec<String>,
    panes: Vec<Pane>,
    /// Newest first; none of a new template.
    versions: Vec<TemplateRow>,
    comparison: Option<Comparison>,
}

impl TemplatePage {
    fn is_removed(line: &DiffLine) -> bool {
        line.change == Change::Removed
    }

    fn is_added(line: &DiffLine) -> bool {
        line.change == Change::Added
    }
}

async fn page(app: &App, session: &Session, form: TemplateForm) -> Result<TemplatePage> {
    let (mut problems, mut panes) = (Vec::new(), Vec::new());
    match form.draft() {
        Ok((content, parameters)) => {
            let order = Order {
                source: Source::Draft(Box::new(content)),
                parameters,
                generators: Vec::new(),
                settings: Default::default(),
            };
            let rendering = pipeline_preview(app, order).await?;
            problems = rendering.problems.into_iter().map(told).collect();
            panes = rendering.outputs.into_iter().map(Pane::from).collect();
        }
        Err(error) => problems.push(error.to_string()),
    }
    let mut versions = Vec::new();
    if !form.is_new() {
        let page = PageRequest::first(20);
        versions = template_versions(app, &Scope::default(), &form.known, page).await?.items;
    }
    let title = if form.is_new() { "New template".to_owned() } else { form.known.clone() };
    let action =
        if form.is_new() { "/template/new".to_owned() } else { format!("/templates/{}", form.known) };
    Ok(TemplatePage {
        frame: Frame::new(session, "templates", title).crumb("/templates", "Templates"),
        form,
        action,
        problems,
        panes,
        versions: versions.into_iter().map(TemplateRow::from).collect(),
        comparison: None,
    })
}

pub async fn new(State(app): State<App>, session: Session) -> PageResult {
    render(&page(&app, &session, TemplateForm::example()).await?)
}

#[derive(Deserialize)]
pub struct VersionQuery {
    /// The one to edit; the latest if left out.
    version: Option<i64>,
    /// The one to compare with the one before it.
    diff: Option<i64>,
}

pub async fn show(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
    Query(query): Query<VersionQuery>,
) -> PageResult {
    let scope = Scope::default();
    let row = template_view(&app, &scope, &name, query.version).await?;
    let mut page = page(&app, &session, TemplateForm::of(&row)).await?;
    if let Some(version) = query.diff {
        let diff = template_diff(&app, &scope, &name, None, Some(version)).await?;
        page.comparison = Some(Comparison { from: diff.from, to: diff.to, lines: diff.lines });
    }
    render(&page)
}

/// The page as it would be with what was typed. Nothing is stored.
pub async fn preview(State(app): State<App>, session: Session, Form(form): Form<TemplateForm>) -> PageResult {
    render(&page(&app, &session, form.cleaned()).await?)
}

pub async fn create(State(app): State<App>, session: Session, Form(form): Form<TemplateForm>) -> PageResult {
    save(&app, &session, form.cleaned()).await
}

pub async fn update(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
    Form(form): Form<TemplateForm>,
) -> PageResult {
    let mut form = form.cleaned();
    form.name.clone_from(&name);
    form.known = name;
    save(&app, &session, form).await
}

async fn save(app: &App, session: &Session, mut form: TemplateForm) -> PageResult {
    let saved = match form.draft() {
        Ok((content, _)) => {
            template_save(app, &Scope::default(), &form.name, content, &session.0.who.user.name).await
        }
        Err(error) => Err(error),
    };
    match saved {
        Ok(row) => Ok(to(&format!("/templates/{}", row.name))),
        Err(error @ (Error::Invalid { .. } | Error::TooLarge { .. } | Error::Conflict(_))) => {
            let status = if matches!(error, Error::Invalid { .. }) {
                StatusCode::UNPROCESSABLE_ENTITY
            } else {
                api::status(&error)
            };
            form.refuse(&error);
            render_with(status, &page(app, session, form).await?)
        }
        Err(error) => Err(error.into()),
    }
}

pub async fn delete(State(app): State<App>, _: Session, Path(name): Path<String>) -> PageResult {
    template_delete(&app, &Scope::default(), &name).await?;
    Ok(to("/templates"))
}
