//! What every operation of the API has, said once: who may call it, its errors, the parameters of
//! its path, and an example of its body.

use gatewright_core::catalog::RouteAccess;
use serde_json::{Map, Value as Json, json};

/// Examples of bodies by operation, which a test sends to a server.
const EXAMPLES: &str = include_str!("examples.json");
/// The operations that need no sign-in.
const OPEN: [&str; 7] = [
    "/auth/login",
    "/auth/exchange",
    "/auth/refresh-token",
    "/auth/logout",
    "/auth/register",
    "/health/live",
    "/health/ready",
];
/// The tag of routes that scripts serve.
pub const SCRIPT_ROUTES: &str = "script routes";
/// The shared answers: the name, the status and what it means.
const ERRORS: [(&str, &str, &str); 11] = [
    ("BadRequest", "400", "The request cannot be understood, or the script does not compile."),
    ("Unauthenticated", "401", "No token or app key, or one that does not count (any more)."),
    ("Forbidden", "403", "The caller may not do this; or a cookie came from a foreign origin."),
    ("NotFound", "404", "There is no such thing, or the caller may not read it."),
    ("Conflict", "409", "Something else has this name or value already, or refers to it."),
    ("TooLarge", "413", "The body is larger than `limits.request_bytes`."),
    ("Invalid", "422", "A value breaks its rule; `error.details.field` names it."),
    ("TooMany", "429", "Too many requests. `Retry-After` says in how many seconds the next may come."),
    (
        "ServerError",
        "500",
        "The server, its database or a script failed; the log has the reason under `requestId`.",
    ),
    ("Unavailable", "503", "Not now: the server stops, its queue is full, or a script is suspended."),
    ("Timeout", "504", "A script took longer than its time."),
];
const TAGS: [(&str, &str); 17] = [
    ("accounts", "Signing in and out, and the own account."),
    ("gateways", "Socket.IO namespaces: who may connect, and what runs when."),
    ("events", "What a gateway accepts, and the script that answers it."),
    ("scripts", "Scripts without saving them: compile one, or run one where nothing leaves."),
    ("tables", "Tables of the database, and who may use their rows."),
    ("data", "Rows of any table."),
    ("routes", "Paths of this API that scripts serve."),
    ("hooks", "Scripts around the writes of a table."),
    ("libraries", "Functions and constants that scripts share."),
    ("schedules", "Events that the clock sends."),
    ("users", "Who can sign in."),
    ("app keys", "Keys of programs, sent as `x-app-token`."),
    ("sockets", "Who is connected, and what programs say to them: for admins, and app keys with the scope."),
    ("jobs", "Durable events, and what is to be handled later."),
    (
        "packs",
        "Folders of gateways, events, tables, routes, hooks, libraries and schedules that install together.",
    ),
    (SCRIPT_ROUTES, "What the routes of this server serve."),
    ("operation", "How the server is, and what it does."),
];

/// Adds what the document has besides its paths.
pub fn complete_document(api: &mut Json) {
    let tags = TAGS.iter().map(|(name, description)| json!({ "name": name, "description": description }));
    api["tags"] = tags.collect();
    api["servers"] = json!([{ "url": "/", "description": "This server" }]);
    let error = |(name, status, description): &(&str, &str, &str)| {
        let answer = json!({ "description": description, "content": { "application/json": {
            "schema": { "$ref": "#/components/schemas/ErrorAnswer" }, "example": error_example(status),
        }}});
        ((*name).to_owned(), answer)
    };
    api["components"]["responses"] = ERRORS.iter().map(error).collect::<Map<_, _>>().into();
    if let Some(paths) = api.get_mut("paths").and_then(Json::as_object_mut) {
        complete(paths);
    }
}

fn error_example(status: &str) -> Json {
    let (code, message) = match status {
        "400" => ("BAD_REQUEST", "The body has unknown fields: requireAtuh (did you mean requireAuth?)"),
        "401" => ("AUTHENTICATION_ERROR", "Sign in first"),
        "403" => ("AUTHORIZATION_ERROR", "This needs the role admin"),
        "404" => ("RESOURCE_NOT_FOUND", "There is no gateway 01890a5d-ac96-774b-bcce-b302099a8057"),
        "409" => ("DUPLICATE_RESOURCE", "There is a gateway /hello already"),
        "413" => ("PAYLOAD_TOO_LARGE", "The body is too large"),
        "422" => ("VALIDATION_ERROR", "path: must begin with /"),
        "429" => ("RATE_LIMIT_EXCEEDED", "Too many failed logins"),
        "500" => ("INTERNAL_ERROR", "Internal error"),
        "503" => ("SERVICE_UNAVAILABLE", "The server is stopping"),
        _ => ("SCRIPT_TIMEOUT", "The script took longer than 5000 ms"),
    };
    let number: u16 = status.parse().unwrap_or_default();
    json!({ "success": false, "statusCode": number, "message": message, "error": {
        "code": code, "message": message, "requestId": "01890a5d-ac96-774b-bcce-b302099a8057" } })
}

/// Adds to each operation of these paths what all operations have.
pub fn complete(paths: &mut Map<String, Json>) {
    let examples: Json = serde_json::from_str(EXAMPLES).unwrap_or_default();
    for (path, item) in paths {
        let Some(item) = item.as_object_mut() else { continue };
        let shared = item.get("parameters").cloned().unwrap_or_default();
        for (method, operation) in item.iter_mut().filter(|(name, _)| *name != "parameters") {
            if operation.get("security").is_none() {
                operation["security"] = security(path);
            }
            add_path_parameters(path, &shared, operation);
            add_responses(path, method, operation);
            let id = operation["operationId"].as_str().unwrap_or_default();
            if let Some(example) = examples.get(id).cloned() {
                operation["requestBody"]["content"]["application/json"]["example"] = example;
            }
        }
    }
}

/// Who may call an operation of the server itself.
fn security(path: &str) -> Json {
    match path {
        path if OPEN.contains(&path) => json!([]),
        "/metrics" => json!([{ "token": [] }, { "appKey": [] }]),
        // The rules of a table may let anonymous callers in.
        path if path.starts_with("/data/") => json!([{ "token": [] }, { "appKey": [] }, {}]),
        path if path.starts_with("/api/socket") => json!([{ "token": [] }, { "appKey": [] }]),
        _ => json!([{ "token": [] }]),
    }
}

/// Who may call a script's route.
pub fn security_of_route(access: RouteAccess) -> Json {
    match access {
        RouteAccess::Public => json!([]),
        RouteAccess::User | RouteAccess::Admin => json!([{ "token": [] }]),
        RouteAccess::App => json!([{ "appKey": [] }, { "token": [] }]),
    }
}

/// The names of a path's parameters.
pub fn parameters_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn add_path_parameters(path: &str, shared: &Json, operation: &mut Json) {
    let describe = |name: &str| match name {
        "id" => "The id, as lists have it.".to_owned(),
        "table" => "The table's name.".to_owned(),
        "number" => "The number of the revision.".to_owned(),
        "requestId" => "The request id of a run.".to_owned(),
        name => format!("The {name} of the path."),
    };
    let is_in_path =
        |parameter: &Json, name: &str| parameter["in"] == "path" && parameter["name"].as_str() == Some(name);
    for name in parameters_of(path) {
        if shared.as_array().is_some_and(|all| all.iter().any(|parameter| is_in_path(parameter, name))) {
            continue;
        }
        if !operation["parameters"].is_array() {
            operation["parameters"] = json!([]);
        }
        let Some(own) = operation["parameters"].as_array_mut() else { continue };
        match own.iter_mut().find(|parameter| is_in_path(parameter, name)) {
            Some(parameter) if parameter.get("description").is_none() => {
                parameter["description"] = describe(name).into();
            }
            Some(_) => {}
            None => own.push(json!({ "name": name, "in": "path", "required": true,
                "description": describe(name), "schema": { "type": "string" } })),
        }
    }
}

fn add_responses(path: &str, method: &str, operation: &mut Json) {
    let writes = method != "get";
    let is_open = operation["security"].as_array().is_some_and(Vec::is_empty);
    let is_health = path.starts_with("/health/");
    // Hooks are scripts too.
    let runs_scripts = writes && path.starts_with("/data/") || operation["tags"][0] == SCRIPT_ROUTES;
    let has_query = operation["parameters"].as_array().is_some_and(|all| !all.is_empty());
    let has_body = operation.get("requestBody").is_some();
    let Some(responses) = operation.get_mut("responses").and_then(Json::as_object_mut) else { return };
    for (status, answer) in responses.iter_mut() {
        if answer["description"].as_str().is_none_or(str::is_empty) {
            answer["description"] = meaning(status).into();
        }
    }
    for (name, status, _) in ERRORS {
        let can_be = match status {
            "400" => has_body || has_query,
            "401" => !is_open || path.starts_with("/auth/"),
            "403" => !is_open || path == "/auth/register",
            "404" => path.contains('{'),
            "409" => writes && (!path.starts_with("/auth/") || path == "/auth/register"),
            "413" | "422" => has_body,
            "429" => path.starts_with("/auth/"),
            "500" => !is_health,
            "503" | "504" => runs_scripts,
            _ => false,
        };
        if can_be && !responses.contains_key(status) {
            responses.insert(status.to_owned(), json!({ "$ref": format!("#/components/responses/{name}") }));
        }
    }
}

fn meaning(status: &str) -> &'static str {
    match status {
        "200" => "Done.",
        "201" => "It is made.",
        "204" => "Done; there is nothing to say.",
        "503" => "Not ready.",
        _ => "See the body.",
    }
}
