//! What admins define. A type for each kind says all its fields once, in the names of the API: from it
//! come what requests set and what they are answered, the API's description, the form in packs, the
//! history of its scripts, and how two are compared.

use std::fmt;
use std::future::ready;

use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, PrimaryKeyTrait};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, OneOfBuilder, SchemaFormat, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::Catalog;
use crate::error::{ErrorCode, Failure, Result};
use crate::id::new_id;
use crate::script::SCRIPT_EVENT;
use crate::store::{self, Time};

/// A kind of thing that admins define. Its fields are those that it serializes, all of them always; its
/// `Default` is what a field has that was not given. A field may be null where its default is.
pub trait Definition:
    fmt::Debug + Clone + Default + PartialEq + Serialize + DeserializeOwned + ToSchema + Send + Sync + 'static
{
    /// The table that its rows are in.
    type Entity: EntityTrait<Model = Self::Row, PrimaryKey: PrimaryKeyTrait<ValueType = Uuid>, ActiveModel: Send>;
    /// A row.
    type Row: IntoActiveModel<<Self::Entity as EntityTrait>::ActiveModel> + Send + Sync;

    /// What one is called in messages.
    const KIND: &'static str;
    /// Whether each belongs to a gateway, and not itself to a pack.
    const IS_OF_GATEWAY: bool = false;
    /// The fields that a new one must be given.
    const REQUIRED: &'static [&'static str];
    /// Other names that requests may use for fields.
    const ALIASES: &'static [(&'static str, &'static str)] = &[];
    /// The fields that are objects of which a request sets a part.
    const NESTED: &'static [&'static str] = &[];
    /// The fields that are scripts: each save of one is kept.
    const SCRIPTS: &'static [&'static str] = &[SCRIPT_EVENT];
    /// The names that packs have for fields, where they have others.
    const PACK_NAMES: &'static [(&'static str, &'static str)] = &[(SCRIPT_EVENT, "script")];

    /// What a row says. What cannot be read of it (it is of another version) is as by default.
    fn of_row(row: Self::Row) -> Saved<Self>;

    /// The row that says this.
    fn into_row(saved: Saved<Self>) -> Self::Row;

    /// Writes in one way what may be written in several, and refuses what is wrong by itself.
    /// What was so `before` may stay where only the configuration or the server has changed.
    ///
    /// # Errors
    /// `VALIDATION_ERROR`, or `DUPLICATE_RESOURCE` for what the server itself has.
    fn check(&mut self, before: Option<&Self>, catalog: &Catalog) -> Result<()>;

    /// Refuses what does not go with what else there is, with which the edit `on` has begun.
    ///
    /// # Errors
    /// `DUPLICATE_RESOURCE`, `RESOURCE_NOT_FOUND`.
    fn check_among_others(
        _saved: &Saved<Self>,
        _catalog: &Catalog,
        _on: &DatabaseTransaction,
    ) -> impl Future<Output = Result<()>> + Send {
        ready(Ok(()))
    }

    /// Refuses what does not compile: its own scripts, and what others are with it, or without it where it goes.
    ///
    /// # Errors
    /// `SCRIPT_COMPILE_ERROR`; `DUPLICATE_RESOURCE` where one that goes is in use.
    fn check_compiled(
        _before: Option<&Saved<Self>>,
        after: Option<&Saved<Self>>,
        catalog: &Catalog,
        on: &impl ConnectionTrait,
    ) -> impl Future<Output = Result<()>> + Send {
        async move {
            match after {
                Some(saved) => catalog.check_scripts(saved, on).await,
                None => Ok(()),
            }
        }
    }

    /// Deletes what hangs on one that is deleted; the ids of that.
    fn delete_parts(_id: Uuid, _on: &DatabaseTransaction) -> impl Future<Output = Result<Vec<Uuid>>> + Send {
        ready(Ok(Vec::new()))
    }

    /// The refusal of one where another is alike.
    fn already_there(&self) -> Failure {
        Failure::new(ErrorCode::DuplicateResource, format!("There is such a {} already", Self::KIND))
    }
}

/// A definition with what its row has besides.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names say it")]
pub struct Saved<T> {
    pub id: Uuid,
    #[serde(flatten)]
    pub definition: T,
    #[serde(flatten)]
    pub place: Place,
    #[serde(flatten)]
    pub suspended: Suspended,
    /// The number of the newest version of its scripts, 0 without any; none of what has none, or within an edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: Time,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: Time,
}

/// What a definition belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Place {
    /// A gateway, and whatever that belongs to.
    Gateway {
        /// Its row.
        gateway_id: Uuid,
    },
    /// The pack that it came from, if it came from one.
    Pack {
        /// Its name.
        pack: Option<String>,
    },
}

/// The scripts of a definition that do not run until they are saved again or resumed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Suspended {
    /// Of what has one script.
    One {
        /// None: it runs.
        suspended: Option<Suspension>,
    },
    /// Of what may have several.
    Several {
        /// Those that do not run.
        suspended: Vec<Suspension>,
    },
    /// Of what has none.
    Nothing {},
}

/// A script that is suspended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Suspension {
    /// Which script.
    pub script: &'static str,
    /// Why.
    pub reason: String,
}

impl Place {
    /// Of what belongs to no pack.
    pub const ALONE: Self = Self::Pack { pack: None };

    /// The pack that it came from, if that is told here.
    pub fn pack(&self) -> Option<String> {
        match self {
            Self::Pack { pack } => pack.clone(),
            Self::Gateway { .. } => None,
        }
    }

    /// The gateway that it belongs to, if it belongs to one.
    pub(crate) fn gateway_id(&self) -> Option<Uuid> {
        match self {
            Self::Gateway { gateway_id } => Some(*gateway_id),
            Self::Pack { .. } => None,
        }
    }
}

impl<T: Definition> Saved<T> {
    /// One that is to be made.
    pub(crate) fn made(definition: T, place: Place) -> Self {
        let now = store::now();
        Self::new(new_id(), definition, place, now, now)
    }

    /// One whose scripts run.
    pub(super) fn new(id: Uuid, definition: T, place: Place, created_at: Time, updated_at: Time) -> Self {
        let suspended = Suspended::of::<T>(Vec::new());
        Self { id, definition, place, suspended, revision: None, created_at, updated_at }
    }
}

impl Suspended {
    pub(super) fn of<T: Definition>(mut suspended: Vec<Suspension>) -> Self {
        match T::SCRIPTS {
            [] => Self::Nothing {},
            [_] => Self::One { suspended: suspended.pop() },
            _ => Self::Several { suspended },
        }
    }
}

/// All fields of a definition.
pub(crate) fn fields_as_json<T: Definition>(definition: &T) -> Map<String, Json> {
    match serde_json::to_value(definition) {
        Ok(Json::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// The scripts of a definition, with their fields.
pub(crate) fn scripts_of<T: Definition>(definition: &T) -> Vec<(&'static str, String)> {
    let fields = fields_as_json(definition);
    let script = |name: &&'static str| Some((*name, fields.get(*name)?.as_str()?.to_owned()));
    T::SCRIPTS.iter().filter_map(script).collect()
}

impl<T: Definition> PartialSchema for Saved<T> {
    fn schema() -> RefOr<Schema> {
        let mut schema = T::schema();
        let RefOr::T(Schema::Object(object)) = &mut schema else { return schema };
        let may_be_null = |name: &str| fields_as_json(&T::default()).get(name).is_none_or(Json::is_null);
        object.required = object.properties.keys().filter(|name| !may_be_null(name)).cloned().collect();
        let text = |format| -> RefOr<Schema> {
            let format = Some(SchemaFormat::KnownFormat(format));
            ObjectBuilder::new().schema_type(Type::String).format(format).into()
        };
        let or_null = |schema: RefOr<Schema>| -> RefOr<Schema> {
            OneOfBuilder::new().item(ObjectBuilder::new().schema_type(Type::Null)).item(schema).into()
        };
        let suspended = match T::SCRIPTS {
            [] => None,
            [_] => Some(or_null(Suspension::schema())),
            _ => Some(ArrayBuilder::new().items(Suspension::schema()).into()),
        };
        let suspended = suspended.map(|schema| ("suspended", schema));
        let place = match T::IS_OF_GATEWAY {
            true => ("gatewayId", text(KnownFormat::Uuid)),
            false => ("pack", or_null(String::schema())),
        };
        let own = [
            ("id", text(KnownFormat::Uuid)),
            ("createdAt", text(KnownFormat::DateTime)),
            ("updatedAt", text(KnownFormat::DateTime)),
        ];
        let number = Some(SchemaFormat::KnownFormat(KnownFormat::Int64));
        let number = ObjectBuilder::new().schema_type(Type::Integer).format(number);
        let revision = (!T::SCRIPTS.is_empty()).then(|| {
            (
                "revision",
                number.description(Some("Of the newest version of its scripts; 0 without any.")).into(),
            )
        });
        for (name, schema) in own.into_iter().chain([place]).chain(suspended).chain(revision) {
            object.properties.insert(name.to_owned(), schema);
            object.required.push(name.to_owned());
        }
        schema
    }
}

impl<T: Definition> ToSchema for Saved<T> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("{}View", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        T::schemas(schemas);
    }
}
