//! What wit-bindgen makes of `wit/`.
//!
//! Each kind's world is put together here from two halves, the manifest and the kind's own interface, so that the
//! shared types exist once; so does each optional interface. A component only gets the parts that its export macro
//! names; unused imports vanish. `Wanted` is what a part's macro asks of a plugin.

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
    pub use exports::windlass::git_forge::forge::Guest as Wanted;

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

    pub mod repository {
        pub use exports::windlass::git_forge::repository::Guest as Wanted;

        wit_bindgen::generate!({
            path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/git-forge.wit"],
            inline: "
                package windlass:sdk-repository;
                world repository { export windlass:git-forge/repository@0.1.0; }
            ",
            pub_export_macro: true,
            export_macro_name: "export_interface",
            default_bindings_module: "windlass_sdk::__private::forge::repository",
            additional_derives: [PartialEq],
            with: {
                "windlass:types/types@0.1.0": crate::bindings::base::windlass::types::types,
                "windlass:git-forge/repository@0.1.0": generate,
            },
        });
    }

    pub mod webhook_admin {
        pub use exports::windlass::git_forge::webhook_admin::Guest as Wanted;

        wit_bindgen::generate!({
            path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/git-forge.wit"],
            inline: "
                package windlass:sdk-webhook-admin;
                world webhook-admin { export windlass:git-forge/webhook-admin@0.1.0; }
            ",
            pub_export_macro: true,
            export_macro_name: "export_interface",
            default_bindings_module: "windlass_sdk::__private::forge::webhook_admin",
            additional_derives: [PartialEq],
            with: {
                "windlass:types/types@0.1.0": crate::bindings::base::windlass::types::types,
                "windlass:git-forge/webhook-admin@0.1.0": generate,
            },
        });
    }

    pub mod commit_status {
        pub use exports::windlass::git_forge::commit_status::Guest as Wanted;

        wit_bindgen::generate!({
            path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/git-forge.wit"],
            inline: "
                package windlass:sdk-commit-status;
                world commit-status { export windlass:git-forge/commit-status@0.1.0; }
            ",
            pub_export_macro: true,
            export_macro_name: "export_interface",
            default_bindings_module: "windlass_sdk::__private::forge::commit_status",
            additional_derives: [PartialEq],
            with: {
                "windlass:types/types@0.1.0": crate::bindings::base::windlass::types::types,
                "windlass:git-forge/commit-status@0.1.0": generate,
            },
        });
    }

    pub mod pull_requests {
        pub use exports::windlass::git_forge::pull_requests::Guest as Wanted;

        wit_bindgen::generate!({
            path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/git-forge.wit"],
            inline: "
                package windlass:sdk-pull-requests;
                world pull-requests { export windlass:git-forge/pull-requests@0.1.0; }
            ",
            pub_export_macro: true,
            export_macro_name: "export_interface",
            default_bindings_module: "windlass_sdk::__private::forge::pull_requests",
            additional_derives: [PartialEq],
            with: {
                "windlass:types/types@0.1.0": crate::bindings::base::windlass::types::types,
                "windlass:git-forge/pull-requests@0.1.0": generate,
            },
        });
    }

    pub mod deployments {
        pub use exports::windlass::git_forge::deployments::Guest as Wanted;

        wit_bindgen::generate!({
            path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/git-forge.wit"],
            inline: "
                package windlass:sdk-deployments;
                world deployments { export windlass:git-forge/deployments@0.1.0; }
            ",
            pub_export_macro: true,
            export_macro_name: "export_interface",
            default_bindings_module: "windlass_sdk::__private::forge::deployments",
            additional_derives: [PartialEq],
            with: {
                "windlass:types/types@0.1.0": crate::bindings::base::windlass::types::types,
                "windlass:git-forge/deployments@0.1.0": generate,
            },
        });
    }
}

pub mod planner {
    pub use exports::windlass::build_planner::planner::Guest as Wanted;

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
    pub use exports::windlass::deployment_strategy::strategy::Guest as Wanted;

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

    pub mod timing {
        pub use exports::windlass::deployment_strategy::timing::Guest as Wanted;

        wit_bindgen::generate!({
            path: ["../wit/types.wit", "../wit/plugin.wit", "../wit/deployment-strategy.wit"],
            inline: "
                package windlass:sdk-timing;
                world timing { export windlass:deployment-strategy/timing@0.1.0; }
            ",
            pub_export_macro: true,
            export_macro_name: "export_interface",
            default_bindings_module: "windlass_sdk::__private::strategy::timing",
            additional_derives: [PartialEq],
            with: { "windlass:deployment-strategy/timing@0.1.0": generate },
        });
    }
}

pub mod provider {
    pub use exports::windlass::ci_provider::provider::Guest as Wanted;

    wit_bindgen::generate!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/ci-provider.wit"],
        inline: "
            package windlass:sdk-provider;
            world provider { export windlass:ci-provider/provider@0.1.0; }
        ",
        pub_export_macro: true,
        export_macro_name: "export_interface",
        default_bindings_module: "windlass_sdk::__private::provider",
        additional_derives: [PartialEq],
        with: {
            "windlass:types/types@0.1.0": crate::bindings::base::windlass::types::types,
            "windlass:ci-provider/types@0.1.0": generate,
            "windlass:ci-provider/provider@0.1.0": generate,
        },
    });

    pub mod webhooks {
        pub use exports::windlass::ci_provider::webhooks::Guest as Wanted;

        wit_bindgen::generate!({
            path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/ci-provider.wit"],
            inline: "
                package windlass:sdk-webhooks;
                world webhooks { export windlass:ci-provider/webhooks@0.1.0; }
            ",
            pub_export_macro: true,
            export_macro_name: "export_interface",
            default_bindings_module: "windlass_sdk::__private::provider::webhooks",
            additional_derives: [PartialEq],
            with: {
                "windlass:types/types@0.1.0": crate::bindings::base::windlass::types::types,
                "windlass:ci-provider/types@0.1.0": crate::bindings::provider::windlass::ci_provider::types,
                "windlass:ci-provider/webhooks@0.1.0": generate,
            },
        });
    }

    pub mod artifacts {
        pub use exports::windlass::ci_provider::artifacts::Guest as Wanted;

        wit_bindgen::generate!({
            path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/ci-provider.wit"],
            inline: "
                package windlass:sdk-artifacts;
                world artifacts { export windlass:ci-provider/artifacts@0.1.0; }
            ",
            pub_export_macro: true,
            export_macro_name: "export_interface",
            default_bindings_module: "windlass_sdk::__private::provider::artifacts",
            additional_derives: [PartialEq],
            with: {
                "windlass:types/types@0.1.0": crate::bindings::base::windlass::types::types,
                "windlass:ci-provider/types@0.1.0": crate::bindings::provider::windlass::ci_provider::types,
                "windlass:ci-provider/artifacts@0.1.0": generate,
            },
        });
    }
}

pub mod generator {
    pub use exports::windlass::pipeline_generator::generator::Guest as Wanted;

    wit_bindgen::generate!({
        path: ["../wit/types.wit", "../wit/plugin.wit", "../wit/pipeline-generator.wit"],
        inline: "
            package windlass:sdk-generator;
            world generator { export windlass:pipeline-generator/generator@0.1.0; }
        ",
        pub_export_macro: true,
        export_macro_name: "export_interface",
        default_bindings_module: "windlass_sdk::__private::generator",
        additional_derives: [PartialEq],
        with: {
            "windlass:types/types@0.1.0": crate::bindings::base::windlass::types::types,
            "windlass:pipeline-generator/generator@0.1.0": generate,
        },
    });
}

pub mod notifier {
    pub use exports::windlass::notifier::renderer::Guest as Wanted;

    wit_bindgen::generate!({
        path: ["../wit/types.wit", "../wit/plugin.wit", "../wit/notifier.wit"],
        inline: "
            package windlass:sdk-notifier;
            world notifier { export windlass:notifier/renderer@0.1.0; }
        ",
        pub_export_macro: true,
        export_macro_name: "export_interface",
        default_bindings_module: "windlass_sdk::__private::notifier",
        additional_derives: [PartialEq],
        with: {
            "windlass:types/types@0.1.0": crate::bindings::base::windlass::types::types,
            "windlass:notifier/renderer@0.1.0": generate,
        },
    });
}
