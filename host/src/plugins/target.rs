//! The other side of a call: what the operator connected, with the plugin's settings.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use wasmtime::component::{ComponentNamedList, Lift, Lower};

use super::Plugins;
use super::bindings::base::windlass::types::types;
use super::broker::Connection;
use super::call::CallError;
use super::tape::Function;
use crate::domain::plugin::{Ability, CredentialSlot, PluginKind, variable};
use crate::error::Result;

/// What a call is about to talk to.
#[derive(Debug, Clone)]
pub struct Target {
    pub connection: Arc<Connection>,
    /// The plugin's settings; they have to fit its schema.
    pub settings: Value,
}

/// An interface whose functions are about a target: a kind's own, or an optional one.
#[derive(Clone, Copy)]
pub(super) struct Interface {
    pub(super) kind: PluginKind,
    pub(super) ability: Option<Ability>,
    /// With its version.
    pub(super) name: &'static str,
}

impl Target {
    /// The connection with the variables that these slots' recipes name: the settings of the same names, as far as they are
    /// filled in.
    pub(super) fn connected(&self, slots: &[CredentialSlot]) -> Arc<Connection> {
        let named = slots.iter().flat_map(CredentialSlot::variables);
        let filled = named.filter_map(|name| variable(&self.settings, name).map(|value| (name, value)));
        let mut connection = self.connection.clone();
        for (name, value) in filled {
            connection = Arc::new(connection.as_ref().clone().variable(name, value));
        }
        connection
    }
}

impl Plugins {
    /// Calls a function that takes the connection first and may answer with a failure. `params` puts the rest behind
    /// the connection, and `read` makes sense of a good answer. The settings are checked before: a plugin never sees
    /// ones that its schema does not allow.
    pub(super) async fn call_target<P, A, T>(
        &self,
        name: &str,
        (interface, function): (Interface, &'static str),
        target: &Target,
        params: impl FnOnce(types::Connection) -> P,
        read: impl FnOnce(A) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T>
    where
        P: ComponentNamedList + Lower + Serialize + Send + Sync + 'static,
        A: Lift + Serialize + Send + Sync + 'static,
        T: Send + 'static,
    {
        let Interface { kind, ability, name: interface } = interface;
        let plugin = self.find_able(name, kind, ability, function)?;
        plugin.schema.check(name, &target.settings)?;
        let params = params(types::Connection {
            base_url: target.connection.base_url(),
            settings: target.settings.to_string(),
            extras: Vec::new(),
        });
        let callee = match kind.may_send_requests() {
            true => plugin.callee_on(target.connected(&plugin.info.manifest.credentials)),
            false => plugin.callee(),
        };
        let function = Function { interface, name: function };
        let read = |answer: Result<A, types::Failure>| read(answer?);
        self.runtime().invoke(callee, function, params, read).await
    }
}
