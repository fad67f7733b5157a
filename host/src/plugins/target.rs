//! The other side of a call: what the operator connected, with the plugin's settings.

use serde_json::Value;
use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::Plugins;
use super::bindings::base::windlass::types::types;
use super::call::CallError;
use super::guest::GuestState;
use crate::domain::plugin::{Ability, PluginKind};
use crate::error::{Error, Result};

/// What a call is about to talk to.
#[derive(Debug, Clone)]
pub struct Target {
    pub base_url: String,
    /// The plugin's settings; they have to fit its schema.
    pub settings: Value,
}

impl Plugins {
    /// A call about a target. The settings are checked before: a plugin never sees ones that its schema does not allow.
    pub(super) async fn call_target<R: Send + 'static>(
        &self,
        (name, kind, ability): (&str, PluginKind, Option<Ability>),
        call: &'static str,
        target: &Target,
        work: impl FnOnce(
            &mut Store<GuestState>,
            &InstancePre<GuestState>,
            &types::Connection,
        ) -> Result<R, CallError>
        + Send
        + 'static,
    ) -> Result<R> {
        let plugin = self.find_able(name, kind, ability, call)?;
        if let Some(problem) = plugin.schema.problems(&target.settings).into_iter().next() {
            return Err(Error::invalid(
                format!("settings{}", problem.path),
                format!("The settings of plugin `{name}` do not fit its schema: {}", problem.message),
            ));
        }
        let connection = types::Connection {
            base_url: target.base_url.trim_end_matches('/').to_owned(),
            settings: target.settings.to_string(),
            extras: Vec::new(),
        };
        self.runtime().call(plugin.callee(), call, move |store, pre| work(store, pre, &connection)).await
    }
}
