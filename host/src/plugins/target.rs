//! The other side of a call: what the operator connected, with the plugin's settings.

use std::fmt::Debug;
use std::sync::Arc;

use serde_json::Value;
use wasmtime::Store;
use wasmtime::component::InstancePre;

use super::Plugins;
use super::bindings::base::windlass::types::types;
use super::broker::Connection;
use super::call::CallError;
use super::guest::GuestState;
use crate::domain::plugin::{Ability, PluginKind};
use crate::error::Result;

/// What a call is about to talk to.
#[derive(Debug, Clone)]
pub struct Target {
    pub connection: Arc<Connection>,
    /// The plugin's settings; they have to fit its schema.
    pub settings: Value,
}

impl Plugins {
    /// A call about a target, with what else its input is. The settings are checked before: a plugin never sees ones that its schema does not allow.
    pub(super) async fn call_target<R: Send + 'static>(
        &self,
        (name, kind, ability): (&str, PluginKind, Option<Ability>),
        call: &'static str,
        target: &Target,
        input: &dyn Debug,
        work: impl FnOnce(
            &mut Store<GuestState>,
            &InstancePre<GuestState>,
            &types::Connection,
        ) -> Result<R, CallError>
        + Send
        + 'static,
    ) -> Result<R> {
        let plugin = self.find_able(name, kind, ability, call)?;
        plugin.schema.check(name, &target.settings)?;
        let connection = types::Connection {
            base_url: target.connection.base_url(),
            settings: target.settings.to_string(),
            extras: Vec::new(),
        };
        let callee = match kind.may_send_requests() {
            true => plugin.callee_on(target.connection.clone()),
            false => plugin.callee(),
        };
        let callee = callee.with_input(&(&connection, input));
        self.runtime().call(callee, call, move |store, pre| work(store, pre, &connection)).await
    }
}
