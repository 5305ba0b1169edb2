//! `GET /admin/config`: the effective configuration.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::Admin;
use crate::state::AdminState;

/// The effective configuration.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConfigAnswer {
    /// By key.
    data: Vec<SettingView>,
}

/// A setting.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SettingView {
    /// Such as `limits.burst`.
    key: String,
    /// As a file of settings has it; `(secret)` for what is never shown.
    value: String,
    /// `default`, the path of a file, the name of a variable, or `flag`.
    origin: String,
}

/// Every setting as it counts, and where it comes from. Secrets are masked.
#[utoipa::path(get, path = "/admin/config", operation_id = "getConfig", tag = "operation",
    responses((status = 200, body = ConfigAnswer)))]
pub(crate) async fn get(State(state): State<AdminState>, _: Admin) -> axum::Json<ConfigAnswer> {
    let view = |setting: &gatewright_core::config::Setting| SettingView {
        key: setting.key.clone(),
        value: setting.value.clone(),
        origin: setting.origin.clone(),
    };
    axum::Json(ConfigAnswer { data: state.settings.iter().map(view).collect() })
}
