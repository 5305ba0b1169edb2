//! The sandbox as its scripts meet it.

mod language;
mod library;
mod payload;
mod sandbox;
mod table;
mod value;
