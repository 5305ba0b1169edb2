//! `POST /admin/script/validate`.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::Result;
use crate::extract::{Admin, Json};
use crate::state::AdminState;

/// A script to be compiled.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ValidateBody {
    script: String,
    /// The pack that it is for, whose libraries it finds first.
    pack: Option<String>,
    /// What it is for, as the `kind` of a test run.
    #[serde(default)]
    #[expect(dead_code, reason = "accepted so that editors can send it; all kinds compile alike")]
    context: Option<String>,
}

/// Whether it compiles.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValidateAnswer {
    valid: bool,
    errors: Vec<ScriptError>,
}

/// Why not, and where.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScriptError {
    message: String,
    line: usize,
    column: usize,
}

/// Compiles a script without saving it; a table that it names has to be there.
#[utoipa::path(post, path = "/admin/script/validate", operation_id = "validateScript", tag = "scripts", request_body = ValidateBody,
    responses((status = 200, body = ValidateAnswer)))]
pub(crate) async fn validate(
    State(state): State<AdminState>,
    _: Admin,
    Json(body): Json<ValidateBody>,
) -> Result<axum::Json<ValidateAnswer>> {
    let error = state.catalog.check_script(body.script, body.pack.as_deref()).await?;
    let errors: Vec<_> = error
        .into_iter()
        .map(|error| ScriptError { message: error.message, line: error.line, column: error.column })
        .collect();
    Ok(axum::Json(ValidateAnswer { valid: errors.is_empty(), errors }))
}
