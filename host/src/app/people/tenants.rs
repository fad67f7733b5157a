//! Tenants: made, renamed, and removed when nobody is in them any more.

use super::check_name;
use crate::app::App;
use crate::domain::Id;
use crate::domain::people::{DEFAULT_ID, Tenant};
use crate::error::{Error, Result};
use crate::store::{self, Tx, tenants};

/// By name.
pub async fn tenant_list(app: &App) -> Result<Vec<Tenant>> {
    tenants::list(&mut *app.db.read().await?).await
}

/// By id or name.
pub async fn tenant_find(app: &App, key: &str) -> Result<Tenant> {
    tenants::find(&mut *app.db.read().await?, key).await
}

/// # Errors
/// `Invalid` for a name that will not do, `Conflict` for one that is taken.
pub async fn tenant_create(app: &App, name: &str) -> Result<Tenant> {
    check_name("tenant", name)?;
    let name = name.to_owned();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let id = store::new_id();
                tenants::insert(tx, &id, &name, store::now()).await?;
                tenants::find(tx, id.as_str()).await
            })
        })
        .await
}

/// Its teams and people stay in it. Addresses of providers keep the word that their connection says.
///
/// # Errors
/// As [`tenant_create`].
pub async fn tenant_rename(app: &App, key: &str, name: &str) -> Result<Tenant> {
    check_name("tenant", name)?;
    let (key, name) = (key.to_owned(), name.to_owned());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let tenant = tenants::find(tx, &key).await?;
                tenants::rename(tx, &tenant.id, &name).await?;
                tenants::find(tx, tenant.id.as_str()).await
            })
        })
        .await
}

/// # Errors
/// `Conflict` while teams or people are in it, and for the first one.
pub async fn tenant_delete(app: &App, key: &str) -> Result<()> {
    let key = key.to_owned();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let tenant = tenants::find(tx, &key).await?;
                if tenant.id.as_str() == DEFAULT_ID {
                    return Err(Error::conflict("the first tenant stays: who names none is put into it"));
                }
                let Tenant { name, teams, people, .. } = &tenant;
                if *people > 0 {
                    let text = format!(
                        "tenant `{name}` has {people} people, who stay in it, so it cannot be removed; shut them out instead"
                    );
                    return Err(Error::conflict(text));
                }
                if *teams > 0 {
                    let text = format!("tenant `{name}` has {teams} teams; remove them first");
                    return Err(Error::conflict(text));
                }
                tenants::delete(tx, &tenant.id).await
            })
        })
        .await
}

/// Where somebody or something new belongs: the tenant of that name, which is made if there is none; the first one, whatever
/// it is called by now, if none is named.
pub(super) async fn tenant_for(tx: &mut Tx, named: Option<&str>) -> Result<Id> {
    let Some(name) = named.filter(|name| !name.is_empty()) else { return Ok(Id::from_text(DEFAULT_ID)) };
    check_name("tenant", name)?;
    tenants::ensure(tx, &store::new_id(), name, store::now()).await
}
