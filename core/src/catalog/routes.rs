//! Routes: paths of the HTTP API that scripts serve.

use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::checks::check_timeout;
use super::route_path::{check_not_built_in, normal_method, normal_path, shape};
use super::{Catalog, Definition, Place, Saved};
use crate::error::{ErrorCode, Failure, Result};
use crate::store::{check_description, check_text, route};

/// A path of the HTTP API that a script serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Route {
    /// GET, POST, PUT, PATCH or DELETE. HEAD is answered by GET.
    pub method: String,
    /// With `{name}` for a parameter; `:name` is accepted too.
    pub path: String,
    /// For people.
    pub description: String,
    /// Whether it is served.
    pub is_enabled: bool,
    /// `public`, `user`, `admin` or `app` (an app key with the scope `routes`).
    pub access: String,
    /// What answers. `handlerScript` is accepted too.
    pub source_code: String,
    /// The time of one run in milliseconds; null: the configured one. `timeout` is accepted too.
    pub timeout_ms: Option<i64>,
}

/// Who may call a route; an admin may call all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteAccess {
    /// Anyone.
    Public,
    /// Whoever is signed in.
    User,
    /// Admins only.
    Admin,
    /// App keys with the scope `routes`.
    App,
}

impl RouteAccess {
    const ALL: [Self; 4] = [Self::Public, Self::User, Self::Admin, Self::App];

    /// The access as it stands in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::User => "user",
            Self::Admin => "admin",
            Self::App => "app",
        }
    }

    /// The access written as `text`, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|access| access.as_str() == text)
    }
}

impl Default for Route {
    fn default() -> Self {
        Self {
            method: String::new(),
            path: String::new(),
            description: String::new(),
            is_enabled: true,
            access: RouteAccess::Admin.as_str().to_owned(),
            source_code: String::new(),
            timeout_ms: None,
        }
    }
}

impl Definition for Route {
    type Entity = route::Entity;
    type Row = route::Model;

    const KIND: &'static str = "route";
    const REQUIRED: &'static [&'static str] = &["method", "path", "sourceCode"];
    const ALIASES: &'static [(&'static str, &'static str)] =
        &[("handlerScript", "sourceCode"), ("timeout", "timeoutMs")];

    fn of_row(row: route::Model) -> Saved<Self> {
        let definition = Self {
            method: row.method,
            path: row.path,
            description: row.description,
            is_enabled: row.is_enabled,
            access: row.access,
            source_code: row.source_code,
            timeout_ms: row.timeout_ms,
        };
        Saved::new(row.id, definition, Place::Pack { pack: row.pack }, row.created_at, row.updated_at)
    }

    fn into_row(saved: Saved<Self>) -> route::Model {
        route::Model {
            id: saved.id,
            method: saved.definition.method,
            path: saved.definition.path,
            description: saved.definition.description,
            is_enabled: saved.definition.is_enabled,
            access: saved.definition.access,
            source_code: saved.definition.source_code,
            timeout_ms: saved.definition.timeout_ms,
            pack: saved.place.pack(),
            created_at: saved.created_at,
            updated_at: saved.updated_at,
        }
    }

    fn check(&mut self, before: Option<&Self>, catalog: &Catalog) -> Result<()> {
        self.method = normal_method(&self.method)?;
        if before.is_none_or(|before| before.path != self.path) {
            self.path = normal_path(&self.path)?;
            check_not_built_in(&self.path, catalog.built_in_paths)?;
        }
        if RouteAccess::parse(&self.access).is_none() {
            return Err(Failure::invalid("access", "must be public, user, admin or app").into());
        }
        check_description(&self.description)?;
        check_text("sourceCode", &self.source_code)?;
        check_timeout("timeoutMs", self.timeout_ms, &catalog.config)
    }

    /// That no other route of the method matches the same requests. The index of the table sees only
    /// paths that are written alike.
    async fn check_among_others(
        saved: &Saved<Self>,
        _catalog: &Catalog,
        on: &DatabaseTransaction,
    ) -> Result<()> {
        let of_method = route::Entity::find().filter(route::Column::Method.eq(&*saved.definition.method));
        let wanted = shape(&saved.definition.path);
        let is_alike = |other: &route::Model| other.id != saved.id && shape(&other.path) == wanted;
        match of_method.all(on).await?.into_iter().find(is_alike) {
            Some(other) => Err(Self::of_row(other).definition.already_there().into()),
            None => Ok(()),
        }
    }

    fn already_there(&self) -> Failure {
        let message = format!("There is a route {} {} already", self.method, self.path);
        Failure::new(ErrorCode::DuplicateResource, message)
    }
}
