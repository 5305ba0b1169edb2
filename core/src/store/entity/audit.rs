//! What somebody did.

use sea_orm::entity::prelude::*;

/// A row of `gw_audit`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "gw_audit")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub created_at: TimeDateTimeWithTimeZone,
    pub user_id: Option<String>,
    /// The e-mail address, or the id where there is none.
    pub user: Option<String>,
    pub address: String,
    pub action: String,
    pub kind: String,
    pub subject_id: Option<String>,
    pub subject: Option<String>,
    /// `ok` or `error`.
    pub outcome: String,
    /// Of the failure.
    pub code: Option<String>,
}

/// None: see above.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
