//! Plugins as operators see them.

use super::App;
use crate::domain::plugin::PluginStatus;
use crate::error::Result;

pub fn plugin_list(app: &App) -> Vec<PluginStatus> {
    app.plugins.list()
}

pub fn plugin_inspect(app: &App, name: &str) -> Result<PluginStatus> {
    app.plugins.inspect(name)
}
