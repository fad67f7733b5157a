//! Who is asking, and whether they may: the one place that compares a policy with the row that it is about.

use super::App;
use super::audit;
use super::token::token_find;
use crate::domain::Id;
use crate::domain::access::{Policy, Reach, Rights, Role, Subject};
use crate::domain::people::User;
use crate::domain::token::{Token, TokenKind};
use crate::error::{Error, Result};
use crate::plugins::payer_is;
use crate::store::{memberships, owners, users};

/// The bearer of a valid token.
#[derive(Debug, Clone)]
pub struct Identity {
    pub token: Token,
    pub user: User,
    pub rights: Rights,
}

impl Identity {
    /// What lists are narrowed to.
    pub fn reach(&self) -> Reach {
        if self.rights.is_server_admin() { Reach::EVERYTHING } else { Reach::of_token(&self.token.id) }
    }

    /// What is done from now on is this person's doing. A token's name is free to choose, so it never stands for somebody: the
    /// record has its owner, and the name only as what they did it with.
    pub fn acts(&self) {
        payer_is(&format!("user `{}`", self.user.name));
        match self.token.kind {
            TokenKind::Session => audit::identify("user", &self.user.name),
            TokenKind::Api => audit::identify(&format!("token {}", self.token.name), &self.user.name),
        }
    }

    /// For what a limited token may not do, because it would lift the limit.
    ///
    /// # Errors
    /// `Forbidden` for a token with a limit.
    pub fn unlimited(&self) -> Result<()> {
        if self.token.limit.is_none() {
            return Ok(());
        }
        let text = "this token is limited and cannot change accounts or make tokens; log in, or use one without a limit";
        Err(Error::Forbidden(text.into()))
    }
}

/// Who a secret belongs to, and what they may do now: a role that was taken away counts no more with the next request.
///
/// # Errors
/// `Unauthenticated` for a token that is not valid, or whose owner may not log in any more.
pub async fn authenticate(app: &App, secret: &str) -> Result<Identity> {
    let token = token_find(app, secret).await?;
    let gone = || Error::Unauthenticated("the owner of this token may not log in any more".into());
    let mut conn = app.db.read().await?;
    let owner = token.user_id.as_ref().ok_or_else(gone)?;
    let user = users::find_opt(&mut conn, owner.as_str()).await?.filter(|user| user.disabled_at.is_none());
    let user = user.ok_or_else(gone)?;
    let grants = match user.is_admin {
        true => Vec::new(),
        false => memberships::of_user(&mut conn, &user.id).await?.into_iter().map(|row| row.grant).collect(),
    };
    let limit = token.limit.clone();
    let rights = Rights { user: user.id.clone(), is_admin: user.is_admin, grants, limit };
    Ok(Identity { token, user, rights })
}

/// Lets an operation pass and answers the caller's role there, or says why not. `key` names what it is about, as the operation
/// itself will look it up.
///
/// # Errors
/// `NotFound` for what does not exist and, in the same words, for what the caller may not even see. `Forbidden` for
/// what they see but may not do.
pub async fn authorise(app: &App, rights: &Rights, policy: Policy, key: &str) -> Result<Role> {
    let Policy { role, subject } = policy;
    if rights.is_server_admin() {
        concern(app, subject, key).await;
        return Ok(Role::Admin);
    }
    if subject == Subject::Any {
        return if rights.has_anywhere(role) { Ok(rights.strongest()) } else { Err(lacking(role, None)) };
    }
    let mut conn = app.db.read().await?;
    let owner = owners::owner(&mut conn, subject, key).await?;
    if let Some(owner) = &owner {
        audit::concerns(owner);
    }
    match owner.and_then(|owner| rights.role_on(&owner)) {
        Some(held) if held >= role => Ok(held),
        Some(held) => Err(lacking(role, Some(held))),
        None if subject == Subject::Server => {
            Err(Error::Forbidden("only an administrator of this installation may do this".into()))
        }
        None => Err(Error::not_found(subject.what(), key)),
    }
}

/// Tells the record whose the thing is that a call is about, who ever makes it. Where that cannot be found out, the call itself
/// will say what is wrong.
pub async fn concern(app: &App, subject: Subject, key: &str) {
    if key.is_empty() || !audit::is_running() {
        return;
    }
    let Ok(mut conn) = app.db.read().await else { return };
    if let Ok(Some(owner)) = owners::owner(&mut conn, subject, key).await {
        audit::concerns(&owner);
    }
}

/// The same for what a body or a query names.
pub async fn require(app: &App, rights: &Rights, role: Role, subject: Subject, key: &str) -> Result<()> {
    authorise(app, rights, Policy { role, subject }, key).await.map(|_| ())
}

/// The one team in which the caller may make something new, where none was named.
///
/// # Errors
/// `Forbidden` if there is none, `Invalid` if there are several.
pub fn only_team(rights: &Rights, role: Role, default: &str) -> Result<Id> {
    if rights.is_admin && rights.limit.team.is_none() {
        return Ok(Id::from_text(default));
    }
    let whole = rights.grants.iter().filter(|grant| grant.project.is_none() && grant.role >= role);
    let mut teams: Vec<&Id> = rights.limit.team.iter().chain(whole.map(|grant| &grant.team)).collect();
    teams.dedup();
    match teams.as_slice() {
        [team] => Ok((*team).clone()),
        [] => Err(lacking(role, None)),
        _ => Err(Error::invalid("team", "you are in several teams; say with `team` which one it is for")),
    }
}

fn lacking(role: Role, held: Option<Role>) -> Error {
    let have = held.map_or("have none".into(), |role| format!("are {}", role.as_str()));
    Error::Forbidden(format!(
        "this needs the role {}, and you {have} here; an administrator of the team can give it to you",
        role.as_str()
    ))
}
