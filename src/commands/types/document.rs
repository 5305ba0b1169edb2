//! The file: gateways with their events, tables and routes, each in an order of its own, so that it changes only where
//! they do.

use serde_json::Value as Json;

use super::schema::Definitions;
use super::text::{Block, comment, event_key, key, pascal, quoted};

const HEAD: &str = "\
// Written by `gatewright types`; do not edit it. Write it again when gateways, events, tables or routes have changed.
";

/// What types are made of, in the fields of the admin API.
#[derive(Default)]
pub struct Defined {
    pub gateways: Vec<DefinedGateway>,
    pub tables: Vec<Json>,
    pub routes: Vec<Json>,
}

/// A gateway with its events.
pub struct DefinedGateway {
    pub gateway: Json,
    pub events: Vec<Json>,
}

/// All of it as TypeScript.
pub fn written(mut defined: Defined) -> String {
    let text = |of: &Json, field: &str| of[field].as_str().unwrap_or_default().to_owned();
    defined.gateways.sort_by_key(|defined| text(&defined.gateway, "path"));
    defined.tables.sort_by_key(|table| text(table, "name"));
    defined.routes.sort_by_key(|route| (text(route, "path"), text(route, "method")));
    let mut definitions = Definitions::default();
    let gateways = gateways(&mut defined.gateways, &mut definitions);
    let (tables, routes) = (tables(&defined.tables), routes(&defined.routes));
    let parts = &definitions.text;
    format!(
        "{HEAD}
/** Gateways by path, for `createRealtime<Gateways>(…)`. */
export interface Gateways {gateways}

/** Rows of tables, by name. */
export interface Tables {tables}

/** Routes, by method and path. */
export interface Routes {routes}
{parts}"
    )
}

/// Whether it is on; what has no such field is.
fn is_enabled(defined: &Json) -> bool {
    defined["isEnabled"] != Json::Bool(false)
}

fn gateways(all: &mut [DefinedGateway], definitions: &mut Definitions) -> String {
    let mut block = Block::new(0);
    for DefinedGateway { gateway, events } in all.iter_mut().filter(|defined| is_enabled(&defined.gateway)) {
        let path = gateway["path"].as_str().unwrap_or_default();
        events.retain(is_enabled);
        events.sort_by(|a, b| a["eventName"].as_str().cmp(&b["eventName"].as_str()));
        let mut parts = Block::new(1);
        parts.line("", &format!("events: {};", self::events(events, path, definitions)));
        parts.line("", &format!("emits: {};", emits(&gateway["emits"], path, definitions)));
        block.line(&comment(gateway, 1), &format!("{}: {};", quoted(path), parts.end()));
        for alias in gateway["aliases"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            block.line("", &format!("{}: Gateways[{}];", quoted(alias), quoted(path)));
        }
    }
    block.end()
}

fn events(events: &[Json], path: &str, definitions: &mut Definitions) -> String {
    let mut block = Block::new(2);
    for event in events {
        let name = event["eventName"].as_str().unwrap_or_default();
        let mut part = |field: &str, role: &str| match &event[field] {
            // What lets in several events must let in what each of them takes.
            _ if is_narrowed(name, events) => "unknown".to_owned(),
            Json::Null => "unknown".to_owned(),
            schema => definitions.type_of(schema, &format!("{}{}{role}", pascal(path), pascal(name)), 4),
        };
        let (payload, result) = (part("payloadSchema", "Payload"), part("resultSchema", "Result"));
        let mut types = Block::new(3);
        types.line("", &format!("payload: {payload};"));
        types.line("", &format!("result: {result};"));
        block.line(&comment(event, 3), &format!("{}: {};", event_key(name), types.end()));
    }
    block.end()
}

/// Whether the gateway has events that this one, a prefix, would take if they were not there.
fn is_narrowed(name: &str, events: &[Json]) -> bool {
    let Some(prefix) = name.strip_suffix('*') else { return false };
    let mut others = events.iter().filter_map(|event| event["eventName"].as_str());
    others.any(|other| other != name && other.starts_with(prefix))
}

fn emits(emits: &Json, path: &str, definitions: &mut Definitions) -> String {
    let mut block = Block::new(2);
    match emits.as_object() {
        // Nobody has said what there is: anything may be.
        None => block.line("", "[event: string]: unknown;"),
        Some(emits) => {
            for (name, schema) in emits {
                let written = definitions.type_of(schema, &format!("{}{}", pascal(path), pascal(name)), 3);
                block.line(&comment(schema, 3), &format!("{}: {written};", key(name)));
            }
        }
    }
    block.end()
}

fn tables(all: &[Json]) -> String {
    let mut block = Block::new(0);
    for table in all {
        let mut columns = Block::new(1);
        columns.line("", "id: string;");
        for column in table["columns"].as_array().into_iter().flatten() {
            let written = match column["type"].as_str().unwrap_or_default() {
                "integer" | "float" => "number".to_owned(),
                "boolean" => "boolean".to_owned(),
                "json" => "unknown".to_owned(),
                "enum" => {
                    let values = column["values"].as_array().into_iter().flatten();
                    values.map(Json::to_string).collect::<Vec<_>>().join(" | ")
                }
                _ => "string".to_owned(),
            };
            let may_be_null = column["required"] != Json::Bool(true) && written != "unknown";
            let null = if may_be_null { " | null" } else { "" };
            let name = key(column["name"].as_str().unwrap_or_default());
            columns.line("", &format!("{name}: {written}{null};"));
        }
        columns.line("", "createdAt: string;");
        columns.line("", "updatedAt: string;");
        let name = key(table["name"].as_str().unwrap_or_default());
        block.line(&comment(table, 1), &format!("{name}: {};", columns.end()));
    }
    block.end()
}

fn routes(all: &[Json]) -> String {
    let mut block = Block::new(0);
    for route in all.iter().filter(|route| is_enabled(route)) {
        let path = route["path"].as_str().unwrap_or_default();
        let method = route["method"].as_str().unwrap_or_default();
        let mut params = Block::new(2);
        for name in path.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name)) {
            params.line("", &format!("{}: string;", key(name.trim_start_matches('*'))));
        }
        let mut parts = Block::new(1);
        parts.line("", &format!("params: {};", params.end()));
        block.line(&comment(route, 1), &format!("{}: {};", quoted(&format!("{method} {path}")), parts.end()));
    }
    block.end()
}
