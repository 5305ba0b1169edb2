//! The live side of routes: from rows to a table that requests are looked up in.

use std::collections::BTreeMap;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::live::timeout;
use super::route_path::{BuiltInPaths, METHODS, built_in_path};
use super::routes::RouteAccess;
use crate::config::Config;
use crate::error::{ErrorCode, Failure};
use crate::script::{Handler, HandlerSource, ROUTES, SCRIPT_EVENT};
use crate::store::route;

/// A route as requests see it.
pub struct LiveRoute {
    /// Its row.
    pub id: Uuid,
    /// Upper case.
    pub method: String,
    /// With `{name}` for a parameter.
    pub path: String,
    /// What it is for, in an admin's words.
    pub description: String,
    /// Who may call it.
    pub access: RouteAccess,
    /// What answers. Its name is the method and the path.
    pub handler: Arc<Handler>,
}

/// All live routes.
pub type LiveRoutes = RouteTable<Arc<LiveRoute>>;

/// Routes by method and path.
pub struct RouteTable<T> {
    /// What the server itself serves: no route is found there.
    built_in: BuiltInPaths,
    by_method: BTreeMap<String, matchit::Router<T>>,
    all: Vec<T>,
}

/// What a request's method and path lead to.
#[derive(Debug)]
pub enum Found<'a, T> {
    /// A route, and the decoded parameters of its path.
    Route(&'a T, Map<String, Json>),
    /// The path is that of routes with these methods.
    OtherMethods(Vec<&'static str>),
    /// No route.
    Nothing,
}

impl<T> Default for RouteTable<T> {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl<T> RouteTable<T> {
    /// A table without routes.
    pub(crate) fn new(built_in: BuiltInPaths) -> Self {
        Self { built_in, by_method: BTreeMap::new(), all: Vec::new() }
    }
}

impl<T: Clone> RouteTable<T> {
    /// Adds a route; false when one that matches the same requests is there already.
    pub(crate) fn insert(&mut self, method: &str, path: &str, route: T) -> bool {
        let routes = self.by_method.entry(method.to_owned()).or_default();
        let inserted = routes.insert(path, route.clone()).is_ok();
        self.all.extend(inserted.then_some(route));
        inserted
    }

    /// Finds the route of a request. A literal segment goes before a parameter; HEAD may use GET.
    ///
    /// # Errors
    /// `BAD_REQUEST` when a parameter is no UTF-8 text.
    pub fn find(&self, method: &str, path: &str) -> Result<Found<'_, T>, Failure> {
        if built_in_path(path, self.built_in).is_some() {
            return Ok(Found::Nothing);
        }
        let at = |method: &str| self.by_method.get(method).and_then(|routes| routes.at(path).ok());
        let method = if method == "HEAD" { "GET" } else { method };
        if let Some(matched) = at(method) {
            let decoded = matched.params.iter().map(|(name, value)| {
                let value = percent_decode_str(value).decode_utf8();
                let value = value.map_err(|_| {
                    Failure::new(ErrorCode::BadRequest, format!("The path: {name} is no UTF-8 text"))
                })?;
                Ok((name.to_owned(), Json::String(value.into_owned())))
            });
            return Ok(Found::Route(matched.value, decoded.collect::<Result<_, Failure>>()?));
        }
        let mut others: Vec<_> = METHODS.into_iter().filter(|method| at(method).is_some()).collect();
        if others.contains(&"GET") {
            others.push("HEAD");
        }
        Ok(if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others) })
    }

    /// All routes.
    pub fn all(&self) -> &[T] {
        &self.all
    }
}

/// The table of the enabled routes. Of two that match the same requests the older is served.
pub(super) fn live_routes(
    mut rows: Vec<route::Model>,
    config: &Config,
    built_in: BuiltInPaths,
    make: &dyn Fn(HandlerSource<'_>) -> Arc<Handler>,
) -> LiveRoutes {
    rows.sort_by_key(|row| (row.created_at, row.id));
    let mut live = LiveRoutes::new(built_in);
    for row in rows.into_iter().filter(|row| row.is_enabled) {
        let name = event_of(&row.method, &row.path);
        let handler = make(HandlerSource {
            owner: row.id,
            script: SCRIPT_EVENT,
            version: row.updated_at,
            gateway: ROUTES,
            name: &name,
            source: &row.source_code,
            pack: row.pack.as_deref(),
            schema: None,
            timeout: timeout(row.timeout_ms, config),
            durable: None,
        });
        // What is not known is for admins: nothing opens by mistake.
        let access = RouteAccess::parse(&row.access).unwrap_or(RouteAccess::Admin);
        let (id, method, path, description) = (row.id, row.method, row.path, row.description);
        let route = LiveRoute { id, method, path, description, access, handler };
        let (method, path) = (route.method.clone(), route.path.clone());
        if !live.insert(&method, &path, Arc::new(route)) {
            tracing::error!(%id, method, path, "the route is not served: another has its path");
        }
    }
    live
}

/// What stands for an event's name where the script is a route's: `POST /orders/{id}/ship`.
pub(super) fn event_of(method: &str, path: &str) -> String {
    format!("{method} {path}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table() -> RouteTable<u8> {
        let mut table = RouteTable::new(&["/admin", "/api/socket"]);
        for (number, (method, path)) in (1..).zip([
            ("GET", "/"),
            ("GET", "/orders"),
            ("POST", "/orders"),
            ("GET", "/orders/{id}"),
            ("GET", "/orders/last"),
            ("DELETE", "/orders/{id}/items/{item}"),
            ("GET", "/{a}/{b}/{c}"),
        ]) {
            assert!(table.insert(method, path, number));
        }
        table
    }

    #[test]
    fn finds() {
        let table = table();
        for (method, path, expected, params) in [
            ("GET", "/", 1, json!({})),
            ("GET", "/orders", 2, json!({})),
            ("HEAD", "/orders", 2, json!({})),
            ("POST", "/orders", 3, json!({})),
            ("GET", "/orders/42", 4, json!({ "id": "42" })),
            ("GET", "/orders/last", 5, json!({})),
            ("GET", "/orders/la", 4, json!({ "id": "la" })),
            ("GET", "/orders/a%2Fb%20%C3%BC+%zz", 4, json!({ "id": "a/b ü+%zz" })),
            ("DELETE", "/orders/1/items/x.y", 6, json!({ "id": "1", "item": "x.y" })),
        ] {
            match table.find(method, path) {
                Ok(Found::Route(route, found)) => {
                    assert_eq!((*route, Json::Object(found)), (expected, params), "{method} {path}");
                }
                other => panic!("{method} {path}: {other:?}"),
            }
        }
    }

    #[test]
    fn finds_nothing() {
        let table = table();
        for (method, path, expected) in [
            ("PATCH", "/orders", vec!["GET", "POST", "HEAD"]),
            ("HEAD", "/orders/1/items/2", vec!["DELETE"]),
            ("TRACE", "/orders/1", vec!["GET", "HEAD"]),
            ("GET", "/orders/", vec![]),
            ("GET", "/nothing", vec![]),
            ("GET", "", vec![]),
            ("GET", "/admin/x/y", vec![]),
            ("GET", "/api/socket/y", vec![]),
        ] {
            match table.find(method, path) {
                Ok(Found::OtherMethods(others)) => assert_eq!(others, expected, "{method} {path}"),
                Ok(Found::Nothing) => assert!(expected.is_empty(), "{method} {path}"),
                other => panic!("{method} {path}: {other:?}"),
            }
        }
        assert_eq!(table.find("GET", "/orders/%ff").unwrap_err().code, ErrorCode::BadRequest);
    }

    #[test]
    fn the_first_of_two_alike_stays() {
        let mut table = table();
        assert!(!table.insert("GET", "/orders/{other}", 9));
        assert!(table.insert("PUT", "/orders/{other}", 10));
        assert!(matches!(table.find("GET", "/orders/1"), Ok(Found::Route(4, _))));
        assert_eq!(table.all().len(), 8);
    }
}
