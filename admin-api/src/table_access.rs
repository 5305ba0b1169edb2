//! `/admin/tables/{id}/explain-access`: why somebody may do something with rows, or not.

use axum::extract::State;
use gatewright_core::auth::Scope;
use gatewright_core::data::{Action, Actor, Find, Keep, Row, Selector, Table};
use gatewright_core::{Error, ErrorCode, Failure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::error::Result;
use crate::extract::{Admin, Json, Path};
use crate::state::AdminState;

/// Whoever is not signed in, in `as`.
const PUBLIC: &str = "public";

/// Who would do what.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ExplainBody {
    /// The id of a user or of an app key; `public` or null for who is not signed in; or the fields of a user of another
    /// issuer, such as `{"id": "auth0|7", "role": "user"}`.
    #[serde(rename = "as", default)]
    #[schema(value_type = Value)]
    who: Value,
    /// `read`, `create`, `update` or `delete`.
    action: String,
    /// The id of a row that is there, or the fields of one; without it any row is meant.
    #[serde(default)]
    #[schema(value_type = Value)]
    row: Value,
}

/// Whether they may, and why.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainAnswer {
    /// With the row that was asked about, or else with any row at all.
    allowed: bool,
    /// Why, as a sentence.
    reason: String,
    /// With which rows, as a filter of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// What the rule says to everybody.
    sentence: String,
}

/// Somebody as the rules see them.
pub(crate) struct Somebody {
    pub(crate) actor: Actor,
    /// Why they may do nothing at all, whatever the rules say.
    pub(crate) shut_out: Option<String>,
}

/// Tells why somebody may do something with the rows of a table, or not. Nothing is done.
#[utoipa::path(post, path = "/admin/tables/{id}/explain-access", operation_id = "explainAccess", tag = "tables",
    request_body = ExplainBody, responses((status = 200, body = ExplainAnswer)))]
pub(crate) async fn explain(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Json(body): Json<ExplainBody>,
) -> Result<axum::Json<ExplainAnswer>> {
    let table = state.catalog.data()?.table_by_id(id)?;
    let action = Action::parse(&body.action)?;
    let row = row_of(&state, &table, body.row).await?;
    let somebody = somebody(&state, &body.who, action).await?;
    let explained = table.explain(action, &somebody.actor, row.as_ref())?;
    let sentence = explained.sentence;
    Ok(axum::Json(match somebody.shut_out {
        Some(reason) => ExplainAnswer { allowed: false, reason, filter: None, sentence },
        None => {
            let (allowed, reason, filter) = (explained.allowed, explained.reason, explained.filter);
            ExplainAnswer { allowed, reason, filter, sentence }
        }
    }))
}

/// Who is meant.
///
/// # Errors
/// `VALIDATION_ERROR` for what names nobody, `RESOURCE_NOT_FOUND` for an id that nobody has.
pub(crate) async fn somebody(state: &AdminState, who: &Value, action: Action) -> Result<Somebody> {
    let as_is = |actor| Ok(Somebody { actor, shut_out: None });
    let text = match who {
        Value::Null => return as_is(Actor::Anonymous),
        Value::String(text) if text == PUBLIC => return as_is(Actor::Anonymous),
        Value::Object(_) => return as_is(Actor::of_fields(who)),
        other => other.as_str().unwrap_or_default(),
    };
    let wrong = || {
        let message = "takes the id of a user or an app key, \"public\", or {\"id\", \"role\"} of a user of another issuer";
        Failure::invalid("as", message)
    };
    let id = Uuid::parse_str(text).map_err(|_| wrong())?;
    match state.accounts.user(id).await {
        Ok(user) => {
            let is_enabled = user.own_account()?.is_enabled;
            let shut_out = (!is_enabled).then(|| format!("{} is disabled and cannot sign in.", user.email));
            return Ok(Somebody { actor: Actor::of_user(&user), shut_out });
        }
        Err(Error::Refused(failure)) if failure.code == ErrorCode::ResourceNotFound => {}
        Err(error) => return Err(error.into()),
    }
    let scope = if action == Action::Read { Scope::DataRead } else { Scope::DataWrite };
    match state.accounts.get_app_key(id).await {
        Ok(key) => {
            let lacks =
                (!key.may(scope)).then(|| format!("The app key has not the scope {}.", scope.as_str()));
            Ok(Somebody { actor: Actor::Trusted, shut_out: lacks })
        }
        Err(Error::Refused(failure)) if failure.code == ErrorCode::ResourceNotFound => {
            Err(Failure::not_found("user or app key", id).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// The row that is asked about.
async fn row_of(state: &AdminState, table: &Table, row: Value) -> Result<Option<Row>> {
    let id = match row {
        Value::Null => return Ok(None),
        Value::Object(row) => return Ok(Some(row)),
        Value::String(id) => id,
        _ => return Err(Failure::invalid("row", "takes the id of a row, or its fields").into()),
    };
    let find = Find { filter: Some(Selector::Id(id.clone()).filter()), limit: 1, page: 1, ..Find::default() };
    let found = state.catalog.data()?.session(Keep::Writes).find(table, &find).await?.rows.pop();
    let mut row = found.ok_or_else(|| Failure::not_found("row", id))?;
    // Who asks about making a row asks about its fields.
    row.retain(|name, _| name != "createdAt" && name != "updatedAt");
    Ok(Some(row))
}
