//! The export macros: on wasm they write the component's exports, elsewhere they only check that the traits are there.

/// Exports a type as a plugin of one or several kinds, with the optional interfaces in parentheses:
///
/// ```
/// use windlass_sdk::generator::{File, Generator, Model};
/// use windlass_sdk::notifier::{Event, Notifier, Request};
/// use windlass_sdk::{Connection, Failure, Manifest, Problem};
///
/// struct Both;
///
/// impl Generator for Both {
///     fn describe() -> Manifest {
///         Manifest::new("both", "0.1.0", "Writes pipelines and tells people about them")
///     }
/// #   fn validate(_model: &Model) -> Vec<Problem> { Vec::new() }
/// #   fn generate(_model: Model) -> Result<Vec<File>, Failure> { Ok(Vec::new()) }
///     // …
/// }
///
/// impl Notifier for Both {
///     fn describe() -> Manifest {
///         <Self as Generator>::describe()
///     }
/// #   fn render(_target: Connection, _event: Event) -> Result<Vec<Request>, Failure> { Ok(Vec::new()) }
///     // …
/// }
///
/// windlass_sdk::export_plugin!(Both: generator, notifier);
/// ```
///
/// The manifest is what the first kind's trait describes. Words: `forge` (`repository`, `webhook_admin`,
/// `commit_status`, `pull_requests`, `deployments`), `provider` (`webhooks`, `artifacts`), `generator`, `planner`, `strategy` (`timing`),
/// `notifier`.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty: $first:ident $(($($first_optional:ident),* $(,)?))?
        $(, $kind:ident $(($($optional:ident),* $(,)?))?)* $(,)?) => {
        const _: () = {
            #[cfg(target_family = "wasm")]
            struct Described;
            #[cfg(target_family = "wasm")]
            impl $crate::__private::ManifestGuest for Described {
                fn describe() -> $crate::Manifest {
                    <$crate::$first::Component<$plugin> as $crate::__private::ManifestGuest>::describe()
                        $(.and_of_kind($crate::$kind::KIND))*
                }
            }
            #[cfg(target_family = "wasm")]
            $crate::__private::base::export_manifest!(Described with_types_in $crate::__private::base);
        };
        $crate::__export!($first, $plugin $($(, $first_optional)*)?);
        $($crate::__export!($kind, $plugin $($(, $optional)*)?);)*
    };
}

/// One kind with its optional interfaces, without the manifest.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($kind:ident, $plugin:ty) => {
        const _: () = {
            const fn implements<T: $crate::__private::$kind::Wanted>() {}
            implements::<$crate::$kind::Component<$plugin>>();

            #[cfg(target_family = "wasm")]
            type Component = $crate::$kind::Component<$plugin>;
            #[cfg(target_family = "wasm")]
            $crate::__private::$kind::export_interface!(Component with_types_in $crate::__private::$kind);
        };
    };
    ($kind:ident, $plugin:ty, $($optional:ident),+) => {
        $crate::__export!($kind, $plugin);
        $($crate::__export_optional!($kind, $plugin, $optional);)+
    };
}

/// One optional interface.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_optional {
    ($kind:ident, $plugin:ty, $optional:ident) => {
        const _: () = {
            const fn implements<T: $crate::__private::$kind::$optional::Wanted>() {}
            implements::<$crate::$kind::Component<$plugin>>();

            #[cfg(target_family = "wasm")]
            type Component = $crate::$kind::Component<$plugin>;
            #[cfg(target_family = "wasm")]
            $crate::__private::$kind::$optional::export_interface!(
                Component with_types_in $crate::__private::$kind::$optional
            );
        };
    };
}

/// Exports a [`Forge`](crate::forge::Forge) as the component's only plugin, and the optional interfaces named after it:
/// `repository`, `webhook_admin`, `commit_status`, `pull_requests`, `deployments`.
#[macro_export]
macro_rules! export_forge {
    ($plugin:ty $(, $optional:ident)* $(,)?) => {
        $crate::export_plugin!($plugin: forge($($optional),*));
    };
}

/// Exports a [`Provider`](crate::provider::Provider) as the component's only plugin, and the optional interfaces named
/// after it: `webhooks`, `artifacts`.
#[macro_export]
macro_rules! export_provider {
    ($plugin:ty $(, $optional:ident)* $(,)?) => {
        $crate::export_plugin!($plugin: provider($($optional),*));
    };
}

/// Exports a [`Generator`](crate::generator::Generator) as the component's only plugin.
#[macro_export]
macro_rules! export_generator {
    ($plugin:ty) => {
        $crate::export_plugin!($plugin: generator);
    };
}

/// Exports a [`Planner`](crate::planner::Planner) as the component's only plugin.
#[macro_export]
macro_rules! export_planner {
    ($plugin:ty) => {
        $crate::export_plugin!($plugin: planner);
    };
}

/// Exports a [`Strategy`](crate::strategy::Strategy) as the component's only plugin, and the optional interface named
/// after it: `timing`.
#[macro_export]
macro_rules! export_strategy {
    ($plugin:ty $(, $optional:ident)* $(,)?) => {
        $crate::export_plugin!($plugin: strategy($($optional),*));
    };
}

/// Exports a [`Notifier`](crate::notifier::Notifier) as the component's only plugin.
#[macro_export]
macro_rules! export_notifier {
    ($plugin:ty) => {
        $crate::export_plugin!($plugin: notifier);
    };
}
