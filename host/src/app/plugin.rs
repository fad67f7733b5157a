//! Plugins as operators see them.

use super::App;
use crate::error::Result;
use crate::plugins::PluginStatus;

pub fn plugin_list(app: &App) -> Vec<PluginStatus> {
    app.plugins.list()
}

pub fn plugin_inspect(app: &App, name: &str) -> Result<PluginStatus> {
    app.plugins.inspect(name)
}
