//! Routes in the database: paths of the HTTP API that scripts serve.

use std::collections::BTreeSet;

use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use uuid::Uuid;

use super::change::RouteChange;
use super::gateways::later_than;
use super::revisions::delete_revisions;
use super::route_path::shape;
use super::{Catalog, Suspension};
use crate::error::{Error, ErrorCode, Failure, Result};
use crate::id::new_id;
use crate::script::SCRIPT_EVENT;
use crate::store::list::{ListQuery, Page};
use crate::store::{self, Time, route};

/// A route as an admin sees it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented on the row")]
pub struct Route {
    pub id: Uuid,
    pub method: String,
    pub path: String,
    pub description: String,
    pub is_enabled: bool,
    pub access: String,
    pub source_code: String,
    pub timeout_ms: Option<i64>,
    pub pack: Option<String>,
    /// Why it is suspended, if it is.
    pub suspended: Option<Suspension>,
    pub created_at: Time,
    pub updated_at: Time,
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

impl Catalog {
    /// One page of routes.
    pub async fn list_routes(&self, query: &ListQuery) -> Result<Page<Route>> {
        let page = self.store.list::<route::Entity>(query, None).await?;
        Ok(Page {
            rows: page.rows.into_iter().map(|row| self.route_view(row)).collect(),
            counts: page.counts,
        })
    }

    /// A route by id.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn route(&self, id: Uuid) -> Result<Route> {
        Ok(self.route_view(self.route_row(id).await?))
    }

    /// Makes a route. It is live when this returns.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, `SCRIPT_COMPILE_ERROR`, or `DUPLICATE_RESOURCE` for a path that the
    /// server itself has, or that matches the same requests as another route of that method.
    pub async fn create_route(&self, change: RouteChange, author: &str, pack: Option<&str>) -> Result<Route> {
        let row = self.new_route_row(change, pack)?;
        self.check_scripts(&[&Some(row.source_code.clone())]).await?;
        let _one_at_a_time = self.changing_routes.lock().await;
        self.check_route_is_free(&row).await?;
        let inserted = row.clone().into_active_model().insert(self.store.db()).await;
        inserted.map_err(|error| taken(error, &row))?;
        self.append_revision(row.id, SCRIPT_EVENT, &row.source_code, author).await?;
        self.changed().await?;
        Ok(self.route_view(row))
    }

    /// Whether such a route could be made were there these tables, but for a taken path.
    ///
    /// # Errors
    /// As [`Self::create_route`].
    pub(crate) async fn check_route(&self, change: RouteChange, tables: &BTreeSet<String>) -> Result<()> {
        let row = self.new_route_row(change, None)?;
        self.check_scripts_with(&[&Some(row.source_code)], tables.clone()).await
    }

    fn new_route_row(&self, change: RouteChange, pack: Option<&str>) -> Result<route::Model> {
        let missing = [
            ("method", change.method.is_none()),
            ("path", change.path.is_none()),
            ("sourceCode", change.source_code.is_none()),
        ];
        if let Some((field, _)) = missing.into_iter().find(|(_, is_missing)| *is_missing) {
            return Err(Failure::invalid(field, "is missing").into());
        }
        let now = store::now();
        let mut row = route::Model {
            id: new_id(),
            method: String::new(),
            path: String::new(),
            description: String::new(),
            is_enabled: true,
            access: RouteAccess::Admin.as_str().to_owned(),
            source_code: String::new(),
            timeout_ms: None,
            pack: pack.map(str::to_owned),
            created_at: now,
            updated_at: now,
        };
        change.apply(&mut row, &self.config)?;
        Ok(row)
    }

    /// Changes a route. It is live when this returns; requests taken before run what was current.
    ///
    /// # Errors
    /// As [`Self::create_route`], and `RESOURCE_NOT_FOUND`.
    pub async fn update_route(&self, id: Uuid, change: RouteChange, author: &str) -> Result<Route> {
        let _one_at_a_time = self.changing_routes.lock().await;
        let before = self.route_row(id).await?;
        let mut row = before.clone();
        let saves_script = change.source_code.is_some();
        change.apply(&mut row, &self.config)?;
        self.check_scripts(&[&Some(row.source_code.clone())]).await?;
        self.check_route_is_free(&row).await?;
        row.updated_at = later_than(before.updated_at);
        let updated = row.clone().into_active_model().reset_all().update(self.store.db()).await;
        updated.map_err(|error| taken(error, &row))?;
        if saves_script {
            self.append_revision(row.id, SCRIPT_EVENT, &row.source_code, author).await?;
        }
        self.changed().await?;
        Ok(self.route_view(row))
    }

    /// Saves an earlier version of a route's script again, as the newest.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`; `SCRIPT_COMPILE_ERROR` when it no longer compiles.
    pub async fn restore_route(&self, id: Uuid, number: i64, author: &str) -> Result<Route> {
        let revision = self.revision(id, number).await?;
        let change = RouteChange { source_code: Some(revision.source), ..Default::default() };
        self.update_route(id, change, author).await
    }

    /// Deletes a route with its history.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn delete_route(&self, id: Uuid) -> Result<()> {
        let gone = route::Entity::delete_by_id(id).exec(self.store.db()).await?;
        if gone.rows_affected == 0 {
            return Err(Failure::not_found("route", id).into());
        }
        delete_revisions(&self.store, [id]).await?;
        self.changed().await
    }

    pub(super) async fn route_row(&self, id: Uuid) -> Result<route::Model> {
        let row = route::Entity::find_by_id(id).one(self.store.db()).await?;
        Ok(row.ok_or_else(|| Failure::not_found("route", id))?)
    }

    /// Whether no other route of the method matches the same requests. The index of the table
    /// sees only paths that are written alike.
    async fn check_route_is_free(&self, row: &route::Model) -> Result<()> {
        let of_method = route::Entity::find().filter(route::Column::Method.eq(&*row.method));
        let others = of_method.all(self.store.db()).await?;
        let wanted = shape(&row.path);
        let other = others.iter().find(|other| other.id != row.id && shape(&other.path) == wanted);
        other.map_or(Ok(()), |other| Err(duplicate(other)))
    }

    fn route_view(&self, row: route::Model) -> Route {
        Route {
            suspended: self.suspensions_of(row.id).pop(),
            id: row.id,
            method: row.method,
            path: row.path,
            description: row.description,
            is_enabled: row.is_enabled,
            access: row.access,
            source_code: row.source_code,
            timeout_ms: row.timeout_ms,
            pack: row.pack,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn taken(error: sea_orm::DbErr, row: &route::Model) -> Error {
    if store::is_unique_violation(&error) { duplicate(row) } else { error.into() }
}

fn duplicate(other: &route::Model) -> Error {
    let message = format!("There is a route {} {} already", other.method, other.path);
    Failure::new(ErrorCode::DuplicateResource, message).into()
}
