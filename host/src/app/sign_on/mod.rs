//! Logging in through an OpenID provider: who comes, by which rules they get an account, and what they may do.

mod provider;

use provider::Begun;
pub use provider::{Invited, Provider};

use super::App;
use super::login::session_for;
use super::people::invitations::{self, invitation_open, invitation_take};
use super::people::{membership, new_user};
use super::token::NewToken;
use crate::domain::Id;
use crate::domain::access::{Grant, Role};
use crate::domain::people::{DEFAULT_ID, Invitation, User};
use crate::domain::sign_on::{Person, Rule, account_name, granted};
use crate::error::{Error, Result};
use crate::store::{self, Tx, memberships, oidc_identities, teams, users};

/// How long somebody may take at the provider, in ms.
const PATIENCE_MS: i64 = 10 * 60_000;
const SEALED_FOR: &str = "oidc/login";

/// The provider, if the configuration names one.
#[derive(Default)]
pub struct SignOn(Option<Provider>);

impl SignOn {
    /// # Errors
    /// `Invalid` for settings that cannot be used.
    pub fn of(config: &crate::config::Config) -> Result<Self> {
        Ok(Self(Provider::of(config)?))
    }

    fn provider(&self) -> Result<&Provider> {
        self.0.as_ref().ok_or_else(|| Error::not_found("page", "(no OpenID provider is configured)"))
    }
}

/// What the log-in page offers: the button's label, if there is a provider.
pub fn sign_on_label(app: &App) -> Option<&str> {
    app.sign_on.0.as_ref().map(|_| app.config.oidc.label.as_str())
}

/// Where the browser goes, and what it has to bring back in a cookie. `next` is where it goes in the end.
///
/// # Errors
/// `Unavailable` if the provider does not answer; `NotFound`, whatever is wrong with the invitation.
pub async fn sign_on_begin(app: &App, next: &str, invited: Option<Invited>) -> Result<(String, String)> {
    if let Some(invited) = &invited {
        invitation_open(app, &invited.secret, &invited.name).await?;
    }
    let (url, begun) = app.sign_on.provider()?.begin(app, next, store::now() + PATIENCE_MS).await?;
    let begun = Begun { invited, ..begun };
    let plain = serde_json::to_vec(&begun).map_err(Error::internal)?;
    Ok((url.to_string(), app.vault.seal(SEALED_FOR, &plain)?))
}

/// Somebody who has come back from the provider.
pub struct Returned<'a> {
    /// What [`sign_on_begin`] gave the browser.
    pub cookie: &'a str,
    pub state: &'a str,
    pub code: &'a str,
}

/// Verifies what they bring, and makes a session. Answers where they wanted to go as well.
///
/// # Errors
/// `Unauthenticated` if something of it does not hold, `Forbidden` if no rule lets them in.
pub async fn sign_on_finish(app: &App, returned: Returned<'_>, address: &str) -> Result<(NewToken, String)> {
    let provider = app.sign_on.provider()?;
    let mut begun = opened(app, &returned)?;
    let (next, invited) = (begun.next.clone(), begun.invited.take());
    let person = provider.finish(app, returned.code, begun).await?;
    let invitation = match invited {
        Some(invited) => Some(invitation_open(app, &invited.secret, &invited.name).await?),
        None => None,
    };
    let user = account(app, person, invitation).await?;
    Ok((session_for(app, &user, address).await?, next))
}

fn opened(app: &App, returned: &Returned<'_>) -> Result<Begun> {
    let text = "this log-in was not begun in this browser, or too long ago; begin anew";
    let wrong = || Error::Unauthenticated(text.into());
    let plain = app.vault.open_sealed(SEALED_FOR, returned.cookie).map_err(|_| wrong())?;
    let begun: Begun = serde_json::from_slice(&plain).map_err(|_| wrong())?;
    let is_same = subtle::ConstantTimeEq::ct_eq(begun.state.as_bytes(), returned.state.as_bytes());
    if !bool::from(is_same) || begun.expires_at <= store::now() {
        return Err(wrong());
    }
    Ok(begun)
}

/// The account of whom the provider vouches for, with the roles that the rules and an invitation give now.
async fn account(app: &App, person: Person, invitation: Option<Invitation>) -> Result<User> {
    let oidc = &app.config.oidc;
    let rules = oidc.rules.iter().map(|rule| Rule {
        email: rule.email.clone(),
        group: rule.group.clone(),
        team: rule.team.clone(),
        // The configuration was checked when it was read.
        role: Role::parse(&rule.role).unwrap_or(Role::Viewer),
    });
    let rules: Vec<Rule> = rules.collect();
    let grants = granted(&rules, &person);
    let is_admin = person.groups.iter().any(|group| oidc.admin_groups.contains(group));
    let ruled: Vec<String> = rules.into_iter().map(|rule| rule.team).collect();
    let (issuer, manages_admins) = (oidc.issuer.clone(), !oidc.admin_groups.is_empty());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let user = match oidc_identities::user_of(tx, &issuer, &person.subject).await? {
                    Some(id) => {
                        let fits = !grants.is_empty() || is_admin || invitation.is_some();
                        known(tx, &id, (&issuer, &person), fits).await?
                    }
                    None => {
                        let (name, tenant) = match &invitation {
                            Some(open) => invited_account(tx, open).await?,
                            None if grants.is_empty() && !is_admin => return Err(uninvited()),
                            None => ruled_account(tx, &person).await?,
                        };
                        made(tx, (&issuer, &person), &name, tenant).await?
                    }
                };
                if let Some(open) = &invitation {
                    counts(tx, open, &ruled).await?;
                    invitation_take(tx, open, &user).await?;
                }
                give(tx, &user, &ruled, &grants).await?;
                if manages_admins && user.is_admin != is_admin {
                    users::set_admin(tx, &user.id, is_admin).await?;
                }
                Ok(user)
            })
        })
        .await
}

async fn known(tx: &mut Tx, id: &Id, (issuer, person): (&str, &Person), fits: bool) -> Result<User> {
    let user = users::find(tx, id.as_str()).await?;
    if user.disabled_at.is_some() {
        return Err(Error::Forbidden(
            "this account is shut out; an administrator can let it in again".into(),
        ));
    }
    // Whoever fits no rule any more, and was given no role by hand, is a guest who has left.
    if !fits && !user.is_admin && memberships::of_user(tx, id).await?.is_empty() {
        return Err(uninvited());
    }
    oidc_identities::seen(tx, (issuer, &person.subject), person.email.as_deref(), store::now()).await?;
    Ok(user)
}

/// Name and tenant of an account that a rule gives.
async fn ruled_account(tx: &mut Tx, person: &Person) -> Result<(String, Id)> {
    let all = users::list(tx, None).await?;
    let name = account_name(person, |name| all.iter().any(|user| user.name == name))
        .ok_or_else(|| Error::conflict("no name could be found for the new account"))?;
    Ok((name, teams::find(tx, DEFAULT_ID).await?.tenant_id))
}

/// Name and tenant of an account that somebody is invited to.
async fn invited_account(tx: &mut Tx, open: &Invitation) -> Result<(String, Id)> {
    let name = open.user_name.clone();
    invitations::name_is_free(tx, &name).await?;
    Ok((name, teams::find(tx, open.team_id.as_str()).await?.tenant_id))
}

/// # Errors
/// `Conflict` for a team in which the rules would end the role again at once.
async fn counts(tx: &mut Tx, open: &Invitation, ruled: &[String]) -> Result<()> {
    let team = teams::find(tx, open.team_id.as_str()).await?.name;
    if ruled.contains(&team) {
        return Err(Error::conflict(format!(
            "in team `{team}` the provider's rules decide who has which role, so an invitation to it does not count"
        )));
    }
    Ok(())
}

async fn made(tx: &mut Tx, (issuer, person): (&str, &Person), name: &str, tenant: Id) -> Result<User> {
    let user = new_user(store::new_id(), tenant, name);
    users::insert(tx, &user).await?;
    let subject = (issuer, person.subject.as_str());
    oidc_identities::insert(tx, subject, &user.id, person.email.as_deref(), store::now()).await?;
    Ok(user)
}

/// In the teams that rules name, the rules decide; elsewhere, people do.
async fn give(tx: &mut Tx, user: &User, ruled: &[String], grants: &[(String, Role)]) -> Result<()> {
    let held = memberships::of_user(tx, &user.id).await?;
    for name in ruled {
        let Some(team) = teams::find_opt(tx, name).await? else {
            tracing::warn!(team = name, "[@access:oidc] a rule is about a team that does not exist");
            continue;
        };
        let wanted = grants.iter().find(|(of, _)| of == name).map(|(_, role)| *role);
        let has = held.iter().find(|row| row.grant.team == team.id && row.grant.project.is_none());
        match (wanted, has.map(|row| row.grant.role)) {
            (Some(role), now) if now != Some(role) => {
                let grant = Grant { team: team.id, project: None, role };
                memberships::put(tx, &membership(user, grant)).await?;
            }
            (None, Some(_)) => {
                memberships::remove(tx, &user.id, &team.id, None).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn uninvited() -> Error {
    let text = "the provider knows you, but nobody has let you in here: no rule fits your verified e-mail address or your groups; \
                ask an administrator";
    Error::Forbidden(text.into())
}
