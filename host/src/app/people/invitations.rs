//! Invitations: a secret that makes one named person a member, once, until it ends.

use super::teams::project_of;
use super::{check_name, membership, new_user};
use crate::app::App;
use crate::app::access::Identity;
use crate::app::token::{fresh_secret, hash};
use crate::domain::access::{Grant, Owner, Role};
use crate::domain::people::{Invitation, User};
use crate::error::{Error, Result};
use crate::store::{self, Tx, invitations, memberships, teams, users};

const PREFIX: &str = "wli_";
const HOUR_MS: i64 = 3_600_000;
/// Hours that it counts if nobody says otherwise, and at most.
pub const DEFAULT_HOURS: u32 = 72;
const MAX_HOURS: u32 = 24 * 30;

/// Whom to invite to what.
pub struct NewInvitation<'a> {
    pub team: &'a str,
    /// The account that will be made, or that exists.
    pub name: &'a str,
    pub role: Role,
    /// Of the team; all of it if left out.
    pub project: Option<&'a str>,
    pub hours: Option<u32>,
}

/// Answers the invitation and its secret, which is shown this once. Whoever invites has to be an administrator of the
/// team, so no invitation gives more than its author has.
///
/// # Errors
/// `Invalid` for a name or a time that will not do.
pub async fn invitation_create(
    app: &App,
    who: &Identity,
    new: NewInvitation<'_>,
) -> Result<(Invitation, String)> {
    check_name("user", new.name)?;
    let hours = new.hours.unwrap_or(DEFAULT_HOURS);
    if !(1..=MAX_HOURS).contains(&hours) {
        return Err(Error::invalid("hours", format!("an invitation counts for 1 to {MAX_HOURS} hours")));
    }
    let secret = fresh_secret(PREFIX)?;
    let (team, project, name) = (new.team.to_owned(), new.project.map(str::to_owned), new.name.to_owned());
    let (role, hash, created_by) = (new.role, hash(&secret), who.user.name.clone());
    let invitation = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let team = teams::find(tx, &team).await?;
                let now = store::now();
                let invitation = Invitation {
                    id: store::new_id(),
                    project_id: project_of(tx, &team.id, project.as_deref()).await?,
                    team_id: team.id,
                    role,
                    user_name: name,
                    hash,
                    created_by,
                    created_at: now,
                    expires_at: now + i64::from(hours) * HOUR_MS,
                    used_at: None,
                };
                invitations::insert(tx, &invitation).await?;
                Ok(invitation)
            })
        })
        .await?;
    Ok((invitation, secret))
}

/// Newest first; never the secrets.
pub async fn invitation_list(app: &App, team: &str) -> Result<Vec<Invitation>> {
    let mut conn = app.db.read().await?;
    let team = teams::find(&mut conn, team).await?;
    invitations::of_team(&mut conn, &team.id).await
}

/// # Errors
/// `NotFound` if the team has no such invitation.
pub async fn invitation_withdraw(app: &App, team: &str, id: &str) -> Result<()> {
    let (team, id) = (team.to_owned(), id.to_owned());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let team = teams::find(tx, &team).await?;
                if invitations::delete(tx, &team.id, &id).await? {
                    return Ok(());
                }
                Err(Error::not_found("invitation", id))
            })
        })
        .await
}

/// Makes the account that was invited, with a password of its owner's choice.
///
/// # Errors
/// `NotFound`, whatever is wrong with the invitation or the name; `Conflict` if the account exists: then its owner logs
/// in and joins.
pub async fn invitation_accept(app: &App, secret: &str, name: &str, password: String) -> Result<User> {
    if !app.config.oidc.password_login {
        let text = "passwords are switched off here; take the invitation through the provider, on the page /invitation";
        return Err(Error::Forbidden(text.into()));
    }
    let open = invitation_open(app, secret, name).await?;
    let password_hash = Some(app.passwords.hash(password).await?);
    let name = name.to_owned();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                name_is_free(tx, &name).await?;
                let tenant_id = teams::find(tx, open.team_id.as_str()).await?.tenant_id;
                let user = User { password_hash, ..new_user(store::new_id(), tenant_id, &name) };
                users::insert(tx, &user).await?;
                invitation_take(tx, &open, &user).await?;
                Ok(user)
            })
        })
        .await
}

/// # Errors
/// `Conflict` if the account that somebody is invited to exists.
pub(in crate::app) async fn name_is_free(tx: &mut Tx, name: &str) -> Result<()> {
    match users::find_opt(tx, name).await? {
        Some(_) => Err(Error::conflict(format!(
            "the account `{name}` exists already; log in, then join with the invitation"
        ))),
        None => Ok(()),
    }
}

/// Makes the caller a member, if it is they who were invited.
///
/// # Errors
/// `NotFound`, whatever is wrong with the invitation, somebody else's included.
pub async fn invitation_join(app: &App, who: &Identity, secret: &str) -> Result<()> {
    who.unlimited()?;
    let open = invitation_open(app, secret, &who.user.name).await?;
    let user = who.user.clone();
    app.db.write(move |tx| Box::pin(async move { invitation_take(tx, &open, &user).await })).await
}

/// # Errors
/// `NotFound`, whatever is wrong with the invitation or the name.
pub(in crate::app) async fn invitation_open(app: &App, secret: &str, name: &str) -> Result<Invitation> {
    let found = invitations::by_hash(&mut *app.db.read().await?, &hash(secret)).await?;
    found.filter(|row| row.is_open(store::now()) && row.user_name == name).ok_or_else(unknown)
}

/// Uses the invitation up: this person is a member.
///
/// # Errors
/// `NotFound` if somebody was faster, or it is somebody else's.
pub(in crate::app) async fn invitation_take(tx: &mut Tx, open: &Invitation, user: &User) -> Result<()> {
    if user.name != open.user_name
        || teams::find(tx, open.team_id.as_str()).await?.tenant_id != user.tenant_id
    {
        return Err(unknown());
    }
    if !invitations::take(tx, &open.id, store::now()).await? {
        return Err(unknown());
    }
    tx.is_about(Owner::Team { team: open.team_id.clone(), project: None });
    let grant = Grant { team: open.team_id.clone(), project: open.project_id.clone(), role: open.role };
    memberships::put(tx, &membership(user, grant)).await
}

fn unknown() -> Error {
    let text = "(of that secret and name; it may have been used, withdrawn or too old: ask for another)";
    Error::not_found("invitation", text)
}
