//! What editors ask: `POST /admin/script/validate`, and `GET /admin/script/api`.

use axum::extract::State;
use gatewright_core::script::{CONTEXTS, CompileError, Context, Entry, GROUPS};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::Result;
use crate::extract::{Admin, Json};
use crate::state::AdminState;

/// The context of a library's source.
const LIBRARY: &str = "library";

/// A script to be compiled.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ValidateBody {
    script: String,
    /// The pack that it is for, whose libraries it finds first.
    pack: Option<String>,
    /// What it is for, as the `kind` of a test run: what can do nothing there is an error then. `library`: it is
    /// the source of one.
    #[serde(default)]
    context: Option<String>,
}

/// Whether it compiles.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ValidateAnswer {
    valid: bool,
    /// In their order; of the grammar, the first alone.
    errors: Vec<ScriptError>,
    /// What is no error and yet hardly meant, such as `${name}` in text that is no template.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    remarks: Vec<ScriptError>,
}

/// Why not, and where: lines and columns count from 1, and are 0 where it concerns the script as a whole.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScriptError {
    message: String,
    /// What to write instead, with code in backticks: the end of the message, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    line: usize,
    column: usize,
    end_line: usize,
    /// The column behind the last.
    end_column: usize,
}

/// All that scripts can call.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScriptApi {
    calls: Vec<ScriptCall>,
}

/// A macro, or a call of one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScriptCall {
    /// Such as `@SOCKET`, or `#table`.
    r#macro: &'static str,
    /// Such as `reply`; null for a macro itself.
    call: Option<&'static str>,
    /// How it is written; `?` stands after what may be left out.
    signature: String,
    /// What it gives; empty: nothing.
    gives: &'static str,
    /// The kinds of scripts that it is for, as the `kind` of a test run.
    contexts: Vec<&'static str>,
    /// What it does.
    doc: &'static str,
    example: &'static str,
    /// Codes with which it fails, and why; empty where only a wrong type fails.
    errors: &'static str,
}

/// Compiles a script without saving it; a table that it names has to be there.
#[utoipa::path(post, path = "/admin/script/validate", operation_id = "validateScript", tag = "scripts", request_body = ValidateBody,
    responses((status = 200, body = ValidateAnswer)))]
pub(crate) async fn validate(
    State(state): State<AdminState>,
    _: Admin,
    Json(body): Json<ValidateBody>,
) -> Result<axum::Json<ValidateAnswer>> {
    let errors = if body.context.as_deref() == Some(LIBRARY) {
        state.catalog.check_library_source(body.script.clone(), body.pack.clone()).await?
    } else {
        let context = body.context.as_deref().and_then(Context::parse);
        state.catalog.check_script(body.script.clone(), body.pack.as_deref(), context).await?
    };
    let errors: Vec<_> = errors.into_iter().map(|error| script_error(error, &body.script)).collect();
    let remarks = state.catalog.engine().remarks(&body.script).into_iter();
    let remarks = remarks.map(|remark| script_error(remark, &body.script)).collect();
    Ok(axum::Json(ValidateAnswer { valid: errors.is_empty(), errors, remarks }))
}

/// All macros and calls, for editors: the table that `docs/scripts.md` is made of.
#[utoipa::path(get, path = "/admin/script/api", operation_id = "getScriptApi", tag = "scripts", responses((status = 200, body = ScriptApi)))]
pub(crate) async fn api(_: Admin) -> axum::Json<ScriptApi> {
    let calls = GROUPS.iter().flat_map(|group| group.entries).map(script_call).collect();
    axum::Json(ScriptApi { calls })
}

fn script_call(entry: &Entry) -> ScriptCall {
    let (r#macro, call) = match entry.of {
        "" => (entry.name(), None),
        of => (of, Some(entry.name())),
    };
    let contexts = CONTEXTS.iter().filter(|(_, context)| entry.place.is_for(*context));
    ScriptCall {
        r#macro,
        call,
        signature: entry.full(),
        gives: entry.gives,
        contexts: contexts.map(|(name, _)| *name).collect(),
        doc: entry.about,
        example: entry.example,
        errors: entry.errors,
    }
}

/// An error with the range of the word that it is at.
fn script_error(error: CompileError, source: &str) -> ScriptError {
    let CompileError { message, hint, line, column } = error;
    let text = line.checked_sub(1).and_then(|line| source.lines().nth(line)).unwrap_or_default();
    let rest = text.chars().skip(column.saturating_sub(1));
    let is_sigil = |c: char| matches!(c, '@' | '#');
    let is_word = |(at, c): &(usize, char)| c.is_alphanumeric() || *c == '_' || *at == 0 && is_sigil(*c);
    let word = rest.enumerate().take_while(is_word).count();
    let end_column = if column == 0 { 0 } else { column + word.max(1) };
    ScriptError { message, hint, line, column, end_line: line, end_column }
}
