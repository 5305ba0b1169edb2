//! `/openapi.json`: what the code says of the API, and the tables and routes that there are now.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{CACHE_CONTROL, VARY};
use axum::response::{IntoResponse, Response};
use gatewright_admin_api::{ApiError, Caller};
use gatewright_core::data::{Action, ColumnKind, Table};
use serde_json::{Map, Value as Json, json};

use super::{HttpState, data, description, routes};

/// The document of the code alone, as JSON.
#[derive(Clone)]
pub struct Described(Json);

impl Described {
    /// What the code says.
    pub fn new(api: &utoipa::openapi::OpenApi) -> Self {
        let mut api = serde_json::to_value(api).unwrap_or_default();
        description::complete_document(&mut api);
        Self(api)
    }
}

/// The description of the API with the present tables and routes, as far as the caller may use them.
pub async fn serve(
    State((state, described)): State<(HttpState, Described)>,
    request: Request,
) -> Result<Response, ApiError> {
    let caller = Caller::from_request_parts(&mut request.into_parts().0, &state).await?;
    let Described(mut api) = described;
    let mut present = Map::new();
    add_routes(&mut present, &state, &caller);
    add_tables(&mut present, &state, &caller);
    description::complete(&mut present);
    if let Some(paths) = api.get_mut("paths").and_then(Json::as_object_mut) {
        paths.extend(present);
    }
    let of_caller = [(CACHE_CONTROL, "private, no-cache"), (VARY, "authorization, cookie, x-app-token")];
    Ok((of_caller, axum::Json(api)).into_response())
}

/// Adds a path with those of its operations that may be tried, if there are any.
fn add(paths: &mut Map<String, Json>, path: String, mut item: Json, may: impl Fn(Action) -> bool) {
    let operations = [
        ("get", Action::Read),
        ("post", Action::Create),
        ("patch", Action::Update),
        ("delete", Action::Delete),
    ];
    let Some(methods) = item.as_object_mut() else { return };
    for (method, _) in operations.iter().filter(|(_, action)| !may(*action)) {
        methods.remove(*method);
    }
    if operations.iter().any(|(method, _)| methods.contains_key(*method)) {
        paths.insert(path, item);
    }
}

fn add_tables(paths: &mut Map<String, Json>, state: &HttpState, caller: &Caller) {
    let Ok(data) = state.runner.catalog.data() else { return };
    for table in data.tables().values() {
        let (name, tag) = (&table.name, json!([format!("table {}", table.name)]));
        let (row, new, change) =
            (schema(table, true, true), schema(table, false, true), schema(table, false, false));
        let list = json!({ "type": "object", "required": ["data"], "properties": {
            "data": { "type": "array", "items": row },
            "meta": { "type": "object", "properties": { "totalCount": { "type": "integer" }, "filterCount": { "type": "integer" } } },
        }});
        let mut id = parameter("id", "path", true, json!({ "type": "string", "format": "uuid" }));
        id["description"] = "The row's id.".into();
        let may = |action| data::may(caller, table, action);
        add(
            paths,
            format!("/data/{name}"),
            json!({
                "get": { "tags": tag, "operationId": format!("list_{name}"), "summary": format!("Lists rows of {name}."),
                    "parameters": list_parameters(), "responses": { "200": content(list) } },
                "post": { "tags": tag, "operationId": format!("create_{name}"), "summary": format!("Makes a row of {name}."),
                    "requestBody": body(new), "responses": { "201": content(row.clone()) } },
            }),
            may,
        );
        add(
            paths,
            format!("/data/{name}/{{id}}"),
            json!({
                "parameters": [id],
                "get": { "tags": tag, "operationId": format!("get_{name}"), "summary": format!("A row of {name}."),
                    "responses": { "200": content(row.clone()) } },
                "patch": { "tags": tag, "operationId": format!("update_{name}"), "summary": format!("Changes a row of {name}."),
                    "requestBody": body(change), "responses": { "200": content(row) } },
                "delete": { "tags": tag, "operationId": format!("delete_{name}"), "summary": format!("Deletes a row of {name}."),
                    "responses": { "204": { "description": "It is gone." } } },
            }),
            may,
        );
    }
}

fn list_parameters() -> Json {
    let text = || json!({ "type": "string" });
    let number = || json!({ "type": "integer", "minimum": 1 });
    let described = |name, about: &str, schema| {
        let mut parameter = parameter(name, "query", false, schema);
        parameter["description"] = about.into();
        parameter
    };
    json!([
        described("limit", "Rows of a page: 1 to 1000, 20 by default.", number()),
        described("page", "Counts from 1.", number()),
        described("sort", "Fields with commas, `-` before one for descending.", text()),
        described("filter", "Conditions as JSON.", text()),
        described("fields", "Only these fields, with commas.", text()),
        described("meta", "`*` for `totalCount` and `filterCount`.", text()),
    ])
}

/// A row as it comes, or what may be set of one.
fn schema(table: &Table, with_built_in: bool, is_whole: bool) -> Json {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    if with_built_in {
        properties.insert("id".to_owned(), json!({ "type": "string", "format": "uuid" }));
        for name in ["createdAt", "updatedAt"] {
            properties.insert(name.to_owned(), json!({ "type": "string", "format": "date-time" }));
        }
        required.extend(["id", "createdAt", "updatedAt"].map(Json::from));
    }
    for column in table.own_columns() {
        let mut schema = match column.kind {
            ColumnKind::String | ColumnKind::Text => json!({ "type": "string" }),
            ColumnKind::Integer => json!({ "type": "integer", "format": "int64" }),
            ColumnKind::Float => json!({ "type": "number" }),
            ColumnKind::Boolean => json!({ "type": "boolean" }),
            ColumnKind::Datetime => json!({ "type": "string", "format": "date-time" }),
            ColumnKind::Uuid => json!({ "type": "string", "format": "uuid" }),
            ColumnKind::Enum => json!({ "type": "string", "enum": column.values }),
            ColumnKind::Json => json!({}),
        };
        if let (false, Some(kind)) = (column.required, schema.get("type").cloned()) {
            schema["type"] = json!([kind, "null"]);
            if let Some(values) = schema.get_mut("enum").and_then(Json::as_array_mut) {
                values.push(Json::Null);
            }
        }
        properties.insert(column.name.clone(), schema);
        if column.required && is_whole && (with_built_in || column.default.is_none()) {
            required.push(column.name.clone().into());
        }
    }
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

fn add_routes(paths: &mut Map<String, Json>, state: &HttpState, caller: &Caller) {
    let routes = state.runner.catalog.live_routes();
    for route in routes.all().iter().filter(|route| routes::check_access(route.access, caller).is_ok()) {
        let mut operation = json!({
            "tags": [description::SCRIPT_ROUTES],
            "operationId": route_operation(&route.method, &route.path),
            "summary": format!("{} {}", route.method, route.path),
            "description": route.description,
            "security": description::security_of_route(route.access),
            "responses": { "200": { "description": "What the script gives back." } },
        });
        if route.method != "GET" && route.method != "DELETE" {
            operation["requestBody"] = json!({ "content": { "application/json": { "schema": {} } } });
        }
        let path = paths.entry(route.path.to_string()).or_insert_with(|| json!({}));
        path[route.method.to_lowercase()] = operation;
    }
}

/// `POST /orders/{id}/ship` as `route_post_orders_id_ship`. Characters that a name cannot have are
/// spelled, so that no two routes have one name.
fn route_operation(method: &str, path: &str) -> String {
    let mut id = format!("route_{}", method.to_lowercase());
    for c in path.chars() {
        match c {
            '/' => id.push('_'),
            '{' => id.push('-'),
            '}' => {}
            c if c.is_ascii_alphanumeric() => id.push(c),
            c => id.push_str(&format!("-{:x}-", u32::from(c))),
        }
    }
    id
}

fn parameter(name: &str, place: &str, is_required: bool, schema: Json) -> Json {
    json!({ "name": name, "in": place, "required": is_required, "schema": schema })
}

fn content(schema: Json) -> Json {
    json!({ "description": "Done.", "content": { "application/json": { "schema": schema } } })
}

fn body(schema: Json) -> Json {
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}
