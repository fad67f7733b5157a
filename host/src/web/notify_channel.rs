//! One channel: its rules, what it was told, the test.

use askama::Template;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;

use super::form::Fields;
use super::notify::{badge, events, plan, state};
use super::page::{Frame, PageResult, render, render_with};
use super::session::Session;
use super::stack::to;
use super::stacks::PageQuery;
use super::ui::{Badge, When};
use crate::api;
use crate::app::App;
use crate::app::notify::{channel, delivery, rule};
use crate::app::people::teams;
use crate::app::stack::{stack_list, stack_names};
use crate::domain::Id;
use crate::domain::access::{Owner, Role};
use crate::domain::notify::{Channel, Delivery, KINDS, RulePlan};
use crate::domain::page::PageRequest;
use crate::error::{Error, Result};

struct RuleRow {
    seq: i64,
    events: String,
    about: String,
    window: u32,
    quiet: u32,
    enabled: bool,
}

struct DeliveryRow {
    seq: i64,
    title: String,
    badge: Badge,
    attempts: i64,
    answer: String,
    when: When,
    reason: String,
    can_replay: bool,
}

impl From<Delivery> for DeliveryRow {
    fn from(row: Delivery) -> Self {
        Self {
            seq: row.seq,
            title: row.title(),
            badge: badge(row.status),
            attempts: row.attempts,
            answer: row.last_status.map_or_else(String::new, |status| status.to_string()),
            when: When::new(row.created_at),
            can_replay: row.status.is_final(),
            reason: row.reason.unwrap_or_default(),
        }
    }
}

#[derive(Template)]
#[template(path = "notification_channel.html")]
struct ChannelPage {
    frame: Frame,
    seq: i64,
    name: String,
    team: String,
    plugin: String,
    url: String,
    badge: Badge,
    enabled: bool,
    signs: bool,
    previous_until: Option<When>,
    rules: Vec<RuleRow>,
    deliveries: Vec<DeliveryRow>,
    next: Option<i64>,
    is_first: bool,
    /// The viewer may change it.
    is_admin: bool,
    /// The viewer may have it told about the installation.
    is_server_admin: bool,
    kinds: [&'static str; KINDS.len()],
    /// Names of the team's stacks.
    stacks: Vec<String>,
    error: String,
}

async fn page(app: &App, session: &Session, key: &str, before: Option<i64>) -> Result<ChannelPage> {
    let row = channel::channel_view(app, key).await?;
    let who = &session.0.who;
    let owner = Owner::Team { team: row.team_id.clone(), project: None };
    let team = teams::team_find(app, row.team_id.as_str()).await?;
    let rules = rule::rule_list(app, &row.id).await?;
    let ids: Vec<Id> = rules.iter().filter_map(|rule| rule.stack_id.clone()).collect();
    let names = stack_names(app, &ids).await?;
    let rule_row = |rule: crate::domain::notify::Rule| RuleRow {
        seq: rule.seq,
        events: rule.plan.events.join(", "),
        about: match (&rule.stack_id, rule.plan.installation) {
            (Some(stack), _) => names.get(stack).cloned().unwrap_or_default(),
            (None, true) => "all stacks and the installation".into(),
            (None, false) => "all stacks".into(),
        },
        window: rule.plan.window_secs,
        quiet: rule.plan.quiet_secs,
        enabled: rule.plan.enabled,
    };
    let page = delivery::delivery_list(app, row.id.as_str(), PageRequest::new(before, Some(30))).await?;
    let last = delivery::delivery_last(app, &row.id).await?;
    let stacks = stack_list(app, PageRequest::first(200), &who.reach()).await?.items;
    let manifest = app.plugins.inspect(&row.plugin).ok().and_then(|status| status.info);
    let signs = manifest
        .is_some_and(|info| info.manifest.credentials.iter().any(|slot| slot.injection.starts_with("sign:")));
    Ok(ChannelPage {
        frame: Frame::new(session, "notifications", row.name.clone())
            .crumb("/notifications", "Notifications"),
        seq: row.seq,
        badge: state(&row, last.as_ref()),
        team: team.name,
        enabled: row.enabled,
        signs,
        previous_until: row.previous_until.filter(|until| *until > super::ui::now()).map(When::new),
        rules: rules.into_iter().map(rule_row).collect(),
        next: page.next,
        deliveries: page.items.into_iter().map(DeliveryRow::from).collect(),
        is_first: before.is_none(),
        is_admin: who.rights.role_on(&owner) == Some(Role::Admin),
        is_server_admin: who.rights.is_server_admin(),
        kinds: KINDS,
        stacks: stacks.into_iter().map(|stack| stack.name).collect(),
        error: String::new(),
        name: row.name,
        plugin: row.plugin,
        url: row.url,
    })
}

#[derive(Template)]
#[template(path = "notification_secret.html")]
struct SecretPage {
    frame: Frame,
    name: String,
    link: String,
    secret: String,
}

/// What was made: with its secret, if that was made here.
pub(super) fn made(session: &Session, channel: &Channel, secret: Option<String>) -> PageResult {
    let link = format!("/notifications/{}", channel.seq);
    let Some(secret) = secret else { return Ok(to(&link)) };
    let frame =
        Frame::new(session, "notifications", "Signing secret").crumb("/notifications", "Notifications");
    render(&SecretPage { frame, name: channel.name.clone(), link, secret })
}

pub async fn show(
    State(app): State<App>,
    session: Session,
    Path(key): Path<String>,
    Query(query): Query<PageQuery>,
) -> PageResult {
    render(&page(&app, &session, &key, query.before).await?)
}

/// Back to the page, or the page with what went wrong.
async fn answered<T>(app: &App, session: &Session, key: &str, outcome: Result<T>) -> PageResult {
    match outcome {
        Ok(_) => Ok(to(&format!("/notifications/{key}"))),
        Err(error @ (Error::Invalid { .. } | Error::Conflict(_))) => {
            let page = ChannelPage { error: error.to_string(), ..page(app, session, key, None).await? };
            let status: StatusCode = api::status(&error);
            render_with(status, &page)
        }
        Err(error) => Err(error.into()),
    }
}

pub async fn test(State(app): State<App>, session: Session, Path(key): Path<String>) -> PageResult {
    let outcome = delivery::channel_test(&app, &key).await;
    answered(&app, &session, &key, outcome).await
}

pub async fn rotate(State(app): State<App>, session: Session, Path(key): Path<String>) -> PageResult {
    match channel::channel_rotate(&app, &key, None).await {
        Ok(rotated) => made(&session, &rotated.channel, Some(rotated.secret)),
        Err(error) => answered::<()>(&app, &session, &key, Err(error)).await,
    }
}

pub async fn switch(State(app): State<App>, session: Session, Path(key): Path<String>) -> PageResult {
    let outcome = channel::channel_switch(&app, &key).await;
    answered(&app, &session, &key, outcome).await
}

pub async fn delete(State(app): State<App>, _: Session, Path(key): Path<String>) -> PageResult {
    channel::channel_delete(&app, &key).await?;
    Ok(to("/notifications"))
}

pub async fn rule_create(
    State(app): State<App>,
    session: Session,
    Path(key): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> PageResult {
    let fields = Fields(fields);
    let seconds = |name: &str, usual: u32| match fields.trimmed(name).as_str() {
        "" => Ok(usual),
        text => text.parse().map_err(|_| Error::invalid(name, "write a number of seconds")),
    };
    let outcome = async {
        let usual = plan(events(&fields.text("events")))?;
        let window_secs = seconds("window", usual.window_secs)?;
        let quiet_secs = seconds("quiet", usual.quiet_secs)?;
        let text = |name: &str| Some(fields.text(name)).filter(|text| !text.trim().is_empty());
        let plan = RulePlan {
            window_secs,
            quiet_secs,
            installation: fields.ticked("installation"),
            title: text("title"),
            text: text("text"),
            ..usual
        };
        let stack = fields.trimmed("stack");
        rule::rule_create(&app, &key, Some(&stack), plan, &session.0.who).await
    };
    let outcome = outcome.await;
    answered(&app, &session, &key, outcome).await
}

pub async fn rule_delete(
    State(app): State<App>,
    session: Session,
    Path((key, rule)): Path<(String, String)>,
) -> PageResult {
    let outcome = rule::rule_delete(&app, &key, &rule).await;
    answered(&app, &session, &key, outcome).await
}

pub async fn replay(
    State(app): State<App>,
    session: Session,
    Path((key, delivery)): Path<(String, String)>,
) -> PageResult {
    let outcome = delivery::delivery_replay(&app, &key, &delivery).await;
    answered(&app, &session, &key, outcome).await
}
