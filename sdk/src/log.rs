//! Messages for the operator, in the server's log under the plugin's name.
//!
//! Only for kinds whose world imports `windlass:host/log`: a forge may, a build planner and a strategy may not.
//! Natively, in tests, the messages go to standard error.

pub use crate::bindings::host::windlass::host::log::Level;

/// Detail for whoever debugs the plugin.
pub fn debug(message: &str) {
    emit(Level::Debug, message, &[]);
}

/// What an operator may want to know.
pub fn info(message: &str) {
    emit(Level::Info, message, &[]);
}

/// Something was odd and handled.
pub fn warn(message: &str) {
    emit(Level::Warn, message, &[]);
}

/// Something went wrong.
pub fn error(message: &str) {
    emit(Level::Error, message, &[]);
}

/// A message with fields of its own.
pub fn emit(level: Level, message: &str, fields: &[(&str, &str)]) {
    #[cfg(target_family = "wasm")]
    {
        let fields: Vec<_> =
            fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        crate::bindings::host::windlass::host::log::emit(level, message, &fields);
    }
    #[cfg(not(target_family = "wasm"))]
    {
        eprintln!("{level:?}: {message} {fields:?}");
    }
}
