//! Saved script tests.

use sea_orm::entity::prelude::*;

/// A row of `gw_script_test`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "gw_script_test")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    /// The file of the pack that it is in; none: an admin made it.
    pub file: Option<String>,
    /// The pack that it came with.
    pub pack: Option<String>,
    /// It as packs write it, its name included.
    pub definition: Json,
    pub created_at: TimeDateTimeWithTimeZone,
    pub updated_at: TimeDateTimeWithTimeZone,
}

/// None: what it is about, it names.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
