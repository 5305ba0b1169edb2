//! The sandbox as its scripts meet it.

mod language;
mod payload;
mod sandbox;
mod table;
mod value;
