//! Plugins on several nodes: what was installed on one is in the database for all, and what one changes the others follow.

use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::{App, plugin};
use crate::domain::admission::PluginRecord;
use crate::domain::event::{Event, EventKind};
use crate::error::{Error, Result};
use crate::plugins::Components;
use crate::store::{self, Db, plugin_components};

/// After this long, what could not be followed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Stores a component before its plugin is, so that whoever hears of the plugin finds it.
pub(super) async fn component_store(app: &App, component: Vec<u8>) -> Result<()> {
    let digest = hex::encode(Sha256::digest(&component));
    let packed = plugin_components::pack(component).await?;
    app.db
        .write(move |tx| {
            Box::pin(async move { plugin_components::insert(tx, &digest, &packed, store::now()).await })
        })
        .await
}

/// Puts components into this node's folder that another node, or this one before it lost its folder, has installed.
pub(super) async fn components_restore(db: &Db, folder: &Path, records: &[PluginRecord]) -> Result<()> {
    let kept = Components::new(folder);
    let mut missing: Vec<String> = records
        .iter()
        .flat_map(|record| [&record.digest, &record.last_good_digest])
        .flatten()
        .filter(|digest| !kept.has(digest))
        .cloned()
        .collect();
    missing.dedup();
    for digest in missing {
        let mut conn = db.read().await?;
        let Some(component) = plugin_components::find_opt(&mut conn, &digest).await? else { continue };
        drop(conn);
        let kept = kept.clone();
        let restored = tokio::task::spawn_blocking(move || {
            if hex::encode(Sha256::digest(&component)) != digest {
                return Err(format!("the component sha256:{digest} in the database was changed"));
            }
            kept.keep(&component)
        });
        match restored.await.map_err(Error::internal)? {
            Ok(digest) => tracing::info!("[@plugins:nodes] took sha256:{digest} from the database"),
            // Its plugin is listed with what is missing.
            Err(why) => tracing::error!("[@plugins:nodes] {why}"),
        }
    }
    Ok(())
}

/// Follows the other nodes until `stop`. On SQLite there are none.
pub async fn plugin_follow(app: App, stop: CancellationToken) {
    if app.db.engine() == "sqlite" {
        return;
    }
    let mut events = app.db.subscribe_events();
    // Something may have changed after this node had read the plugins, and before it listened.
    let mut is_news = true;
    loop {
        if is_news {
            tokio::select! {
                () = stop.cancelled() => return,
                () = refresh(&app) => {}
            }
        }
        let heard = tokio::select! {
            () = stop.cancelled() => return,
            heard = events.recv() => heard,
        };
        is_news = match heard {
            Ok(event) => heed(&app, &event),
            // What was missed may have been news.
            Err(RecvError::Lagged(_)) => true,
            Err(RecvError::Closed) => return,
        };
    }
}

/// Whether the plugins have to be read again.
fn heed(app: &App, event: &Event) -> bool {
    match event.kind {
        EventKind::PluginChanged => {
            event.data.get("node").and_then(|node| node.as_str()) != Some(app.instance.as_str())
        }
        EventKind::StackChanged => {
            app.endpoints.forget();
            false
        }
        _ => false,
    }
}

/// Until the database answers.
async fn refresh(app: &App) {
    while let Err(error) = plugin::refresh(app).await {
        tracing::warn!("[@plugins:nodes] another node's plugins cannot be followed yet: {}", error.for_log());
        tokio::time::sleep(AGAIN).await;
    }
}
