//! What wit-bindgen makes of `wit/`.
//!
//! Each kind's world is put together here from two halves, the manifest and the kind's own interface, so that the
//! shared types exist once. A component only gets the halves that its export macro names; unused imports vanish.

pub mod base {
    wit_bindgen::generate!({
        path: ["../wit/types.wit", "../wit/plugin.wit"],
        inline: "
            package windlass:sdk-base;
            world base { export windlass:plugin/manifest@0.1.0; }
        ",
        pub_export_macro: true,
        export_macro_name: "export_manifest",
        default_bindings_module: "windlass_sdk::__private::base",
        additional_derives: [PartialEq],
        generate_unused_types: true,
        generate_all,
    });
}

pub mod host {
    wit_bindgen::generate!({
        path: ["../wit/types.wit", "../wit/host.wit"],
        inline: "
            package windlass:sdk-host;
            world host { import windlass:host/log@0.1.0; import windlass:host/http@0.1.0; }
        ",
        additional_derives: [PartialEq],
        with: {
            "windlass:types/types@0.1.0": crate::bindings::base::windlass::types::types,
            "windlass:host/log@0.1.0": generate,
            "windlass:host/http@0.1.0": generate,
        },
    });
}

pub mod forge {
    wit_bindgen::generate!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/git-forge.wit"],
        inline: "
            package windlass:sdk-forge;
            world forge { export windlass:git-forge/forge@0.1.0; }
        ",
        pub_export_macro: true,
        export_macro_name: "export_interface",
        default_bindings_module: "windlass_sdk::__private::forge",
        additional_derives: [PartialEq],
        with: {
            "windlass:types/types@0.1.0": crate::bindings::base::windlass::types::types,
            "windlass:git-forge/forge@0.1.0": generate,
        },
    });
}

pub mod planner {
    wit_bindgen::generate!({
        path: ["../wit/types.wit", "../wit/plugin.wit", "../wit/build-planner.wit"],
        inline: "
            package windlass:sdk-planner;
            world planner { export windlass:build-planner/planner@0.1.0; }
        ",
        pub_export_macro: true,
        export_macro_name: "export_interface",
        default_bindings_module: "windlass_sdk::__private::planner",
        additional_derives: [PartialEq],
        with: {
            "windlass:types/types@0.1.0": crate::bindings::base::windlass::types::types,
            "windlass:build-planner/planner@0.1.0": generate,
        },
    });
}

pub mod strategy {
    wit_bindgen::generate!({
        path: ["../wit/types.wit", "../wit/plugin.wit", "../wit/deployment-strategy.wit"],
        inline: "
            package windlass:sdk-strategy;
            world strategy { export windlass:deployment-strategy/strategy@0.1.0; }
        ",
        pub_export_macro: true,
        export_macro_name: "export_interface",
        default_bindings_module: "windlass_sdk::__private::strategy",
        additional_derives: [PartialEq],
        with: {
            "windlass:types/types@0.1.0": crate::bindings::base::windlass::types::types,
            "windlass:deployment-strategy/strategy@0.1.0": generate,
        },
    });
}
