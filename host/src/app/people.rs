//! People: made, listed, shut out and let in again. `tenants` and `teams` say where they belong, `invitations` how they come.

pub mod invitations;
pub mod teams;
pub mod tenants;

use super::App;
use super::access::{Identity, require};
use crate::domain::Id;
use crate::domain::access::{Grant, Role, Subject};
use crate::domain::people::{DEFAULT_ID, DEFAULT_NAME, Membership, Team, User, is_name};
use crate::error::{Error, Result};
use crate::store::{self, memberships, projects, teams as team_rows, tenants as tenant_rows, tokens, users};

/// Makes tenant, team, project and administrator of a new installation, and gives the administrator the tokens that were made
/// before there were people. Answers the administrator's id. Several nodes may do it at the same time.
pub async fn people_bootstrap(app: &App) -> Result<Id> {
    let id = Id::from_text(DEFAULT_ID);
    if users::find_opt(&mut *app.db.read().await?, DEFAULT_ID).await?.is_some() {
        return Ok(id);
    }
    let made = app
        .db
        .write({
            let id = id.clone();
            move |tx| {
                Box::pin(async move {
                    let now = store::now();
                    let tenant_id = tenant_rows::ensure(tx, &id, DEFAULT_NAME, now).await?;
                    let team = Team {
                        id: id.clone(),
                        tenant_id: tenant_id.clone(),
                        name: DEFAULT_NAME.into(),
                        created_at: now,
                    };
                    team_rows::insert(tx, &team).await?;
                    let admin = User { is_admin: true, ..new_user(id.clone(), tenant_id, "admin") };
                    users::insert(tx, &admin).await?;
                    let grant = Grant { team: id.clone(), project: None, role: Role::Admin };
                    memberships::put(tx, &membership(&admin, grant)).await?;
                    // Stacks that name no project are in this one, so it must not become whoever comes first's.
                    if projects::by_name(tx, DEFAULT_NAME).await?.is_none() {
                        teams::project_insert(tx, DEFAULT_NAME, id.clone()).await?;
                    }
                    tokens::adopt(tx, &id).await.map(|_| ())
                })
            }
        })
        .await;
    match made {
        // Another node was faster.
        Err(Error::Conflict(_)) | Ok(()) => Ok(id),
        Err(error) => Err(error),
    }
}

pub(super) fn new_user(id: Id, tenant_id: Id, name: &str) -> User {
    User {
        id,
        tenant_id,
        name: name.to_owned(),
        is_admin: false,
        password_hash: None,
        totp_secret: None,
        totp_active: false,
        created_at: store::now(),
        last_login_at: None,
        disabled_at: None,
    }
}

pub(super) fn membership(user: &User, grant: Grant) -> Membership {
    Membership {
        id: store::new_id(),
        user_id: user.id.clone(),
        user_name: user.name.clone(),
        grant,
        created_at: store::now(),
    }
}

pub fn check_name(what: &str, name: &str) -> Result<()> {
    if is_name(name) {
        return Ok(());
    }
    let text = format!(
        "the name of a {what} has 1 to 32 characters: a to z, 0 to 9, and between them `-`, `_` and `.`"
    );
    Err(Error::invalid("name", text))
}

/// Makes an account. Without a password, its owner logs in with a token that an administrator makes.
///
/// # Errors
/// `Invalid` for a name or password that will not do, `Conflict` for a name that is taken.
pub async fn user_create(
    app: &App,
    name: &str,
    password: Option<String>,
    tenant: Option<&str>,
    is_admin: bool,
) -> Result<User> {
    check_name("user", name)?;
    let password_hash = match password {
        Some(password) => Some(app.passwords.hash(password).await?),
        None => None,
    };
    let user = User { is_admin, password_hash, ..new_user(store::new_id(), Id::from_text(""), name) };
    let tenant = tenant.map(str::to_owned);
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let user = User { tenant_id: tenants::tenant_for(tx, tenant.as_deref()).await?, ..user };
                users::insert(tx, &user).await?;
                Ok(user)
            })
        })
        .await
}

/// Those who share a team with the caller; an administrator sees everybody.
pub async fn user_list(app: &App, who: &Identity) -> Result<Vec<User>> {
    let of = if who.rights.is_server_admin() { None } else { Some(&who.user.id) };
    users::list(&mut *app.db.read().await?, of).await
}

pub async fn user_find(app: &App, key: &str) -> Result<User> {
    users::find(&mut *app.db.read().await?, key).await
}

/// Somebody for whom the caller may make a token: themselves, or anybody if they administer the installation.
///
/// # Errors
/// `NotFound` for everybody else.
pub async fn user_for_token(app: &App, who: &Identity, key: &str) -> Result<User> {
    require(app, &who.rights, Role::Admin, Subject::User, key).await?;
    user_find(app, key).await
}

/// What a person was given.
pub async fn user_memberships(app: &App, user: &Id) -> Result<Vec<Membership>> {
    memberships::of_user(&mut *app.db.read().await?, user).await
}

/// Shuts somebody out at once, tokens and sessions included, or lets them in again.
///
/// # Errors
/// `Conflict` for the last administrator.
pub async fn user_set_disabled(app: &App, key: &str, disabled: bool) -> Result<User> {
    let key = key.to_owned();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let user = users::find(tx, &key).await?;
                if disabled {
                    keep_one_admin(tx, &user).await?;
                    tokens::revoke_sessions(tx, &user.id, None, store::now()).await?;
                }
                users::set_disabled(tx, &user.id, disabled.then(store::now)).await?;
                users::find(tx, user.id.as_str()).await
            })
        })
        .await
}

/// Makes somebody an administrator of the installation, or ends that.
///
/// # Errors
/// `Conflict` for the last administrator.
pub async fn user_set_admin(app: &App, key: &str, is_admin: bool) -> Result<User> {
    let key = key.to_owned();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let user = users::find(tx, &key).await?;
                if !is_admin {
                    keep_one_admin(tx, &user).await?;
                }
                users::set_admin(tx, &user.id, is_admin).await?;
                users::find(tx, user.id.as_str()).await
            })
        })
        .await
}

async fn keep_one_admin(tx: &mut store::Tx, user: &User) -> Result<()> {
    if user.is_admin && users::count_other_admins(tx, &user.id).await? == 0 {
        let text = format!("`{}` is the last administrator; make somebody else one first", user.name);
        return Err(Error::conflict(text));
    }
    Ok(())
}
