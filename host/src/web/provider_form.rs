//! The form of a provider: connected, changed, and tried before it is stored. Credentials only ever go in.

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use serde_json::Value;

use super::form::Fields;
use super::page::{Frame, PageResult, render, render_with};
use super::session::Session;
use super::stack::to;
use super::stack_form::FieldError;
use crate::api;
use crate::app::cicd::provider::{
    ProviderInput, ReportSetup, credential_slots, provider_create, provider_try, provider_update,
    provider_view, team_name,
};
use crate::app::{App, plugin};
use crate::domain::ci::CiAccount;
use crate::domain::cicd::{AuthType, CicdProvider};
use crate::domain::plugin::{CredentialSlot, PluginKind};
use crate::error::{Error, Result};

/// What the form calls credentials from which tokens are made: an app's key, and a refresh token.
const APP: &str = "app";
const REFRESH: &str = "refresh";
/// Settings that have fields of their own, since tokens are made with them.
const VARIABLES: [&str; 3] = ["app_id", "installation_id", "client_id"];

/// The button that connects to the provider instead of storing anything.
const TEST: &str = "test-connection";

/// Everything as text, so that nothing that was typed is lost on the way to a valid value.
#[derive(Default)]
struct ProviderForm {
    kind: String,
    name: String,
    url: String,
    port: String,
    auth: String,
    username: String,
    secret: String,
    /// Of the app.
    key: String,
    refresh_token: String,
    client_secret: String,
    /// As [`VARIABLES`] names them.
    app_id: String,
    installation_id: String,
    client_id: String,
    webhook_secret: String,
    settings: String,
    certificates: String,
    tenant: String,
    /// Name of the team.
    team: String,
    private_network: bool,
    active: bool,
    /// Credentials are stored that the form does not show.
    has_credentials: bool,
    errors: Vec<FieldError>,
}

impl ProviderForm {
    fn of(row: &CicdProvider, team: String, slots: &[CredentialSlot]) -> Self {
        let mut settings = row.settings.clone();
        let mut take = |name: &str| {
            let is_variable = slots.iter().any(|slot| slot.variables().contains(&name));
            match settings.as_object_mut().filter(|_| is_variable).and_then(|map| map.remove(name)) {
                Some(Value::String(text)) => text,
                _ => String::new(),
            }
        };
        let [app_id, installation_id, client_id] = VARIABLES.map(&mut take);
        let auth = match (app_id.as_str(), client_id.as_str()) {
            ("", "") => row.auth_type.as_str(),
            ("", _) => REFRESH,
            _ => APP,
        };
        let settings = match &settings {
            Value::Object(map) if map.is_empty() => String::new(),
            value => serde_json::to_string_pretty(value).unwrap_or_default(),
        };
        Self {
            app_id,
            installation_id,
            client_id,
            kind: row.kind.clone(),
            name: row.name.clone(),
            url: row.url.clone(),
            port: row.port.map_or(String::new(), |port| port.to_string()),
            auth: auth.to_owned(),
            settings,
            certificates: row.certificates.clone().unwrap_or_default(),
            tenant: row.tenant_id.clone().unwrap_or_default(),
            team,
            private_network: row.private_network,
            active: row.is_active,
            has_credentials: row.credentials.is_some(),
            ..Self::default()
        }
    }

    fn read(fields: &Fields, stored: Option<&CicdProvider>) -> Self {
        Self {
            kind: stored.map_or_else(|| fields.trimmed("kind"), |row| row.kind.clone()),
            name: fields.trimmed("name"),
            url: fields.trimmed("url"),
            port: fields.trimmed("port"),
            auth: fields.trimmed("auth"),
            username: fields.trimmed("username"),
            secret: fields.trimmed("secret"),
            key: fields.text("key"),
            refresh_token: fields.trimmed("refresh_token"),
            client_secret: fields.trimmed("client_secret"),
            app_id: fields.trimmed("app_id"),
            installation_id: fields.trimmed("installation_id"),
            client_id: fields.trimmed("client_id"),
            webhook_secret: fields.trimmed("webhook_secret"),
            settings: fields.text("settings"),
            certificates: fields.text("certificates"),
            tenant: fields.trimmed("tenant"),
            team: fields.trimmed("team"),
            private_network: fields.ticked("private_network"),
            active: fields.ticked("active"),
            has_credentials: stored.is_some_and(|row| row.credentials.is_some()),
            errors: Vec::new(),
        }
    }

    fn input(&self, app: &App) -> Result<ProviderInput> {
        let auth_type = AuthType::parse(&self.auth).unwrap_or(AuthType::Token);
        let port = match self.port.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| Error::invalid("port", "a port is a number up to 65535"))?),
        };
        let mut settings = match self.settings.trim() {
            "" => Value::Object(serde_json::Map::new()),
            text => serde_json::from_str(text)
                .map_err(|error| Error::invalid("settings", format!("the settings are not JSON: {error}")))?,
        };
        if let Some(map) = settings.as_object_mut() {
            let used = self.variables().into_iter().filter(|(_, value)| !value.is_empty());
            map.extend(used.map(|(name, value)| (name.to_owned(), Value::from(value))));
        }
        let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.trim().is_empty());
        Ok(ProviderInput {
            kind: self.kind.clone(),
            name: self.name.clone(),
            url: self.url.clone(),
            port,
            auth_type,
            credentials: self.credentials(app, auth_type),
            settings,
            webhook_secret: filled(&self.webhook_secret),
            private_network: self.private_network,
            certificates: filled(&self.certificates),
            tenant_id: filled(&self.tenant),
            team_id: filled(&self.team),
            is_active: self.active,
        })
    }

    /// Those that this way of logging in needs.
    fn variables(&self) -> Vec<(&'static str, &str)> {
        let [app_id, installation_id, client_id] = VARIABLES;
        match self.auth.as_str() {
            APP => vec![(app_id, &self.app_id), (installation_id, &self.installation_id)],
            REFRESH => vec![(client_id, &self.client_id)],
            _ => Vec::new(),
        }
    }

    /// What a token is made from, by its slot; the slot's usual name where the plugin has none, which is then refused.
    fn minted(&self, slots: &[CredentialSlot]) -> Vec<(String, String)> {
        let named = |found: Option<&CredentialSlot>| {
            found.map_or_else(|| self.auth.clone(), |slot| slot.name.clone())
        };
        let all = match self.auth.as_str() {
            APP => vec![(named(slots.iter().find(|slot| slot.is_app())), self.key.clone())],
            _ => {
                let slot = named(slots.iter().find(|slot| slot.companion().is_some()));
                let client = format!("{slot}-client");
                vec![(slot, self.refresh_token.clone()), (client, self.client_secret.clone())]
            }
        };
        all.into_iter().filter(|(_, secret)| !secret.trim().is_empty()).collect()
    }

    /// None if nothing was typed: what is stored stays.
    fn credentials(
        &self,
        app: &App,
        auth_type: AuthType,
    ) -> Option<std::collections::BTreeMap<String, String>> {
        let slots = credential_slots(app, &self.kind);
        if matches!(self.auth.as_str(), APP | REFRESH) {
            let given = self.minted(&slots);
            return (!given.is_empty()).then(|| given.into_iter().collect());
        }
        if self.secret.is_empty() {
            return None;
        }
        let name = match (auth_type, slots.first()) {
            (AuthType::Basic, _) => "password".to_owned(),
            (AuthType::Token, Some(first)) if slots.iter().all(|slot| slot.name != "token") => {
                first.name.clone()
            }
            (AuthType::Token, _) => "token".to_owned(),
        };
        let username = (!self.username.is_empty()).then(|| ("username".to_owned(), self.username.clone()));
        Some(username.into_iter().chain([(name, self.secret.clone())]).collect())
    }

    fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|found| found.field == field).map(|found| found.message.as_str())
    }

    fn refuse(&mut self, error: &Error) {
        let field = match error {
            Error::Invalid { field, .. }
                if VARIABLES.iter().any(|name| field.strip_prefix("settings.") == Some(*name)) =>
            {
                field.clone()
            }
            Error::Invalid { field, .. } if field.starts_with("settings") => "settings".to_owned(),
            Error::Invalid { field, .. } => match field.as_str() {
                "base_url" => "url".to_owned(),
                known @ ("name" | "url" | "port" | "type" | "certificates" | "team_id") => known.to_owned(),
                // Slots are named by the plugin.
                _ => "credentials".to_owned(),
            },
            Error::Conflict(_) => "name".to_owned(),
            _ => String::new(),
        };
        self.errors.push(FieldError { field, message: error.to_string() });
    }
}

#[derive(Template)]
#[template(path = "provider_form.html")]
struct FormPage {
    frame: Frame,
    form: ProviderForm,
    action: String,
    back: String,
    is_new: bool,
    kinds: Vec<String>,
    /// What a test of the connection found.
    connection: String,
}

#[derive(Template)]
#[template(path = "provider_created.html")]
struct CreatedPage {
    frame: Frame,
    name: String,
    link: String,
    report: ReportSetup,
}

fn page(app: &App, session: &Session, form: ProviderForm, stored: Option<&CicdProvider>) -> FormPage {
    let is_provider = |status: &crate::domain::plugin::PluginStatus| {
        status.info.as_ref().is_some_and(|info| info.kinds.contains(&PluginKind::CiProvider))
    };
    let kinds = plugin::plugin_list(app).into_iter().filter(is_provider).map(|status| status.name).collect();
    let title = if stored.is_some() { "Edit" } else { "New provider" };
    let frame = Frame::new(session, "providers", title).crumb("/providers", "Providers");
    let link = stored.map(|row| format!("/providers/{}", row.seq));
    FormPage {
        frame: match stored.zip(link.as_ref()) {
            Some((row, link)) => frame.crumb(link, row.name.clone()),
            None => frame,
        },
        action: link.as_ref().map_or_else(|| "/providers/new".to_owned(), |link| format!("{link}/edit")),
        back: link.unwrap_or_else(|| "/providers".to_owned()),
        is_new: stored.is_none(),
        kinds,
        connection: String::new(),
        form,
    }
}

pub async fn new(State(app): State<App>, session: Session) -> PageResult {
    let form = ProviderForm { auth: "token".into(), active: true, ..ProviderForm::default() };
    render(&page(&app, &session, form, None))
}

pub async fn edit(State(app): State<App>, session: Session, Path(key): Path<String>) -> PageResult {
    let row = provider_view(&app, &key).await?;
    let team = team_name(&app, &row).await?;
    let form = ProviderForm::of(&row, team, &credential_slots(&app, &row.kind));
    render(&page(&app, &session, form, Some(&row)))
}

type Pairs = Form<Vec<(String, String)>>;

/// The answer itself shows the secret: it is nowhere else to be read, so there is nothing to redirect to.
pub async fn create(State(app): State<App>, session: Session, Form(pairs): Pairs) -> PageResult {
    let fields = Fields(pairs);
    let form = ProviderForm::read(&fields, None);
    let input = form.input(&app);
    if fields.ticked(TEST) {
        return tried(&app, &session, form, input, None).await;
    }
    let made = match input {
        Ok(input) => provider_create(&app, input, &session.0.caller()).await,
        Err(error) => Err(error),
    };
    match made {
        Ok((row, report)) => {
            let (name, link) = (row.name, format!("/providers/{}", row.seq));
            let frame = Frame::new(&session, "providers", format!("{name} is connected"))
                .crumb("/providers", "Providers")
                .crumb(link.clone(), name.clone());
            render_with(StatusCode::CREATED, &CreatedPage { frame, name, link, report })
        }
        Err(error) => refused(&app, &session, form, None, &error),
    }
}

pub async fn update(
    State(app): State<App>,
    session: Session,
    Path(key): Path<String>,
    Form(pairs): Pairs,
) -> PageResult {
    let stored = provider_view(&app, &key).await?;
    let fields = Fields(pairs);
    let form = ProviderForm::read(&fields, Some(&stored));
    let input = form.input(&app);
    if fields.ticked(TEST) {
        return tried(&app, &session, form, input, Some(&stored)).await;
    }
    let changed = match input {
        Ok(input) => provider_update(&app, stored.id.as_str(), input).await,
        Err(error) => Err(error),
    };
    match changed {
        Ok(row) => Ok(to(&format!("/providers/{}", row.seq))),
        Err(error) => refused(&app, &session, form, Some(&stored), &error),
    }
}

fn refused(
    app: &App,
    session: &Session,
    mut form: ProviderForm,
    stored: Option<&CicdProvider>,
    error: &Error,
) -> PageResult {
    form.refuse(error);
    render_with(api::status(error), &page(app, session, form, stored))
}

/// The form once more, as it was typed, with what the provider answered.
async fn tried(
    app: &App,
    session: &Session,
    mut form: ProviderForm,
    input: Result<ProviderInput>,
    stored: Option<&CicdProvider>,
) -> PageResult {
    let reached: Result<CiAccount> = match input {
        Ok(input) => provider_try(app, stored.map(|row| row.id.as_str()), &input).await,
        Err(error) => Err(error),
    };
    let (status, connection) = match &reached {
        Ok(account) => (StatusCode::OK, words(account)),
        Err(error) => {
            form.refuse(error);
            (api::status(error), String::new())
        }
    };
    render_with(status, &FormPage { connection, ..page(app, session, form, stored) })
}

fn words(account: &CiAccount) -> String {
    let whom = if account.name.is_empty() { String::new() } else { format!(" as {}", account.name) };
    let version = match account.server_version.as_str() {
        "" => String::new(),
        version => format!(" (version {version})"),
    };
    format!("It answers{version} and takes the credential{whom}.")
}
