//! Reading a connection's settings.

use serde::de::DeserializeOwned;

use crate::{Connection, Failure};

impl Connection {
    /// Reads the settings, which the host has checked against the manifest's schema.
    ///
    /// # Errors
    /// `permanent` with the code `invalid-settings`, naming the field or the place that is wrong.
    pub fn read_settings<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.settings).map_err(|error| {
            Failure::permanent("invalid-settings", format!("The settings cannot be read: {error}."))
        })
    }
}
