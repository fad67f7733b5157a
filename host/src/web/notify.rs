//! Who is told what happened: all channels, and the form for a new one.

use askama::Template;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::form::Fields;
use super::notify_channel::made;
use super::page::{Frame, PageResult, render, render_with};
use super::session::Session;
use super::stack_form::FieldError;
use super::ui::{Badge, Tone, When};
use crate::api;
use crate::app::App;
use crate::app::access::require;
use crate::app::notify::channel::{self, ChannelInput};
use crate::app::notify::delivery;
use crate::app::people::teams;
use crate::domain::access::{Owner, Role, Subject};
use crate::domain::notify::{Channel, Delivery, DeliveryStatus, RulePlan};
use crate::domain::plugin::PluginKind;
use crate::error::{Error, Result};

/// What a new channel is told if nobody says otherwise.
const USUAL_EVENTS: &str = "deployment.failed, deployment.rolled_back, deployment.approval, build.failed";

pub(super) fn badge(status: DeliveryStatus) -> Badge {
    let (tone, word) = match status {
        DeliveryStatus::Pending => (Tone::Waiting, "pending"),
        DeliveryStatus::Retrying => (Tone::Running, "trying again"),
        DeliveryStatus::Delivered => (Tone::Good, "delivered"),
        DeliveryStatus::Skipped => (Tone::Stopped, "skipped"),
        DeliveryStatus::Dead => (Tone::Bad, "given up"),
    };
    Badge { tone, word }
}

/// How a channel is, by its last message.
pub(super) fn state(channel: &Channel, last: Option<&Delivery>) -> Badge {
    match last {
        _ if !channel.enabled => Badge { tone: Tone::Stopped, word: "switched off" },
        None => Badge { tone: Tone::Waiting, word: "never used" },
        Some(last) => badge(last.status),
    }
}

struct ChannelRow {
    seq: i64,
    name: String,
    team: String,
    plugin: String,
    url: String,
    badge: Badge,
    when: Option<When>,
    reason: String,
}

struct NotifierRow {
    name: String,
    summary: String,
}

/// What was typed, and what stands against it.
struct ChannelForm {
    team: String,
    plugin: String,
    name: String,
    url: String,
    settings: String,
    events: String,
    private: bool,
    errors: Vec<FieldError>,
}

impl ChannelForm {
    fn empty() -> Self {
        Self {
            team: String::new(),
            plugin: String::new(),
            name: String::new(),
            url: String::new(),
            settings: "{}".into(),
            events: USUAL_EVENTS.into(),
            private: false,
            errors: Vec::new(),
        }
    }

    fn read(fields: &Fields) -> Self {
        Self {
            team: fields.trimmed("team"),
            plugin: fields.trimmed("plugin"),
            name: fields.trimmed("name"),
            url: fields.trimmed("url"),
            settings: fields.trimmed("settings"),
            events: fields.trimmed("events"),
            private: fields.ticked("private"),
            errors: Vec::new(),
        }
    }

    /// `credential` is for the plugin's first slot; empty is none.
    fn input(&self, app: &App, credential: String) -> Result<ChannelInput> {
        let settings: Value = match self.settings.as_str() {
            "" => json!({}),
            text => serde_json::from_str(text)
                .map_err(|error| Error::invalid("settings", format!("the settings are no JSON: {error}")))?,
        };
        let manifest = app.plugins.inspect(&self.plugin)?.info.map(|info| info.manifest);
        let slot = manifest.and_then(|manifest| manifest.credentials.into_iter().next());
        let credentials = match (slot, credential.is_empty()) {
            (Some(slot), false) => Some([(slot.name, credential)].into()),
            _ => None,
        };
        let rules = match events(&self.events) {
            events if events.is_empty() => Vec::new(),
            events => vec![plan(events)?],
        };
        Ok(ChannelInput {
            name: self.name.clone(),
            plugin: self.plugin.clone(),
            url: self.url.clone(),
            settings,
            credentials,
            private_network: self.private,
            certificates: None,
            enabled: true,
            rules,
        })
    }

    fn error(&self, field: &str) -> Option<&str> {
        let is_about =
            |found: &&FieldError| found.field == field || found.field.starts_with(&format!("{field}."));
        self.errors.iter().find(is_about).map(|found| found.message.as_str())
    }

    fn refuse(&mut self, error: &Error) {
        let known = ["name", "url", "settings", "events", "credentials"];
        let field = match error {
            Error::Invalid { field, .. } if known.iter().any(|one| field.starts_with(one)) => field.clone(),
            Error::Invalid { field, .. } if field == "base_url" => "url".into(),
            _ => "name".into(),
        };
        self.errors.push(FieldError { field, message: error.to_string() });
    }
}

/// The kinds in a text with commas between them.
pub(super) fn events(text: &str) -> Vec<String> {
    text.split([',', '\n']).map(str::trim).filter(|kind| !kind.is_empty()).map(str::to_owned).collect()
}

/// A rule for these kinds, with what is usual besides.
pub(super) fn plan(events: Vec<String>) -> Result<RulePlan> {
    serde_json::from_value(json!({ "events": events })).map_err(Error::internal)
}

#[derive(Template)]
#[template(path = "notifications.html")]
struct ChannelsPage {
    frame: Frame,
    rows: Vec<ChannelRow>,
    /// Teams that the viewer may add channels to.
    teams: Vec<String>,
    notifiers: Vec<NotifierRow>,
    is_admin: bool,
    form: ChannelForm,
}

async fn page(app: &App, session: &Session, form: ChannelForm) -> Result<ChannelsPage> {
    let who = &session.0.who;
    let mut rows = Vec::new();
    for (channel, team) in channel::channel_list(app, who).await? {
        let last = delivery::delivery_last(app, &channel.id).await?;
        rows.push(ChannelRow {
            seq: channel.seq,
            badge: state(&channel, last.as_ref()),
            when: last.as_ref().map(|last| When::new(last.created_at)),
            reason: last.and_then(|last| last.reason).unwrap_or_default(),
            name: channel.name,
            team: team.name,
            plugin: channel.plugin,
            url: channel.url,
        });
    }
    let mut own = teams::team_list(app, who).await?;
    own.retain(|team| {
        let owner = Owner::Team { team: team.id.clone(), project: None };
        who.rights.role_on(&owner) == Some(Role::Admin)
    });
    let notifiers = app.plugins.list().into_iter().filter_map(|status| status.info).filter_map(|info| {
        let is_notifier = info.kinds.contains(&PluginKind::Notifier);
        is_notifier.then_some(NotifierRow { name: info.manifest.name, summary: info.manifest.summary })
    });
    Ok(ChannelsPage {
        frame: Frame::new(session, "notifications", "Notifications"),
        rows,
        teams: own.into_iter().map(|team| team.name).collect(),
        notifiers: notifiers.collect(),
        is_admin: who.rights.is_server_admin(),
        form,
    })
}

pub async fn list(State(app): State<App>, session: Session) -> PageResult {
    render(&page(&app, &session, ChannelForm::empty()).await?)
}

pub async fn create(
    State(app): State<App>,
    session: Session,
    Form(fields): Form<Vec<(String, String)>>,
) -> PageResult {
    let fields = Fields(fields);
    let mut form = ChannelForm::read(&fields);
    match add(&app, &session, &form, fields.text("credential")).await {
        Ok((channel, secret)) => made(&session, &channel, secret),
        Err(error @ (Error::Invalid { .. } | Error::Conflict(_))) => {
            form.refuse(&error);
            let status: StatusCode = api::status(&error);
            render_with(status, &page(&app, &session, form).await?)
        }
        Err(error) => Err(error.into()),
    }
}

async fn add(
    app: &App,
    session: &Session,
    form: &ChannelForm,
    credential: String,
) -> Result<(Channel, Option<String>)> {
    let who = &session.0.who;
    require(app, &who.rights, Role::Admin, Subject::Team, &form.team).await?;
    channel::channel_create(app, &form.team, form.input(app, credential)?, who).await
}
